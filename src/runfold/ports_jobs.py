"""What is asked of the working tables of jobs outside a commit: a part of ``ports.Store``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from runfold.items import BucketUse, Due, Job, QueueState, Stalled, Upcoming


class Pending(NamedTuple):
    """What time or other people may have brought, as one question to the store finds it."""

    inbox: bool
    """Starts wait in the inbox."""
    due: float | None
    """Seconds until the next timer is due, 0 when overdue; None without one."""
    over: bool
    """Members, leases or other things are there whose time is over; False unless asked for."""


class Jobs(Protocol):
    """The working tables, as far as they are read outside a commit."""

    async def due(self, limit: int, *, now: datetime | None = None) -> list[Due]:
        """Return timers that are due by the store's clock, soonest first."""
        ...

    async def pending(self, *, sweeps: bool = False, now: datetime | None = None) -> Pending:
        """Return whether there may be something to record; ``sweeps``: also what is over.

        Asked once a second by every timekeeper of an idle log: it must cost a few probes.
        """
        ...

    async def stalled(self, limit: int, *, now: datetime | None = None) -> list[Stalled]:
        """Return leased jobs whose token has no live member."""
        ...

    async def leased(self, token: int) -> list[Job]:
        """Return the jobs that this token holds (position and version of their start as 0)."""
        ...

    async def held(self, token: int) -> dict[int, int]:
        """Return the gate of its run for each job that this token holds, by job id."""
        ...

    async def counts(self) -> dict[str, tuple[int, int]]:
        """Return (ready, leased) by queue; blocked jobs count as neither."""
        ...

    async def queues(self, *, now: datetime | None = None) -> list[QueueState]:
        """Return every queue that has jobs, timers, limits or a closure, by name."""
        ...

    async def usage(
        self, buckets: Sequence[str], *, now: datetime | None = None
    ) -> list[BucketUse]:
        """Return what counts against each of ``buckets``, or closes it, in their order.

        A bucket is what ``Row.limits`` names, a limit's id, or as ``Closure.bucket``.
        """
        ...

    async def upcoming(
        self, queue: str | None, *, after: Sequence[int] = (), limit: int
    ) -> list[Upcoming]:
        """Return runs with something that waits to be claimed, as workers will take them.

        Each run once, where its first job is. ``queue``: only what waits there. ``after``: the
        ``Upcoming.place`` of the last one before the page.
        """
        ...

    async def open_timers(self) -> int:
        """Return how many timers are waiting."""
        ...
