"""Records what time brings: due timers, leases that ended, starts that waited in the inbox.

All of it is data, polled by the store's own clock with one question; nothing here remembers a
due time for longer than one pause. Any number of timekeepers may run: what one has recorded, the
guard of the other's item refuses.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from runfold.errors import StoreUnavailable
from runfold.flow.events import StepStalled, TimerDue
from runfold.flow.work import ACCEPTING, Gate
from runfold.kernel.event import Draft
from runfold.ports import Clock, Due, Inbox, InboxRow, Jobs, Members, Refusal, Row, Stalled
from runfold.ports_archive import Archives
from runfold.runtime.appender import Appender
from runfold.runtime.erasure import ERASE, Erasure

PAGE = 200
"""How many timers, stalled leases or inbox rows one turn takes at most, of each."""
SWEEP_EVERY_MIN = 0.5
"""Seconds between two looks for members and leases whose time is over, at least; else a sixth
of a lease."""
ARCHIVE = "archive"
"""The timer of a run that has ended: it leaves the log, and nothing is recorded."""
SILENT = (ARCHIVE, ERASE)
"""Timers of which nothing is recorded."""

_log = logging.getLogger("runfold.timekeeper")

Accept = Callable[[InboxRow], Awaitable[None]]
"""Records the start that an inbox row asks for, and removes the row with it."""


class Timekeeper:
    """Turns what is due into facts, has runs archived whose time is over, finishes erasures."""

    def __init__(
        self,
        jobs: Jobs,
        members: Members,
        inbox: Inbox,
        archives: Archives,
        erasure: Erasure,
        appender: Appender,
        clock: Clock,
        *,
        accept: Accept,
        lease: float,
    ) -> None:
        self._jobs, self._members, self._inbox = jobs, members, inbox
        self._archives, self._erasure = archives, erasure
        self._appender, self._clock, self._accept = appender, clock, accept
        self._lease = lease
        self._sweep_at: float | None = None
        self._sweep_every = max(SWEEP_EVERY_MIN, lease / 6)
        self._fires_at: float | None = None
        """When the next timer is due, by this process's clock; None: the store must be asked."""
        self._turned_at = clock.monotonic()
        self._reported: set[int] = set()
        self._erasing: list[int] = []

    async def turn(self) -> bool:
        """Record one page of each kind; return False when nothing was due."""
        if self._is_due():
            worked = await self._fire()  # Nothing is asked before: it is due now.
        else:
            worked = await self._look()
        # Last: one that cannot be finished must not hold up the others.
        while self._erasing:
            await self._erasure.finish(self._erasing.pop())
        return worked

    async def pause(self, longest: float) -> float:
        """Return the seconds until there may be something to do, at most ``longest``."""
        if self._fires_at is None:
            return 0.0
        return min(longest, max(0.0, self._fires_at - self._clock.monotonic()))

    def look(self, *, sweeps: bool = False) -> None:
        """Ask the store again: another process may have set a timer.

        ``sweeps``: also for leases that are over, whenever those were to be looked for.
        """
        self._fires_at = None
        if sweeps:
            self._sweep_at = self._clock.monotonic()

    def hurries(self, row: Row) -> bool:
        """Return whether ``row`` is a timer that comes due before the one that is waited for."""
        if row.kind is None:
            return False
        if row.due_at is None and self._fires_at is not None:
            due_at = self._clock.monotonic() + (row.delay or 0)
            if due_at >= self._fires_at:
                return False
        self._fires_at = None
        return True

    def _expect(self, at: float) -> None:
        """The next timer is due then, if none was set since the question."""
        if self._fires_at is not None:
            self._fires_at = at

    def _is_due(self) -> bool:
        return self._fires_at is not None and self._clock.monotonic() >= self._fires_at

    async def _look(self) -> bool:
        """Ask the store what there is, and record it."""
        now, sweeps = self._clock.monotonic(), self._sweeps()
        self._fires_at = math.inf  # Before the question: a timer set meanwhile asks again.
        try:
            found = await self._jobs.pending(sweeps=sweeps, now=self._clock.now())
        except BaseException:
            self._fires_at = None
            raise
        if found.due is not None:
            self._expect(now + found.due)
        worked = self._is_due() and await self._fire()
        if found.inbox:
            worked |= await self._accept_all()
        if found.over:
            worked |= await self._sweep()
        return worked

    async def _fire(self) -> bool:
        self._fires_at = None
        due = await self._jobs.due(PAGE, now=self._clock.now())
        outcomes = [
            (timer, self._appender.submit([_due(timer)], **_fields(timer)))
            for timer in due
            if timer.kind not in SILENT
        ]
        late = []
        for timer, future in outcomes:
            outcome = await future
            # A deadline that finds the run draining already changes nothing: it is only noted.
            if outcome.refusal == Refusal.GATE:
                late.append(timer)
        for timer in late:
            await self._appender.submit([_due(timer)], stream=timer.stream, timer=timer.id)
        if ended := [timer.stream for timer in due if timer.kind == ARCHIVE]:
            await self._archives.archive(ended, now=self._clock.now())
        self._erasing = [timer.stream for timer in due if timer.kind == ERASE]
        return bool(due)

    async def _accept_all(self) -> bool:
        worked = False
        # Rows that wait stay the oldest: those behind them are read all the same.
        for row in await self._inbox.inbox(PAGE + len(self._reported)):
            try:
                await self._accept(row)
            except StoreUnavailable:
                raise
            except Exception as error:  # Whatever anybody wrote: it must not stop the clock.
                # It stays in the inbox until a process that knows the target serves it; what
                # can be no start at all stays as well, and holds up nobody.
                if row.id not in self._reported:
                    self._reported.add(row.id)
                    _log.error("inbox row %d waits: %s", row.id, error)
            else:
                self._reported.discard(row.id)
                worked = True
        return worked

    def _sweeps(self) -> bool:
        """Return whether it is time to look for what is over; the next time is later."""
        now = self._clock.monotonic()
        gap, self._turned_at = now - self._turned_at, now
        if self._sweep_at is None or gap > self._lease / 3:
            # This process stood still, and so perhaps did the machine and its neighbours:
            # everybody gets a full term to renew before anybody is swept.
            self._sweep_at = now + (0 if self._sweep_at is None else self._lease)
        if now < self._sweep_at:
            return False
        self._sweep_at = now + self._sweep_every
        return True

    async def _sweep(self) -> bool:
        await self._members.expire(PAGE, now=self._clock.now())
        stalled = await self._jobs.stalled(PAGE, now=self._clock.now())
        await self._stall(stalled)
        return bool(stalled)

    async def _stall(self, stalled: Sequence[Stalled]) -> None:
        futures = [
            self._appender.submit(
                [
                    Draft(
                        StepStalled(queue=job.queue), job.step, job.activation, job.attempt, job.key
                    )
                ],
                stream=job.stream,
                stalled=job.id,
            )
            for job in stalled
        ]
        for job, future in zip(stalled, futures, strict=True):
            outcome = await future
            if outcome.refusal is None:
                _log.warning(
                    "attempt %d of step %r stalled: its worker is gone", job.attempt, job.step
                )


def _due(timer: Due) -> Draft:
    event = TimerDue(kind=timer.kind, ref=timer.step or None)
    if not timer.step:
        return Draft(event)
    return Draft(event, timer.step, timer.activation, timer.attempt, timer.key)


def _fields(timer: Due) -> dict[str, Any]:
    fields: dict[str, Any] = {"stream": timer.stream, "timer": timer.id}
    if timer.kind == "deadline":
        # The run closes in the transaction that records its deadline, as with a cancel.
        fields |= {"gates": ACCEPTING, "gate": int(Gate.CLOSED)}
    return fields
