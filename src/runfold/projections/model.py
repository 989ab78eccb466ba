"""A row model - a pydantic model or a dataclass - as the columns of a table and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from operator import attrgetter, is_
from typing import Any, get_type_hints

from pydantic import BaseModel
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

from runfold.errors import InvalidDefinition
from runfold.projections.columns import INT_MAX, PLAIN, Column, Kind, column

COLUMNS_MAX = 100
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

Values = tuple[Any, ...]
"""A row as it stands in the table, or its key: plain values in the order of the columns."""


class RowModel:
    """Reads rows of one class; raises ``InvalidDefinition`` for a class that has no table."""

    def __init__(self, place: str, model: Any) -> None:
        self.model = model
        self.columns = _columns(place, model)
        self.names = tuple(one.name for one in self.columns)
        self._plain: tuple[Any, ...] = tuple(
            PLAIN[one.kind] if one.kind is not Kind.JSON and one.thaw is None else None
            for one in self.columns
        )
        self._null = tuple(one.null for one in self.columns)
        self._thaws = [(n, one.thaw) for n, one in enumerate(self.columns) if one.thaw]
        self._get = attrgetter(*self.names)
        self._several = len(self.names) > 1
        self._make = _maker(model, self.names)

    def freeze(self, row: Any) -> Values:
        """Return what stands in the table for ``row``; raise ``ValueError`` or ``TypeError``."""
        return self.settled(self.values(row))

    def values(self, row: Any) -> Values:
        """Return the values of ``row`` as they are; raise ``TypeError`` for another class."""
        if not isinstance(row, self.model):
            raise TypeError(f"rows are {self.model.__name__}, got {row!r}")
        return self._get(row) if self._several else (self._get(row),)

    def settled(self, values: Values) -> Values:
        """Return what stands in the table for these values; raise ``ValueError``."""
        changed: list[Any] | None = None
        for place, (value, plain, null) in enumerate(
            zip(values, self._plain, self._null, strict=True)
        ):
            kind = type(value)
            if kind is plain:
                if kind is str:
                    if value.isascii() and "\x00" not in value:
                        continue
                elif kind is int:
                    if -INT_MAX <= value <= INT_MAX:
                        continue
                elif kind is datetime:
                    if value.tzinfo is UTC:
                        continue
                elif kind is not float:
                    continue
            elif value is None and null:
                continue
            if changed is None:
                changed = list(values)
            changed[place] = self.columns[place].freeze(value)
        return values if changed is None else tuple(changed)

    def changed(self, values: Values, before: Values) -> Values:
        """Return what stands in the table for a row of ``before`` that has these values now.

        What is the same object as before was settled then, and is not looked at again.
        """
        differs = [place for place, same in enumerate(map(is_, values, before)) if not same]
        if not differs:
            return before
        settled = list(before)
        for place in differs:
            value = values[place]
            is_small = type(value) is int and self._plain[place] is int and value >= -INT_MAX
            if not is_small or value > INT_MAX:
                value = self.columns[place].freeze(value)
            settled[place] = value
        after = tuple(settled)
        return before if after == before else after

    def thaw(self, values: Values) -> Any:
        """Return a new row of the model."""
        if self._thaws:
            thawed = list(values)
            for place, thaw in self._thaws:
                if thawed[place] is not None:
                    thawed[place] = thaw(thawed[place])
            return self._make(*thawed)
        return self._make(*values)


def _columns(place: str, model: Any) -> tuple[Column, ...]:
    if not isinstance(model, type) or not (issubclass(model, BaseModel) or is_dataclass(model)):
        raise InvalidDefinition(
            f"{place} has rows of {model!r}, expected a pydantic model or a dataclass"
        )
    annotations = _annotations(place, model)
    if not annotations or len(annotations) > COLUMNS_MAX:
        raise InvalidDefinition(
            f"{place}: {model.__name__} has {len(annotations)} fields, expected 1 to {COLUMNS_MAX}"
        )
    seen: dict[str, str] = {}
    for name in annotations:
        if not NAME.fullmatch(name):
            raise InvalidDefinition(f"{place}: field {name!r} is no name of a column; rename it")
        if seen.setdefault(name.lower(), name) != name:
            raise InvalidDefinition(
                f"{place}: fields {seen[name.lower()]!r} and {name!r} would be one column in "
                "some databases; rename one"
            )
    return tuple(_column(place, name, annotation) for name, annotation in annotations.items())


def _annotations(place: str, model: Any) -> dict[str, Any]:
    try:
        if issubclass(model, BaseModel):
            return {name: field.annotation for name, field in model.model_fields.items()}
        hints = get_type_hints(model)
    except NameError as error:
        raise InvalidDefinition(f"{place}: {model.__name__} is annotated with {error}") from error
    return {field.name: hints[field.name] for field in fields(model)}


def _column(place: str, name: str, annotation: Any) -> Column:
    try:
        return column(name, annotation)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation) as error:
        raise InvalidDefinition(
            f"{place}: field {name!r} is {annotation!r}, which has no JSON"
        ) from error


def _maker(model: Any, names: Sequence[str]) -> Callable[..., Any]:
    """Return what makes a row of its values, without validating again what was put."""
    if issubclass(model, BaseModel):
        construct = model.model_construct
        return lambda *values: construct(**dict(zip(names, values, strict=True)))
    if any(field.kw_only or not field.init for field in fields(model)):
        return lambda *values: model(**dict(zip(names, values, strict=True)))
    return model  # type: ignore[no-any-return]
