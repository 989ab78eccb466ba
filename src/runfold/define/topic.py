"""What a step can subscribe to: topics, and sources made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from runfold.define.options import check_name
from runfold.define.values import Value, value_of

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(Generic[T_co]):
    """Something that gives a subscriber values of type ``T_co``."""

    __slots__ = ()


class Topic(Source[T], Generic[T]):
    """The name of an event, and the type of its payload (without one: plain JSON).

    Equal names are one event, within each flow for itself. ``Topic("x", None)`` carries
    nothing.
    """

    __slots__ = ("name", "type")

    @overload
    def __init__(self: Topic[Any], name: str) -> None: ...
    @overload
    def __init__(self: Topic[None], name: str, type: None) -> None: ...
    @overload
    def __init__(self, name: str, type: type[T]) -> None: ...
    @overload
    def __init__(self: Topic[Any], name: str, type: Any) -> None: ...
    def __init__(self, name: str, type: Any = Any) -> None:  # noqa: A002 - as callers know it
        check_name(name, "topic")
        self.name = name
        self.type: Any = type

    def __repr__(self) -> str:
        return f"Topic({self.name!r})"

    @property
    def value(self) -> Value:
        """How its payloads are written and read."""
        return value_of(self.type)


@dataclass(frozen=True)
class Item:
    """One place where values come from, as it was written down."""

    kind: str
    """``emit``, ``after`` or ``failed``."""
    what: Any
    """A topic, the name of an event or step, or a step's function."""


def topic_name(topic: Topic[Any] | str) -> str:
    """Return the name of the event that ``topic`` stands for."""
    if isinstance(topic, Topic):
        return topic.name
    check_name(topic, "topic")
    return topic
