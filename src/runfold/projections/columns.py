"""Columns of a row model: which kind each field is, and what stands in the table for a value.

A row in a table is a tuple of plain values in the order of the model's fields: ``str``,
``int``, ``float``, ``bool``, ``datetime`` in UTC, ``bytes``, or None. ``freeze`` turns what a
handler put into that form, ``thaw`` turns it back. Whatever is thawed is equal to what was
frozen, also when it never left memory: batches of other sizes give the same rows.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

from pydantic import TypeAdapter

INT_MAX = 2**63 - 1


class Kind(StrEnum):
    """What a store keeps in a column."""

    TEXT = "text"
    INT = "int"
    REAL = "real"
    BOOL = "bool"
    MOMENT = "moment"
    BYTES = "bytes"
    JSON = "json"


PLAIN: dict[Kind, type] = {
    Kind.TEXT: str,
    Kind.INT: int,
    Kind.REAL: float,
    Kind.BOOL: bool,
    Kind.MOMENT: datetime,
    Kind.BYTES: bytes,
    Kind.JSON: str,
}
"""The type of the frozen values of a kind."""
_KINDS: dict[Any, Kind] = {PLAIN[kind]: kind for kind in Kind if kind is not Kind.JSON}
_AS_TEXT = (date, time, UUID, Decimal)


class Column(NamedTuple):
    """One column: ``freeze`` raises ``ValueError`` for a value that has no place in it."""

    name: str
    kind: Kind
    null: bool
    freeze: Callable[[Any], Any]
    thaw: Callable[[Any], Any] | None
    """None: what stands in the table is the value."""


def column(name: str, annotation: Any) -> Column:
    """Return the column for a field of a row model."""
    inner, null = _optional(annotation)
    known = _KINDS.get(inner) or (Kind.TEXT if _is_words(inner) else None)
    if known is not None:
        return Column(name, known, null, _checked(name, null, _FREEZES[known]), None)
    adapter: TypeAdapter[Any] = TypeAdapter(inner)
    if isinstance(inner, type) and issubclass(inner, (*_AS_TEXT, Enum)) and _is_text(inner):
        freeze, thaw = _by_text(adapter)
        return Column(name, Kind.TEXT, null, _checked(name, null, freeze), thaw)
    freeze = _checked(name, null, lambda value: _json(adapter, value))
    return Column(name, Kind.JSON, null, freeze, adapter.validate_json)


def _optional(annotation: Any) -> tuple[Any, bool]:
    """Return the annotation without None and metadata, and whether None was one of it."""
    if get_origin(annotation) is Annotated:
        return _optional(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        if len(others) < len(get_args(annotation)):
            inner = others[0] if len(others) == 1 else Union[tuple(others)]  # noqa: UP007
            return _optional(inner)[0], True
    return annotation, annotation is Any or annotation is type(None)


def _is_words(annotation: Any) -> bool:
    return get_origin(annotation) is Literal and all(
        type(one) is str for one in get_args(annotation)
    )


def _is_text(kind: type) -> bool:
    return not issubclass(kind, Enum) or all(type(one.value) is str for one in kind)


def _checked(name: str, null: bool, freeze: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def freezes(value: Any) -> Any:
        if value is None:
            if not null:
                raise ValueError(f"column {name!r} is None; annotate it with `| None` to allow it")
            return None
        try:
            return freeze(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"column {name!r}: {error}") from error

    return freezes


def _by_text(
    adapter: TypeAdapter[Any],
) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    def freeze(value: Any) -> str:
        checked = adapter.validate_python(value)
        return _text(adapter.dump_python(checked, mode="json"))

    return freeze, adapter.validate_python


def _json(adapter: TypeAdapter[Any], value: Any) -> str:
    text = adapter.dump_json(adapter.validate_python(value), by_alias=True).decode()
    if "\\u0000" in text:
        raise ValueError("text with a NUL character is not storable")
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected str, got {value!r}")
    if "\x00" in value:
        raise ValueError("text with a NUL character is not storable")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"text is not storable as UTF-8: {error.reason}") from error
    return str.__str__(value)


def _int(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"expected int, got {value!r}")
    if not -INT_MAX - 1 <= value <= INT_MAX:
        raise ValueError(f"{value} has more than 64 bits; use a `str` or Decimal column")
    return int(value)


def _real(value: Any) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"expected float, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value!r}")
    return float(value) + 0.0  # Without the sign of -0.0, which not every store keeps.


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected bool, got {value!r}")
    return value


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"expected datetime, got {value!r}")
    if value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        raise ValueError(f"expected an aware datetime, got {value!r}")
    return value.astimezone(UTC)


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"expected bytes, got {value!r}")
    return bytes(value)


_FREEZES: dict[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: _text,
    Kind.INT: _int,
    Kind.REAL: _real,
    Kind.BOOL: _bool,
    Kind.MOMENT: _moment,
    Kind.BYTES: _bytes,
}
