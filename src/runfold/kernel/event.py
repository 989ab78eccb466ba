"""An event and the envelope it is recorded in.

An *event* is a fact in the past, a frozen pydantic model with a stable ``TOPIC``: the name
under which it is stored, which never changes while the class may. Around it stands an
*envelope*: before recording a ``Draft``, after it a ``Recorded`` with its place. What an
engine has to know without opening the payload (step, activation, attempt, key of a limit)
is part of the envelope, so a store can write ``step.started`` for a hundred claimed jobs
from one encoded payload.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Event(BaseModel):
    """The base of every event: immutable, named on the wire in camelCase.

    ``class_version`` counts the shapes that this type has had; a subclass at version n has
    static methods ``upcast_v1_v2`` ... ``upcast_v<n-1>_v<n>``, each changing a decoded state
    (a dict with the names of the wire) in place.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    TOPIC: ClassVar[str]
    class_version: ClassVar[int] = 1


E = TypeVar("E", bound=Event)


def maker(cls: type[E]) -> Callable[[dict[str, Any]], E]:
    """Return what makes events of ``cls`` from their fields, checked as by the class itself.

    It takes two thirds of the time that a call of the class takes: for events of every step.
    """
    return cls.__pydantic_validator__.validate_python


class Draft(NamedTuple):
    """An event on its way into the log: what happened, and to which attempt of which step."""

    event: Event
    step: str | None = None
    activation: int | None = None
    attempt: int | None = None
    key: str | None = None
    cause: int | None = None
    """The version, in the same stream, of the event that caused this one."""


class Recorded(NamedTuple):
    """An event in the log: the draft and its place."""

    position: int
    """Place in the log, from 1, contiguous; 0 for an event that is folded ahead of its commit."""
    stream: int
    """The number of its stream: the position of the stream's first event."""
    version: int
    """Place in the stream, from 1, contiguous."""
    ts: datetime
    """When it was recorded, by the clock of the store; never lower than the event before it."""
    event: Event
    step: str | None = None
    activation: int | None = None
    attempt: int | None = None
    key: str | None = None
    cause: int | None = None
    state: bytes | None = None
    """The event as it is stored, where it is at hand."""
