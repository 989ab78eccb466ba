"""Events with every field said, and with as few as possible, made from their annotations."""

from __future__ import annotations

import types
import typing
from datetime import UTC, datetime
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from runfold.kernel.event import Event

MOMENT = datetime(2026, 11, 22, 12, 30, 15, 250_000, tzinfo=UTC)
_PLAIN: dict[Any, Any] = {
    str: "text", int: 7, float: 1.5, datetime: MOMENT,
    Any: {"deep": [1, 2.5, None, "ü", False, {}]},
}  # fmt: skip


def full(cls: type[Event]) -> Event:
    """Return an event in which no field has its default."""
    return cls.model_validate({name: _value(cls, name) for name in cls.model_fields})


def least(cls: type[Event]) -> Event:
    """Return an event with its required fields only."""
    needed = [name for name, one in cls.model_fields.items() if one.is_required()]
    return cls.model_validate({name: _value(cls, name) for name in needed})


def _value(cls: type[BaseModel], name: str) -> Any:
    field = cls.model_fields[name]
    return _of(field.annotation, default=field.default)


def _of(kind: Any, *, default: Any = None) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is bool:
        return default is not True
    if kind in _PLAIN:
        return _PLAIN[kind]
    if origin is Literal:
        return next(one for one in reversed(arguments) if one != default)
    if origin in {typing.Union, types.UnionType}:
        return _of(next(one for one in arguments if one is not type(None)))
    if origin in {tuple, list}:
        return [_of(arguments[0])]
    if origin is dict:
        return {"name": _of(arguments[1])}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: _value(kind, name) for name in kind.model_fields}
    raise TypeError(f"no sample for {kind!r}: say one in tests/golden/samples.py")
