"""What the stores share about limits: names of buckets, and what a bucket answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

NEVER = datetime.max.replace(tzinfo=UTC)
"""What is closed until then is opened by hand, not by time."""
SEPARATOR = "\x1e"
"""Between the buckets of a lane, where it is one text."""
PRIORITY_MAX = 10
ALARMS_PER_CLAIM = 100
"""How many buckets a claim tries at most because their time has come."""
MANY = 1 << 30
"""Room of what has no limit."""


class Verdict(NamedTuple):
    """How many more a bucket admits; if none, when time alone may open it."""

    room: int
    due: datetime | None = None


def joined(limits: Sequence[str]) -> str | None:
    """Return the lane with these buckets as one text; None where there are none."""
    return SEPARATOR.join(limits) if limits else None


def limit_of(bucket: str) -> str:
    """Return the id of the limit that ``bucket`` is of."""
    return bucket.partition("=")[0]


def asked_of(queue: str, limits: tuple[str, ...], key: str | None) -> tuple[str, ...]:
    """Return the buckets that must admit a job, with the closure of its key last."""
    if key is None:
        return limits
    return tuple(dict.fromkeys((*limits, f"queue:{queue}={key}")))


def together(verdicts: list[Verdict]) -> Verdict:
    """Return what all of these admit; due when the last of those that refuse is."""
    shut = [verdict.due for verdict in verdicts if not verdict.room]
    dues = [due for due in shut if due is not None]
    room = min(verdict.room for verdict in verdicts)
    return Verdict(room, max(dues) if dues and len(dues) == len(shut) else None)


def looks(limit: int) -> int:
    """Return how many heads that are refused a claim of ``limit`` looks at, at most."""
    return 4 * limit + 16
