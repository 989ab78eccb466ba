"""Which events somebody wants to see: checked when asked, before anything is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from runfold.errors import InvalidInput
from runfold.flow.events import REGISTRY
from runfold.wire import LogEvent

POSITION_DIGITS_MAX = 18
"""The longest position, as text: a number of 63 bits."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What must be true of an event; an empty filter takes every one."""

    types: frozenset[str] = frozenset()
    flow: str | None = None
    queue: str | None = None

    def takes_type(self, topic: str) -> bool:
        """Return whether events of this type may be wanted: asked before one is decoded."""
        return not self.types or topic in self.types

    def may_take(self, topic: str, flow: str | None) -> bool:
        """Return whether such an event may be wanted: asked before it is shown."""
        return self.takes_type(topic) and self.flow in (None, flow)

    def takes(self, event: LogEvent) -> bool:
        """Return whether the event is wanted."""
        is_in_queue = self.queue is None or event.data.get("queue") == self.queue
        return is_in_queue and self.may_take(event.type, event.flow_name)


def checked_types(types: Any) -> frozenset[str]:
    """Return the types; raises ``InvalidInput`` for a name that no event has."""
    fits = isinstance(types, Iterable) and not isinstance(types, str | bytes | Mapping)
    wanted = list(types) if fits else [types]
    if not fits or not all(isinstance(one, str) for one in wanted):
        raise refused("types", f"types are {types!r}, expected a list of event types")
    for name in wanted:
        if name not in REGISTRY:
            near = get_close_matches(name, REGISTRY, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "the reference of events lists them"
            raise refused("types", f"types hold {name!r}, which no event is called; {hint}")
    return frozenset(wanted)


def checked_position(after: Any) -> int:
    """Return ``after``, 0 for None; raises ``InvalidInput`` for what no event has as its id."""
    if after is None:
        return 0
    if isinstance(after, bool) or not isinstance(after, int) or after < 0:
        raise refused("after", f"after is {after!r}, expected the id of an event, or 0")
    return after


def last_event_id(after: Any) -> int:
    """Return the position that a ``Last-Event-ID`` names; 0 without one (None or empty)."""
    if after is None or isinstance(after, int):
        return checked_position(after)
    digits = after.strip() if isinstance(after, str) else None
    if digits == "":
        return 0
    if digits is None or not (digits.isascii() and digits.isdecimal()):
        raise refused("after", f"after is {after!r}, expected the id of an event")
    if len(digits) > POSITION_DIGITS_MAX:
        raise refused("after", f"after is {after!r}, which is longer than any id")
    return int(digits)


def checked_name(option: str, value: Any) -> str | None:
    """Return ``value`` if it is None or a name; raises ``InvalidInput``."""
    if value is None or (isinstance(value, str) and value):
        return value
    raise refused(option, f"{option} is {value!r}, expected a name")


def checked_tags(tags: Any) -> frozenset[str]:
    """Return the tags, none for None; raises ``InvalidInput``."""
    if tags is None:
        return frozenset()
    fits = isinstance(tags, Collection) and not isinstance(tags, str | bytes | Mapping)
    if not fits or not all(isinstance(tag, str) for tag in tags):
        raise refused("tags", f"tags are {tags!r}, expected a list of strings")
    return frozenset(tags)


def checked_moment(field: str, value: Any) -> datetime | None:
    """Return ``value`` if it is None or a moment with a time zone; raises ``InvalidInput``."""
    if value is None or (isinstance(value, datetime) and value.utcoffset() is not None):
        return value
    raise refused(field, f"{field} is {value!r}, expected a datetime with a time zone")


def refused(field: str, message: str) -> InvalidInput:
    """Return the error that names a field of a question."""
    return InvalidInput(message, details=[{"loc": field, "msg": message}])
