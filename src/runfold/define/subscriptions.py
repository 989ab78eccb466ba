"""Subscriptions: when a step is activated, and what it is given.

A bare topic or name activates the step once for each emit. ``any_of`` does so for several,
``all_of`` joins one of each, ``collect`` waits until nothing more can come, ``after`` and
``failed`` take the ends of another step.
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

from runfold.define.ends import after, failed
from runfold.define.sources import AllOf, AnyOf, Collect, Named, items_of
from runfold.define.topic import Item, Source
from runfold.errors import InvalidDefinition

__all__ = ["after", "all_of", "any_of", "collect", "failed"]

_A = TypeVar("_A")
_B = TypeVar("_B")
_C = TypeVar("_C")
_D = TypeVar("_D")


@overload
def any_of(first: Source[_A], /) -> Source[_A]: ...
@overload
def any_of(first: Source[_A], second: Source[_B], /) -> Source[_A | _B]: ...
@overload
def any_of(first: Source[_A], second: Source[_B], third: Source[_C], /) -> Source[_A | _B | _C]: ...
@overload
def any_of(
    first: Source[_A], second: Source[_B], third: Source[_C], fourth: Source[_D], /
) -> Source[_A | _B | _C | _D]: ...
@overload
def any_of(*sources: Named) -> Source[Any]: ...
def any_of(*sources: Named) -> Source[Any]:
    """Return a subscription to each of ``sources``: one activation for each arrival."""
    if not sources:
        raise InvalidDefinition("any_of() names nothing to subscribe to")
    items = [item for source in sources for item in items_of(source, "any_of")]
    return AnyOf(tuple(dict.fromkeys(items)))


def all_of(*sources: Named, by: str | None = None, **labelled: Named) -> Source[Any]:
    """Return a subscription to one of each: the input is a dict by name, or by keyword.

    Without ``by`` the k-th of each are paired, within one lane; with ``by`` those whose
    payloads have an equal value at that dotted path.
    """
    parts: dict[str, tuple[Item, ...]] = {}
    for source in sources:
        items = items_of(source, "all_of")
        if len(items) > 1:
            raise InvalidDefinition("any_of() inside all_of() needs a keyword: all_of(x=any_of())")
        _add(parts, _label(items[0]), items)
    for label, source in labelled.items():
        _add(parts, label, items_of(source, "all_of"))
    if not parts:
        raise InvalidDefinition("all_of() names nothing to subscribe to")
    return AllOf(parts, by)


@overload
def collect(source: Source[_A], *, at_least: int = 1) -> Source[list[_A]]: ...
@overload
def collect(source: str, *, at_least: int = 1) -> Source[list[Any]]: ...
def collect(source: Named, *, at_least: int = 1) -> Source[Any]:
    """Return a subscription to everything from ``source``, as one list.

    The step is activated once, when nothing open leads to ``source`` any more; it is skipped
    with fewer than ``at_least``. The list is in the order of the emits that caused it.
    """
    if at_least < 0:
        raise InvalidDefinition(f"at_least is {at_least!r}, expected 0 or more")
    return Collect(items_of(source, "collect"), at_least)


def _label(item: Item) -> str:
    if isinstance(item.what, str):
        return item.what
    name = getattr(item.what, "name", None) or getattr(item.what, "__name__", None)
    return str(name)


def _add(parts: dict[str, tuple[Item, ...]], label: str, items: tuple[Item, ...]) -> None:
    if label in parts:
        raise InvalidDefinition(f"all_of() names {label!r} twice; give each a keyword of its own")
    parts[label] = items
