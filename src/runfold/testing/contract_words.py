"""What contract tests of limits say them with."""

from __future__ import annotations

from datetime import UTC, datetime

from runfold.ports import Limit

NEVER = datetime.max.replace(tzinfo=UTC)
"""The end of what is closed until somebody opens it."""
QUEUE, STEP = "queue:default", "step:flow/step"
"""The two scopes of limits that tests set."""
ALL, KEYED, STEPS = f"{QUEUE}#0", f"{QUEUE}#1", f"{STEP}#0"
"""A limit of the whole queue, which rows do not name; one by key; one of a step."""


def at_once(place: str, most: int, *, keyed: bool = False) -> Limit:
    """Return the limit ``place`` (``<scope>#<n>``) of so many leased jobs."""
    return Limit(place, "concurrency", most, None, keyed)


def in_any(per: float, place: str, most: int, *, keyed: bool = False) -> Limit:
    """Return the limit ``place`` of so many starts in any ``per`` seconds."""
    return Limit(place, "rate", most, per, keyed)
