"""What a decision changes beside the log: gates, jobs and timers.

All of it is derived: the same rows come out of folding the log again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from runfold.kernel.event import Draft


class Gate(IntEnum):
    """What a run lets through. Whoever changes it does so under the log's lock."""

    OPEN = 0
    PAUSED = 1
    """No claims; decisions go on."""
    CLOSED = 2
    """For good: no claims, nothing scheduled; the run drains towards its end."""
    COMPENSATING = 3
    """Drained; only compensations are scheduled and claimed."""


ANY_GATE = 0b1111
ACCEPTING = 1 << Gate.OPEN | 1 << Gate.PAUSED
"""Gates under which a run still takes requests and new work."""


@dataclass(slots=True)
class Ready:
    """A job to put into its queue, or, with ``due_at`` or ``delay``, among the timers first.

    Nobody changes one; that is not enforced, which would make it three times as dear.

    ``kind`` is None for a job that is ready now, else the kind of its timer: ``start`` and
    ``retry`` become jobs when due, ``deadline`` and ``grace`` only a fact, ``archive`` and
    ``erase`` not even that: the run leaves the log, an erasure is finished. The row's id is the
    position of the draft at index ``draft``.
    """

    draft: int
    step: str = ""
    activation: int = 0
    attempt: int = 0
    queue: str = ""
    priority: int = 5
    key: str | None = None
    inputs: list[Any] | None = None
    """Where the worker finds the input: see ``flow/inputs.py``."""
    kind: str | None = None
    due_at: datetime | None = None
    delay: float | None = None
    """Seconds after the commit, by the clock of the store."""
    limits: tuple[str, ...] = ()
    """The buckets that must admit it, beside those of its whole queue: see ``flow/limits.py``."""


@dataclass(slots=True)
class Decision:
    """What ``decide`` returns: events and rows that take effect together, or not at all."""

    drafts: list[Draft] = field(default_factory=list)
    ready: list[Ready] = field(default_factory=list)
    drops: list[tuple[str, int]] = field(default_factory=list)
    """Activations (step, number) whose job and timers go away."""
    gate: Gate | None = None
    gates: int = ANY_GATE
    """The gates under which this may be recorded, a bit mask."""
    expected_version: int | None = None
    """Set by what an unseen fact would make wrong: the end of a run."""

    def __bool__(self) -> bool:
        return bool(self.drafts)
