"""What is asked of the working tables of jobs outside a commit: a part of ``ports.Store``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from runfold.items import BucketUse, Due, Job, QueueState, Stalled, Upcoming


class Jobs(Protocol):
    """The working tables, as far as they are read outside a commit."""

    async def due(self, limit: int, *, now: datetime | None = None) -> list[Due]:
        """Return timers that are due by the store's clock, soonest first."""
        ...

    async def next_due(self, *, now: datetime | None = None) -> float | None:
        """Return the seconds until the next timer is due (0 when overdue), None without one."""
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
