"""A row model - a pydantic model or a dataclass - as the columns of a table and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from operator import attrgetter
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
        self._plain = tuple(
            (PLAIN[one.kind] if one.kind is not Kind.JSON and one.thaw is None else None, one.null)
            for one in self.columns
        )
        self._thaws = [(n, one.thaw) for n, one in enumerate(self.columns) if one.thaw]
        self._get = attrgetter(*self.names)
        self._make = _maker(model, self.names)

    def freeze(self, row: Any) -> Values:
        """Return what stands in the table for ``row``; raise ``ValueError`` or ``TypeError``."""
        if not isinstance(row, self.model):
            raise TypeError(f"rows are {self.model.__name__}, got {row!r}")
        values = self._get(row) if len(self.names) > 1 else (self._get(row),)
        return self._settled(values)

    def thaw(self, values: Values) -> Any:
        """Return a new row of the model."""
        if self._thaws:
            thawed = list(values)
            for place, thaw in self._thaws:
                if thawed[place] is not None:
                    thawed[place] = thaw(thawed[place])
            return self._make(thawed)
        return self._make(values)

    def _settled(self, values: Values) -> Values:
        changed: list[Any] | None = None
        for place, (value, (plain, null)) in enumerate(zip(values, self._plain, strict=True)):
            if value is None:
                if null:
                    continue
            elif type(value) is plain and _is_settled(value, plain):
                continue
            if changed is None:
                changed = list(values)
            changed[place] = self.columns[place].freeze(value)
        return values if changed is None else tuple(changed)


def _is_settled(value: Any, plain: type) -> bool:
    """Return whether a value of exactly its column's type stands in the table as it is."""
    if plain is str:
        return value.isascii() and "\x00" not in value
    if plain is int:
        return bool(-INT_MAX <= value <= INT_MAX)
    if plain is datetime:
        return value.tzinfo is UTC
    if plain is float:
        return bool(value) and value - value == 0.0
    return True


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


def _maker(model: Any, names: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    """Return what makes a row of its values, without validating again what was put."""
    if issubclass(model, BaseModel):
        construct = model.model_construct
        return lambda values: construct(**dict(zip(names, values, strict=True)))
    if any(field.kw_only or not field.init for field in fields(model)):
        return lambda values: model(**dict(zip(names, values, strict=True)))
    return lambda values: model(*values)
