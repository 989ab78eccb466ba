"""Which runs somebody asks for: checked when asked, and the same whoever answers.

A query says what must be true of a run; it can be asked of a run's first event, which is
cheap to read and rules out most, and of its state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runfold.client.filters import checked_moment, checked_name, checked_tags, refused
from runfold.wire import RunState

LIMIT_MAX = 1000
"""How many runs one page holds at most."""
CURSOR_DIGITS_MAX = 18
"""The longest cursor that was ever given out: a number of 63 bits."""
ORDERS = ("newest", "next")
OPEN = frozenset({"scheduled", "running", "awaiting", "paused", "cancelling", "failing"})
ENDED = frozenset({"completed", "failed", "cancelled"})
STATUSES = OPEN | ENDED

Wanted = frozenset[tuple[str, bool | None]]
"""Statuses, each with whether a first attempt must have been claimed (None: either way)."""


def _any(*statuses: str) -> Wanted:
    return frozenset((status, None) for status in statuses)


ALIASES: Mapping[str, Wanted] = {
    # what other systems call it, in capitals: what it is here
    "PENDING": frozenset({("scheduled", None), ("running", False)}),
    "QUEUED": frozenset({("scheduled", None), ("running", False)}),
    "WAITING": frozenset({("running", False)}),
    "DELAYED": _any("scheduled"),
    "PROCESSING": frozenset({("running", True)}),
    "ACTIVE": frozenset({("running", True)}),
    "IN_PROGRESS": _any(*OPEN),
    "SUSPENDED": _any("awaiting"),
    "ABORTING": _any("cancelling"),
    "ABORTED": _any("cancelled"),
    "CANCELED": _any("cancelled"),
    "SUCCEEDED": _any("completed"),
    "DONE": _any("completed"),
    "DISABLED": _any("failed"),
    "ERROR": _any("failed"),
    "DEAD": _any("failed"),
    "FINISHED": _any(*ENDED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """What must be true of a run; an empty query takes every run."""

    flow: str | None = None
    wanted: Wanted = frozenset()
    tags: frozenset[str] = frozenset()
    queue: str | None = None
    """The queue of its entry."""
    since: datetime | None = None
    until: datetime | None = None

    def takes_start(self, flow: str, tags: Collection[str], created_at: datetime) -> bool:
        """Return whether a run that began so may be wanted."""
        return (
            self.flow in (None, flow)
            and self.tags <= set(tags)
            and (self.since is None or created_at >= self.since)
            and (self.until is None or created_at < self.until)
        )

    @property
    def asks_start(self) -> bool:
        """Whether it takes the first event of a run to answer, beside its flow."""
        return bool(self.tags) or self.since is not None or self.until is not None

    @property
    def asks_state(self) -> bool:
        """Whether it takes more than the first event of a run to answer."""
        return bool(self.wanted) or self.queue is not None

    def takes(self, state: RunState) -> bool:
        """Return whether a run in this state is wanted."""
        assert state.created_at is not None
        has_status = not self.wanted or any(
            status == state.status and begun in (None, state.started_at is not None)
            for status, begun in self.wanted
        )
        return (
            has_status
            and self.queue in (None, state.queue)
            and self.takes_start(state.name, state.tags, state.created_at)
        )


def run_query(
    flow: str | None,
    *,
    status: Any = None,
    tags: Any = None,
    queue: Any = None,
    since: Any = None,
    until: Any = None,
) -> RunQuery:
    """Return the query; raises ``InvalidInput`` naming what cannot be asked."""
    since, until = checked_moment("since", since), checked_moment("until", until)
    if since is not None and until is not None and since > until:
        raise refused("until", f"until is {until!r}, which is before since ({since!r})")
    return RunQuery(
        flow=flow, wanted=_wanted(status), tags=checked_tags(tags),
        queue=checked_name("queue", queue), since=since, until=until,
    )  # fmt: skip


def checked_limit(limit: Any) -> int:
    """Return ``limit``; raises ``InvalidInput`` unless it is 1 to 1000."""
    fits = isinstance(limit, int) and not isinstance(limit, bool)
    if not fits or not 1 <= limit <= LIMIT_MAX:
        raise refused("limit", f"limit is {limit!r}, expected 1 to {LIMIT_MAX}")
    return int(limit)


def checked_cursor(cursor: Any) -> int | None:
    """Return the place that a page's ``next`` stands for; raises ``InvalidInput``."""
    if cursor is None:
        return None
    fits = isinstance(cursor, str) and cursor.isascii() and cursor.isdecimal()
    if not fits or len(cursor) > CURSOR_DIGITS_MAX:
        raise refused("cursor", f"cursor is {cursor!r}, expected the next of an earlier page")
    return int(cursor)


def _wanted(status: Any) -> Wanted:
    if status is None:
        return frozenset()
    many = isinstance(status, Collection) and not isinstance(status, str | bytes | Mapping)
    names = list(status) if many else [status]
    if not names:
        raise refused("status", "status is an empty list, which no run fits; leave it out")
    return frozenset(one for name in names for one in _of_name(name))


def _of_name(name: Any) -> Wanted:
    if isinstance(name, str):
        if name.lower() in STATUSES:
            return _any(name.lower())
        if name.upper() in ALIASES:
            return ALIASES[name.upper()]
    raise refused(
        "status",
        f"status is {name!r}, expected one of {sorted(STATUSES)}, or an alias: {sorted(ALIASES)}",
    )
