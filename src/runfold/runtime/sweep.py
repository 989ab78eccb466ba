"""The slow sweep of the leader over all open runs: whatever was missed is decided after all.

One page at a time, round after round, as long as the log grows. What ``decide`` says follows
from the log alone, so a round over a log that has not grown since the last one began would find
nothing new.
"""

from __future__ import annotations

from runfold.ports import Clock, EventLog

EVERY = 5.0
"""Seconds between two pages."""
PAGE = 50
"""How many open runs one page has at most."""


class Sweep:
    """Where the sweep is."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log, self._clock = log, clock
        self._next_at = 0.0
        self._after = 0
        """The last run of the page before; 0: a round begins."""
        self._begun_at, self._done_at = 0, -1
        """Where the reader was when this round began, and when the last whole one did."""

    def restart(self) -> None:
        """Begin again: what was found before is not known any more."""
        self._after, self._done_at = 0, -1

    async def page(self, position: int) -> set[int]:
        """Return the runs to look at now, for a reader that has folded up to ``position``."""
        now = self._clock.monotonic()
        if now < self._next_at:
            return set()
        self._next_at = now + EVERY
        if not self._after:
            if self._done_at == position:
                return set()
            self._begun_at = position
        streams = await self._log.open_runs(after=self._after, limit=PAGE)
        self._after = streams[-1] if len(streams) == PAGE else 0
        if not self._after:
            self._done_at = self._begun_at
        return {stream for stream in streams if stream <= position}
