"""Subscriptions: when a step is activated, and what it is given.

A bare topic or name activates the step once for each emit. ``any_of`` does so for several,
``all_of`` joins one of each, ``collect`` waits until nothing more can come, ``after`` and
``failed`` take the ends of another step.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from runfold.define.failure import Failure
from runfold.define.topic import Item, Source, Topic
from runfold.errors import InvalidDefinition

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")

Named = Source[Any] | str


@dataclass(frozen=True, eq=False)
class AnyOf(Source[A]):
    """Each of several, one activation each."""

    items: tuple[Item, ...]


@dataclass(frozen=True, eq=False)
class AllOf(Source[Any]):
    """One of each part."""

    parts: dict[str, tuple[Item, ...]]
    by: str | None


@dataclass(frozen=True, eq=False)
class Collect(Source[list[A]]):
    """Everything of one source."""

    items: tuple[Item, ...]
    at_least: int


@overload
def any_of(first: Source[A], /) -> Source[A]: ...
@overload
def any_of(first: Source[A], second: Source[B], /) -> Source[A | B]: ...
@overload
def any_of(first: Source[A], second: Source[B], third: Source[C], /) -> Source[A | B | C]: ...
@overload
def any_of(
    first: Source[A], second: Source[B], third: Source[C], fourth: Source[D], /
) -> Source[A | B | C | D]: ...
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
def collect(source: Source[A], *, at_least: int = 1) -> Source[list[A]]: ...
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


@overload
def after(step: Callable[..., Coroutine[Any, Any, A]]) -> Source[A]: ...
@overload
def after(step: Callable[..., A]) -> Source[A]: ...
@overload
def after(step: str) -> Source[Any]: ...
def after(step: Callable[..., Any] | str) -> Source[Any]:
    """Return a subscription to the results of ``step`` (its function or name)."""
    return AnyOf((Item("after", step),))


@overload
def failed(step: Callable[[], Any]) -> Source[Failure[Any]]: ...
@overload
def failed(step: Callable[[A], Any]) -> Source[Failure[A]]: ...
@overload
def failed(step: Callable[[A, Any], Any]) -> Source[Failure[A]]: ...
@overload
def failed(step: str) -> Source[Failure[Any]]: ...
def failed(step: Callable[..., Any] | str) -> Source[Any]:
    """Return a subscription to the final failures of ``step`` (its function or name)."""
    return AnyOf((Item("failed", step),))


def items_of(source: Named, where: str) -> tuple[Item, ...]:
    """Return where ``source`` takes its values from; joins do not nest."""
    if isinstance(source, str | Topic):
        return (Item("emit", source),)
    if isinstance(source, AnyOf):
        return source.items
    if isinstance(source, AllOf | Collect):
        inner = "all_of" if isinstance(source, AllOf) else "collect"
        raise InvalidDefinition(
            f"{inner}() inside {where}() is not supported; give it a step of its own"
        )
    raise InvalidDefinition(
        f"{where}() was given {source!r}; expected a Topic, the name of an event, after(step) "
        "or failed(step)"
    )


def _label(item: Item) -> str:
    if isinstance(item.what, str):
        return item.what
    name = getattr(item.what, "name", None) or getattr(item.what, "__name__", None)
    return str(name)


def _add(parts: dict[str, tuple[Item, ...]], label: str, items: tuple[Item, ...]) -> None:
    if label in parts:
        raise InvalidDefinition(f"all_of() names {label!r} twice; give each a keyword of its own")
    parts[label] = items
