"""Plain JSON from objects of no annotation, and a look for what JSON would not bring back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from runfold.errors import InvalidInput

DEPTH_MAX = 200
"""How deep a value may nest; deeper ones are refused, so a cycle is too."""

ATOMS = frozenset({int, bool, type(None)})
"""Types whose values are plain JSON, whatever they are."""

_HAVE_PARTS = frozenset({dict, list})

Path = tuple[str | int, ...]
Faults = list[tuple[str, str]]


class _Odd(Exception):
    """Something that is not plain JSON already."""


def dump(value: Any, where: str) -> Any:
    """Return ``value`` as plain JSON; raise ``InvalidInput`` with the paths of what cannot be."""
    if type(value) in ATOMS:
        return value
    try:
        return _copy(value, 0)
    except _Odd:
        faults: Faults = []
        made = _dump(value, (), faults)
    if faults:
        raise refuse(where, faults)
    return made


def copy(stored: Any) -> Any:
    """Return plain JSON that shares nothing with ``stored``, which is plain JSON."""
    kind = type(stored)
    if kind is dict:
        # No comprehension, which is a function of its own: most have few values, and no parts.
        made = {}
        for key, inner in stored.items():
            made[key] = copy(inner) if type(inner) in _HAVE_PARTS else inner
        return made
    if kind is list:
        return [copy(inner) for inner in stored]
    return stored


def look(value: Any, where: str, *, leaves: bool = False) -> None:
    """Raise ``InvalidInput`` when ``value`` holds something that JSON would not bring back.

    With ``leaves`` everything without parts is tried by itself, which finds the path of an
    object that pydantic does not know.
    """
    faults: Faults = []
    _look(value, (), faults, leaves)
    if faults:
        raise refuse(where, faults)


def refuse(where: str, faults: Faults) -> InvalidInput:
    """Return the ``InvalidInput`` that names ``where`` and every (path, message)."""
    told = "; ".join(f"{loc}: {msg}" if loc else msg for loc, msg in faults[:5])
    more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
    return InvalidInput(
        f"{where} does not fit: {told}{more}",
        details=[{"loc": loc, "msg": msg} for loc, msg in faults],
    )


def _copy(value: Any, depth: int) -> Any:
    """Return a copy of what is plain JSON already; keeps no path, so it is quick."""
    kind = type(value)
    if kind in ATOMS or (kind is str and _is_utf8(value)):
        return value
    if kind is float and math.isfinite(value):
        return value
    if depth > DEPTH_MAX:
        raise _Odd
    if kind is dict:
        made = {}
        for key, inner in value.items():
            if type(key) is not str or not (key.isascii() or _is_utf8(key)):
                raise _Odd
            made[key] = inner if type(inner) in ATOMS else _copy(inner, depth + 1)
        return made
    if kind is list or kind is tuple:
        return [_copy(inner, depth + 1) for inner in value]
    raise _Odd


def _dump(value: Any, path: Path, faults: Faults) -> Any:
    kind = type(value)
    if kind in ATOMS:
        return value
    if len(path) > DEPTH_MAX:
        _deep(path, faults)
        return None
    if kind is dict:
        return {_key(k, path, faults): _dump(v, (*path, k), faults) for k, v in value.items()}
    if kind is list or kind is tuple:
        return [_dump(v, (*path, i), faults) for i, v in enumerate(value)]
    if kind is set or kind is frozenset:
        # Its order is that of this process; what is stored is compared, and hashed.
        made = [_dump(v, (*path, i), faults) for i, v in enumerate(value)]
        return made if faults else sorted(made, key=to_json)
    before = len(faults)
    _look(value, path, faults, leaves=False)
    if len(faults) > before:
        return None
    made = _alone(value, path, faults)
    if len(faults) > before:  # It is refused as a whole: say which part of it, where one is.
        whole = faults.pop()
        _look(value, path, faults, leaves=True)
        if len(faults) == before:
            faults.append(whole)
    return made


def _alone(value: Any, path: Path, faults: Faults) -> Any:
    """Return one object as pydantic writes it without being told a type."""
    try:
        made = to_jsonable_python(value, round_trip=True)
        to_json(made)
        return made
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        faults.append((_dotted(path), _message(error, value)))
        return None


def _look(value: Any, path: Path, faults: Faults, leaves: bool) -> None:
    found = _fault(value)
    if found is not None:
        faults.append((_dotted(path), found))
        return
    if len(path) > DEPTH_MAX:
        _deep(path, faults)
        return
    parts = _parts(value)
    if parts is None:
        if leaves:
            _alone(value, path, faults)
        return
    for name, inner in parts:
        if type(inner) not in ATOMS:
            _look(inner, (*path, name), faults, leaves)


def _parts(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return what a model, dataclass or collection consists of, by name; None for a leaf."""
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, list | tuple | set | frozenset):
        return enumerate(value)
    if isinstance(value, BaseModel):
        return [*value.__dict__.items(), *(value.__pydantic_extra__ or {}).items()]
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name, None)) for field in fields(value)]
    return None


def _fault(value: Any) -> str | None:
    """Return why JSON would not bring ``value`` back, None when it would."""
    if isinstance(value, float):
        return None if math.isfinite(value) else _no_number(value)
    if isinstance(value, str):
        return None if _is_utf8(value) else "the text has a lone surrogate"
    if isinstance(value, datetime):
        aware = value.tzinfo is not None and value.utcoffset() is not None
        return None if aware else "a datetime without a time zone; use datetime.now(timezone.utc)"
    if isinstance(value, Decimal):
        return None if value.is_finite() else _no_number(value)
    return None


def _no_number(value: float | Decimal) -> str:
    return f"{value} is no JSON number; use None or a text"


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _key(key: Any, path: Path, faults: Faults) -> str:
    if type(key) is str and _is_utf8(key):
        return key
    try:
        made = to_jsonable_python({key: None})
        to_json(made)
        return str(next(iter(made)))
    except (PydanticSerializationError, ValueError) as error:
        faults.append((_dotted((*path, repr(key))), f"as a key: {_message(error, key)}"))
        return repr(key)


def _message(error: Exception, value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return "the bytes are no UTF-8; encode them, or say ser_json_bytes in a model"
    if isinstance(error, PydanticSerializationError):
        return f"{type(value).__name__!r} is no type that pydantic can store"
    return str(error)


def _deep(path: Path, faults: Faults) -> None:
    faults.append((_dotted(path[:8]), f"nests deeper than {DEPTH_MAX}"))


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
