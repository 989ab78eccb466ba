"""A rebuild in memory: everything derived goes into a new log, which takes the old one's place.

The events are the same list; what is replaced is all that can be lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from threading import Lock

from runfold.errors import EngineRunning
from runfold.flow.events import ENDS
from runfold.ports import LogIdentity, Name, QueueState, RestoredLimits, RestoredRun
from runfold.store.buckets import limit_of
from runfold.store.memory_lanes import Work
from runfold.store.memory_log import Log, Stream
from runfold.store.memory_queues import states

NOBODY = 0
"""A token that no member has: what it leases is stalled."""


class MemoryRebuilding:
    """The tables that a rebuild fills, seen by nobody before they are done."""

    def __init__(self, log: Log) -> None:
        self.fresh = Log(log.identity)
        self._jobs: dict[int, Work] = {}
        self._open: dict[int, None] = {}

    async def name(self, streams: Sequence[tuple[int, Name]], ended: Sequence[int]) -> None:
        """Put back what these numbers stand for, and which of them are runs under way."""
        for number, name in streams:
            self.fresh.streams[number] = Stream(name.id, name.flow)
            self.fresh.ids[name.id] = number
            if name.flow is not None:
                self._open[number] = None
        for number in ended:
            self._open.pop(number, None)

    async def open_runs(self, *, after: int, limit: int) -> list[int]:
        """Return numbers above ``after`` of runs that did not end, in order."""
        return [number for number in self._open if number > after][:limit]

    async def limit(self, restored: RestoredLimits) -> None:
        """Put back limits, what is closed, and the starts that rates count."""
        limits = self.fresh.limits
        for scope, wanted in restored.limits:
            limits.replace(scope, wanted, ())
        for closure in restored.closures:
            limits.close(closure)
        for bucket, at, _ in restored.starts:
            per = timedelta(seconds=limits.known[limit_of(bucket)].per or 0)
            limits.starts.setdefault(bucket, []).append((at, at + per))

    async def put(self, runs: Sequence[RestoredRun]) -> None:
        """Put back gates, jobs and timers."""
        for run in runs:
            self.fresh.streams[run.stream].gate = run.gate
            for id, row, leased in run.work:
                work = Work(id, run.stream, row, due=row.due_at)
                if row.kind is not None:
                    self.fresh.add_timer(work)
                    continue
                work.token = NOBODY if leased else None
                self._jobs[id] = work

    def end(self) -> None:
        """Put the jobs into their queues and lanes, the first of each at its head."""
        for id in sorted(self._jobs):
            self.fresh.add_job(self._jobs[id], id)

    async def save_cursor(self, name: str, position: int) -> None:
        """Put back how far a reader had come."""
        self.fresh.cursors[name] = self.fresh.identity, position


class Aside(MemoryRebuilding):
    """Tables beside those of a store of any kind, to be asked and thrown away."""

    def __init__(self, identity: LogIdentity) -> None:
        super().__init__(Log(identity))

    def queues(self, now: datetime) -> list[QueueState]:
        """Return every queue that has jobs, timers, limits or a closure, once all is put back."""
        return states(self.fresh, now)


@asynccontextmanager
async def rebuilding(
    log: Log, lock: Lock, now: Callable[[], datetime]
) -> AsyncIterator[MemoryRebuilding]:
    """Yield what fills new tables of ``log``; at the end of the block they are its tables.

    The lock cannot be held while other tasks run: what was recorded meanwhile ends it instead.
    """
    with lock:
        _refuse_while_running(log, now())
        head = len(log.events)
    tables = MemoryRebuilding(log)
    yield tables
    tables.end()
    with lock:
        _refuse_while_running(log, now())
        if len(log.events) != head:
            raise EngineRunning(
                f"{len(log.events) - head} events were recorded during the rebuild and nothing "
                "was replaced; stop whoever records them and rebuild again"
            )
        _replace(log, tables.fresh)


def _replace(log: Log, fresh: Log) -> None:
    for stored in log.events:
        stream = fresh.streams[stored.stream]
        stream.positions.append(stored.position)
        stream.ended = stored.topic in ENDS
    for derived in (
        "streams", "ids", "jobs", "timers", "queues", "limits", "agenda", "works", "members",
        "leader", "cursors",
    ):  # fmt: skip
        setattr(log, derived, getattr(fresh, derived))


def _refuse_while_running(log: Log, now: datetime) -> None:
    alive = [member for member, until in log.members.values() if until > now]
    leads = log.leader is not None and log.leader[1] > now
    if alive or leads:
        raise EngineRunning.while_alive([member.name for member in alive], leads=leads)
