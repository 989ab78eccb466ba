"""The memory store as a simulated process reaches it, and the world's own look at its log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from runfold.ports import (
    Batch,
    Committed,
    Due,
    InboxRow,
    Job,
    LogIdentity,
    Member,
    Stalled,
    Stored,
    Transaction,
)
from runfold.ports_jobs import Pending
from runfold.settings import Settings
from runfold.store.memory import MemoryStore
from runfold.store.memory_commit import refusals
from runfold.store.memory_lanes import Work
from runfold.store.memory_log import Database, Log
from runfold.testing.simulation.accidents import Accidents
from runfold.testing.simulation.real_world import refuse
from runfold.testing.simulation.tables import Tables

_NO_TABLES = (
    "this simulation has no tables: give it what creates them, tables=metadata.create_all, or "
    "stub the step"
)
EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
"""When every simulation begins."""


class StoreClock:
    """The time of the simulated store: virtual, from a fixed moment, unless it jumps."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self.jumped = 0.0
        """By how many seconds it is ahead of the loop."""
        self._last = 0.0, EPOCH

    def now(self) -> datetime:
        """Return the moment."""
        ahead = self._seconds() + self.jumped
        if ahead != self._last[0]:  # It is asked much more often than time moves.
            self._last = ahead, EPOCH + timedelta(seconds=ahead)
        return self._last[1]

    def monotonic(self) -> float:
        """Return the virtual seconds."""
        return self._seconds()


class HostClock:
    """The clock of a simulated process: spans of its own, moments are the store's."""

    def __init__(self, awake: Callable[[], float]) -> None:
        self.monotonic = awake

    def now(self) -> datetime | None:
        """Return None: the store's clock counts."""
        return None


def new_database() -> Database:
    """Return an empty database whose log has always the same identity."""
    database = Database()
    database.logs["default"] = Log(LogIdentity(1, "simulation", 1))
    return database


class Doorbells:
    """Who is told when something was appended: each process but the one that rings."""

    def __init__(self) -> None:
        self._stores: dict[HostStore, None] = {}

    def add(self, store: HostStore) -> None:
        """Tell ``store`` as well."""
        self._stores[store] = None

    def remove(self, store: HostStore) -> None:
        """Tell it no longer."""
        self._stores.pop(store, None)

    def ring(self, by: HostStore | None = None) -> None:
        """Tell everybody but ``by``."""
        for store in self._stores:
            if store is not by:
                store.accidents.ring(store.rung.set)


class HostStore(MemoryStore):
    """One process's connection to the database of the simulation."""

    def __init__(
        self,
        settings: Settings,
        clock: StoreClock,
        database: Database,
        bells: Doorbells,
        accidents: Accidents,
        *,
        is_alone: bool,
        on_commit: Callable[[Committed], None],
        tables: Tables | None = None,
    ) -> None:
        super().__init__(settings, clock=clock, database=database)
        self.in_process = is_alone
        self.accidents = accidents
        self.rung = asyncio.Event()
        self._heard = 0
        self._bells, self._on_commit, self._tables = bells, on_commit, tables

    async def commit(self, batch: Batch, *, also: Callable[[], None] | None = None) -> Committed:
        """Record the batch; ``also``: called in the same instant, unless an item is refused."""
        dies = await self.accidents.before_commit(batch, is_handlers=also is not None)
        if also is not None and not any(refusals(self._log, batch, self._now(batch.now))):
            also()
        committed = await super().commit(batch)
        self._on_commit(committed)
        await self.accidents.after_commit(dies)
        return committed

    def handler_transaction(self, *, blocking: bool) -> Transaction:
        """Return one over the tables of the simulation; raises ``RealWorld`` where it has none."""
        if self._tables is not None:
            return self._tables.transaction(self.commit, self.accidents, blocking=blocking)
        touched = refuse("begins a transaction (ctx.transaction())", _NO_TABLES)
        if touched is not None:
            raise touched
        return super().handler_transaction(blocking=blocking)

    async def read(self, *, after: int, limit: int, upto: int | None = None) -> list[Stored]:
        await self.accidents.before_call()
        return await super().read(after=after, limit=limit, upto=upto)

    async def read_stream(
        self, stream: int, *, after: int = 0, limit: int = 1000, upto: int | None = None
    ) -> list[Stored]:
        await self.accidents.before_call()
        return await super().read_stream(stream, after=after, limit=limit, upto=upto)

    async def read_streams(self, streams: Sequence[int], *, upto: int) -> list[Stored]:
        await self.accidents.before_call()
        return await super().read_streams(streams, upto=upto)

    async def read_versions(self, wanted: Sequence[tuple[int, int]]) -> list[Stored]:
        await self.accidents.before_call()
        return await super().read_versions(wanted)

    async def archive(self, streams: Sequence[int], *, now: datetime | None = None) -> int:
        await self.accidents.before_call()
        return await super().archive(streams, now=now)

    async def due(self, limit: int, *, now: datetime | None = None) -> list[Due]:
        await self.accidents.before_call()
        return await super().due(limit, now=now)

    async def pending(self, *, sweeps: bool = False, now: datetime | None = None) -> Pending:
        await self.accidents.before_call()
        return await super().pending(sweeps=sweeps, now=now)

    async def stalled(self, limit: int, *, now: datetime | None = None) -> list[Stalled]:
        await self.accidents.before_call()
        return await super().stalled(limit, now=now)

    async def leased(self, token: int) -> list[Job]:
        await self.accidents.before_call()
        return await super().leased(token)

    async def held(self, token: int) -> dict[int, int]:
        await self.accidents.before_call()
        return await super().held(token)

    async def join(self, member: Member, ttl: float, *, now: datetime | None = None) -> None:
        await self.accidents.before_call()
        await super().join(member, ttl, now=now)

    async def leave(self, token: int) -> None:
        await self.accidents.before_call()
        await super().leave(token)

    async def lead(self, token: int, ttl: float, *, now: datetime | None = None) -> bool:
        await self.accidents.before_call()
        return await super().lead(token, ttl, now=now)

    async def expire(self, limit: int, *, now: datetime | None = None) -> int:
        await self.accidents.before_call()
        return await super().expire(limit, now=now)

    async def cursor(self, name: str) -> int:
        await self.accidents.before_call()
        return await super().cursor(name)

    async def save_cursor(self, name: str, position: int) -> None:
        await self.accidents.before_call()
        await super().save_cursor(name, position)

    async def inbox(self, limit: int) -> list[InboxRow]:
        await self.accidents.before_call()
        return await super().inbox(limit)

    async def ring(self) -> None:
        """Tell the other processes."""
        self._bells.ring(self)

    async def look(self) -> bool:
        """Ring here if the log has grown since the last look: who appended may not have rung."""
        head = await self.head()
        if head != self._heard:
            self._heard = head
            self.rung.set()
        return False

    async def rings(self) -> AsyncIterator[None]:
        """Yield whenever another process, or the test, has appended."""
        while True:
            await self.rung.wait()
            self.rung.clear()
            yield


