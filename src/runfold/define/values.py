"""Values between handlers and the log: Python objects out of JSON, and into it.

What is stored is plain JSON (dict, list, str, int, float, bool, None), written by pydantic as
the annotation says. What a receiver gets is always built from that plain JSON, on the first
execution too. Nothing is stored that would come back as something else without anyone being
told: NaN, infinity, naive datetimes, bytes that are no UTF-8 and objects that pydantic does
not know are refused, with the path of the field.

A subclass of an annotated model is stored with the fields of the annotation: the annotation
is the contract of the receiver, and what it does not name is not in the log. Where nothing is
annotated (``Any``), a model is stored with all of its own fields. Computed fields are not
stored: reading computes them again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import (
    PydanticSerializationError,
    SchemaError,
    SchemaSerializer,
    SchemaValidator,
    to_json,
)

from runfold.define import plain
from runfold.define.shape import Shape, shape_of
from runfold.define.typed_dicts import NEEDS_HELP, modern
from runfold.errors import InvalidDefinition, InvalidInput

FIELDS_MAX = 100
"""How many fields an ``InvalidInput`` lists at most."""


class Value:
    """How values of one annotation are written and read; building one checks the annotation.

    Raises ``InvalidDefinition`` for an annotation that pydantic cannot store.
    """

    __slots__ = ("_load", "_serialize", "_shape", "_validate", "annotation")

    def __init__(self, annotation: Any = Any) -> None:
        self.annotation = annotation
        self._shape: Shape | None = None
        if annotation is Any or annotation is object:
            return
        self._shape, validator, serializer = _built(annotation)
        names = {"by_alias": True, "by_name": True} if self._shape.has_aliases else {}
        self._validate = _call(validator.validate_python, names)
        self._load = (
            _call(validator.validate_json, names) if self._shape.reads_json else (self._validate)
        )
        self._serialize = partial(
            serializer.to_python, mode="json", round_trip=True, warnings="error"
        )

    def __repr__(self) -> str:
        return f"Value({self.annotation!r})"

    def dump(self, value: Any, where: str) -> Any:
        """Return ``value`` as plain JSON; ``where`` names the place in errors.

        Raises ``InvalidInput``, whose details are ``[{"loc": "rows.0.at", "msg": ...}]``.
        """
        shape = self._shape
        if shape is None:
            return plain.dump(value, where)
        try:
            checked = self._validate(value)
        except ValidationError as error:
            raise invalid(error, where) from error
        if shape.looks_inside:
            plain.look(checked, where)
        if type(checked) in plain.ATOMS:
            return checked
        try:
            made = self._serialize(checked)
            if shape.has_text:
                to_json(made)  # Pydantic lets a lone surrogate pass; no log can hold it.
            return made
        except (PydanticSerializationError, UnicodeError) as error:
            plain.look(checked, where, leaves=True)
            raise plain.refuse(where, [("", " ".join(str(error).split()))]) from error

    def load(self, stored: Any, where: str = "value") -> Any:
        """Return the object that ``stored`` (plain JSON) stands for, as annotated.

        It shares nothing with ``stored``, which may stand in an event that others read.
        Raises ``InvalidInput`` when it does not fit.
        """
        shape = self._shape
        if shape is None:
            return plain.copy(stored)
        try:
            if shape.reads_json:
                return self._load(to_json(stored))
            return self._load(plain.copy(stored) if shape.is_open else stored)
        except ValidationError as error:
            raise invalid(error, where) from error

    def again(self, stored: Any, where: str) -> Any:
        """Return ``stored`` as it is written after having been read: checked and complete."""
        return self.dump(self.load(stored, where), where)


ANY = Value(Any)
"""Plain JSON, in and out."""


def value_of(annotation: Any) -> Value:
    """Return the ``Value`` of ``annotation``, built once for each annotation."""
    if annotation is Any:
        return ANY
    try:
        return _cached(annotation)
    except TypeError:  # An annotation may hold something unhashable.
        return Value(annotation)


def invalid(error: ValidationError, where: str) -> InvalidInput:
    """Return what pydantic says as an ``InvalidInput`` with field paths."""
    faults = [
        (".".join(map(str, item["loc"])), item["msg"])
        for item in error.errors(include_url=False, include_context=False)[:FIELDS_MAX]
    ]
    return plain.refuse(where, faults)


@lru_cache(maxsize=4096)
def _cached(annotation: Any) -> Value:
    return Value(annotation)


def _call(method: Callable[..., Any], names: dict[str, bool]) -> Callable[[Any], Any]:
    return partial(method, **names) if names else method


def _built(annotation: Any) -> tuple[Shape, SchemaValidator, SchemaSerializer]:
    try:
        wanted = modern(annotation) if NEEDS_HELP else annotation
        adapter: TypeAdapter[Any] = TypeAdapter(wanted)
        adapter.rebuild(raise_errors=True)  # Names what is not defined; else does nothing.
        shape = shape_of(adapter.core_schema)
        if shape.mended is None:
            return shape, cast("SchemaValidator", adapter.validator), adapter.serializer
        # Without ``_use_prebuilt=False`` inner models would bring their own, unmended, along.
        validator = SchemaValidator(shape.mended, _use_prebuilt=False)
        return shape, validator, SchemaSerializer(shape.mended, _use_prebuilt=False)
    except (PydanticUserError, SchemaError, NameError, TypeError) as error:
        raise InvalidDefinition(
            f"{annotation!r} cannot be stored: {_first_sentence(error)}; use a pydantic model, "
            "a dataclass, a TypedDict or a type that pydantic knows, or leave the annotation out"
        ) from error


def _first_sentence(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0].split(". ", 1)[0].rstrip(".")
