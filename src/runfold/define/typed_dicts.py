"""``typing.TypedDict`` before Python 3.12, which pydantic takes only from typing_extensions."""

from __future__ import annotations

import sys
import types
import typing
from functools import reduce
from operator import or_
from typing import Any

import typing_extensions

NEEDS_HELP = sys.version_info < (3, 12)


def modern(annotation: Any) -> Any:
    """Return ``annotation`` with every ``typing.TypedDict`` in it as pydantic takes it."""
    if isinstance(annotation, type) and typing.is_typeddict(annotation):
        return _rebuilt(annotation)
    arguments = typing.get_args(annotation)
    made = tuple(modern(argument) for argument in arguments)
    if made == arguments:
        return annotation
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return reduce(or_, made)
    return origin[made]


def fields_of(annotation: Any) -> dict[str, tuple[Any, bool]]:
    """Return (annotation, whether it is needed) of each key of a TypedDict.

    Its own ``__required_keys__`` do not know marks that stand in text, as all do under
    ``from __future__ import annotations``.
    """
    hints = typing.get_type_hints(annotation, include_extras=True)
    found = {}
    for name, hint in hints.items():
        mark = typing.get_origin(hint)
        if mark in (typing.Required, typing.NotRequired):
            found[name] = (typing.get_args(hint)[0], mark is typing.Required)
        else:
            found[name] = (hint, name not in annotation.__optional_keys__)
    return found


def _rebuilt(annotation: Any) -> Any:
    fields = {
        name: modern(hint) if needed else typing_extensions.NotRequired[modern(hint)]
        for name, (hint, needed) in fields_of(annotation).items()
    }
    return typing_extensions.TypedDict(annotation.__name__, fields)  # type: ignore[operator]