class LogView:
    """What the world itself sees of the log: what waits, and for what."""

    def __init__(self, database: Database, clock: StoreClock) -> None:
        self.log, self._clock = database.logs["default"], clock

    @property
    def head(self) -> int:
        """The position of the last event."""
        return len(self.log.events)

    @property
    def is_work_ready(self) -> bool:
        """Whether a job or a start waits to be taken now; what its queue holds back does not."""
        ready = [queue for queue, jobs in self.log.queues.ready.items() if jobs]
        if ready and self._may_hold_back():
            limits, now = self.log.limits, self._moment()
            ready = [queue for queue in ready if limits.verdict_on(queue, now).room]
        return bool(ready or self.log.inbox)

    def leases(self) -> list[tuple[int, int]]:
        """Return (job, token) of everything leased."""
        return [(job.id, job.token) for job in self.log.jobs.values() if job.token is not None]

    def sweep(self, token: int) -> None:
        """Forget a member, as if its lease had ended."""
        self.log.members.pop(token, None)

    def leased_by(self, token: int | None) -> list[Work]:
        """Return the jobs that ``token`` holds, those of everybody for None."""
        jobs = [job for job in self.log.jobs.values() if job.token is not None]
        return [job for job in jobs if token is None or job.token == token]

    def next_due(self) -> float | None:
        """Return the seconds until the store has something due, 0 when it is overdue.

        That is a timer, or the moment at which a rate or a pause of a queue admits what waits.
        """
        moments = [moment for moment, _ in self._openings()]
        if self.log.agenda:
            moments.append(self.log.agenda[0][0])
        if not moments:
            return None
        return max(0.0, (min(moments) - self._clock.now()).total_seconds())

    @property
    def is_held_back(self) -> bool:
        """Whether jobs wait for nothing but the time of a limit, which passes by itself."""
        return any(is_limit for _, is_limit in self._openings())

    def has_timer(self, kinds: Collection[str]) -> bool:
        """Return whether a timer of one of these kinds waits."""
        return any(timer.row.kind in kinds for timer in self.log.timers.values())

    def _openings(self) -> Iterator[tuple[datetime, bool]]:
        """Yield when time alone admits jobs that wait, and whether a limit refuses them till then;
        else it is a pause, which somebody asked for."""
        if not self._may_hold_back():
            return
        log, now = self.log, self._moment()
        parked = {lane.queue for lane in log.queues.parked}
        for queue, ready in log.queues.ready.items():
            if not ready and queue not in parked:
                continue
            verdict = log.limits.verdict_on(queue, now)
            if verdict.room:
                for bucket, due in log.queues.alarms.get(queue, {}).items():
                    yield due, "#" in bucket
            elif verdict.due is not None:
                yield verdict.due, log.limits.closures.get(f"queue:{queue}", now) <= now

    def _may_hold_back(self) -> bool:
        return bool(self.log.limits.known or self.log.limits.closures)

    def _moment(self) -> datetime:
        """Return the moment that a commit would have: never before the last one."""
        last = self.log.events[-1].ts if self.log.events else EPOCH
        return max(last, self._clock.now())

    def lengthen(self, seconds: float, tokens: Collection[int]) -> None:
        """Have these members, and the leader, renewed as often as ``seconds`` asked for."""
        span = timedelta(seconds=seconds)
        for token in tokens:
            if token in self.log.members:
                member, until = self.log.members[token]
                self.log.members[token] = member, until + span
        if self.log.leader is not None:
            token, until = self.log.leader
            self.log.leader = token, until + span
