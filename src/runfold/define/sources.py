"""What subscriptions are made of, as they were written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from runfold.define.topic import Item, Source, Topic
from runfold.errors import InvalidDefinition

T = TypeVar("T")

Named = Source[Any] | str
"""A source, or the name of an event."""


@dataclass(frozen=True, eq=False)
class AnyOf(Source[T]):
    """Each of several, one activation each."""

    items: tuple[Item, ...]


@dataclass(frozen=True, eq=False)
class AllOf(Source[Any]):
    """One of each part."""

    parts: dict[str, tuple[Item, ...]]
    by: str | None


@dataclass(frozen=True, eq=False)
class Collect(Source[list[T]]):
    """Everything of one source."""

    items: tuple[Item, ...]
    at_least: int


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
