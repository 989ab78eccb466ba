"""The store in memory: the reference, for tests, simulation and ``memory://``.

Everything that shares one ``MemoryStore``, or one attached to it, sees the same data, also
from other threads; a second process sees nothing. Data lives as long as the object, whether
it is open or not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from runfold.errors import InvalidInput, InvalidSettings
from runfold.ports import (
    Batch,
    BucketUse,
    Clock,
    Committed,
    Due,
    InboxRow,
    Job,
    Member,
    Name,
    QueueState,
    Stalled,
    Stored,
    Transaction,
    Upcoming,
)
from runfold.ports_jobs import Pending
from runfold.settings import Settings
from runfold.store.memory_archive import MemoryArchive
from runfold.store.memory_claim import leased_job
from runfold.store.memory_commit import commit
from runfold.store.memory_log import Database
from runfold.store.memory_queues import counts, line, states, uses
from runfold.store.memory_rebuild import MemoryRebuilding, rebuilding
from runfold.store.memory_seams import MemoryRenewer, MemoryTransaction
from runfold.store.memory_views import MemoryViews


class MemoryStore(MemoryArchive):
    """A whole ``ports.Store`` over Python objects.

    ``clock`` is asked for the store's time; None: the clock of this machine.
    """

    in_process: bool = True

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        namespace: str = "default",
        database: Database | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.namespace = namespace
        self._clock = clock
        self._database = database or Database()
        self._lock = self._database.lock
        self._log = self._database.log(namespace)
        self._users, self._closed = 0, False
        self.identity = self._log.identity
        self.views = MemoryViews(self._log, self._lock, self._now)

    def attach(self, namespace: str) -> MemoryStore:
        """Return a store of ``namespace`` in the same database."""
        return MemoryStore(
            self.settings, clock=self._clock, namespace=namespace, database=self._database
        )

    async def open(self, *, migrate: bool = False) -> None:
        """Count one more user; there is nothing to connect to and no schema."""
        del migrate
        self._users, self._closed = self._users + 1, False

    async def close(self) -> None:
        """End the doorbell when the last user closes; the data stays."""
        self._users = max(0, self._users - 1)
        self._closed = not self._users
        self._log.bell.ring()

    async def now(self) -> datetime:
        """Return the store's time."""
        return self._now(None)

    async def health(self) -> str:
        """Return one line about the store."""
        return f"memory: log {self.identity.log_id}, {len(self._log.events)} events"

    # --- the log

    async def commit(self, batch: Batch) -> Committed:
        """Record the batch."""
        with self._lock:
            return commit(self._log, batch, self._now(batch.now))

    async def read(self, *, after: int, limit: int, upto: int | None = None) -> list[Stored]:
        """Return at most ``limit`` events above ``after``, in order of position."""
        end = after + limit if upto is None else min(after + limit, upto)
        with self._lock:
            return self._log.events[after:end]

    async def read_stream(
        self, stream: int, *, after: int = 0, limit: int = 1000, upto: int | None = None
    ) -> list[Stored]:
        """Return events of one stream with versions in ``(after, upto]``, in order."""
        end = after + limit if upto is None else min(after + limit, upto)
        with self._lock:
            return self._log.of_stream(stream, after, end)

    async def last_version(self, stream: int) -> int:
        """Return the version of the stream's last event, 0 when there is no such stream."""
        with self._lock:
            known = self._log.streams.get(stream)
            return len(known.positions) if known else 0

    async def read_versions(self, wanted: Sequence[tuple[int, int]]) -> list[Stored]:
        """Return the events at these (stream, version) places; missing ones are left out."""
        with self._lock:
            found = [self._log.of_stream(stream, at - 1, at) for stream, at in wanted]
        return list(chain.from_iterable(found))

    async def read_streams(self, streams: Sequence[int], *, upto: int) -> list[Stored]:
        """Return the events of all these streams with versions up to ``upto``, each in order."""
        with self._lock:
            found = [self._log.of_stream(stream, 0, upto) for stream in streams]
        return list(chain.from_iterable(found))

    async def head(self) -> int:
        """Return the position of the last event, 0 in an empty log."""
        return len(self._log.events)

    async def find(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the numbers of those of these stream ids that exist."""
        with self._lock:
            return {key: self._log.ids[key] for key in ids if key in self._log.ids}

    async def names(self, streams: Sequence[int]) -> dict[int, Name]:
        """Return what these stream numbers stand for."""
        with self._lock:
            known = {number: self._log.streams.get(number) for number in streams}
        return {number: Name(found.id, found.flow) for number, found in known.items() if found}

    async def runs(self, *, flow: str | None, before: int | None, limit: int) -> list[int]:
        """Return stream numbers of runs, newest first, below ``before``."""
        with self._lock:
            numbers = [
                number
                for number, stream in reversed(self._log.streams.items())
                if stream.flow is not None and flow in {None, stream.flow}
            ]
        return [number for number in numbers if before is None or number < before][:limit]

    async def open_runs(self, *, after: int, limit: int) -> list[int]:
        """Return stream numbers above ``after`` of runs that have not ended, oldest first."""
        with self._lock:
            return [
                number
                for number, stream in self._log.streams.items()
                if number > after and stream.flow is not None and not stream.ended
            ][:limit]

    # --- jobs and timers

    async def due(self, limit: int, *, now: datetime | None = None) -> list[Due]:
        """Return timers that are due, soonest first."""
        moment = self._now(now)
        with self._lock:
            timers = [
                self._log.timers[number]
                for due, number in self._log.agenda[:limit]
                if due <= moment
            ]
        return [
            Due(timer.id, timer.stream, row.kind or "", row.step, row.activation, row.attempt,
                row.queue, row.key)
            for timer in timers
            for row in [timer.row]
        ]  # fmt: skip

    async def pending(self, *, sweeps: bool = False, now: datetime | None = None) -> Pending:
        """Return whether there may be something to record; ``sweeps``: also what is over."""
        moment, log = self._now(now), self._log
        with self._lock:
            soonest = log.agenda[0][0] if log.agenda else None
            due = None if soonest is None else max(0.0, (soonest - moment).total_seconds())
            over = sweeps and (
                any(until <= moment for _, until in log.members.values())
                or any(
                    job.token is not None and not log.is_alive(job.token, moment)
                    for job in log.jobs.values()
                )
            )
            return Pending(bool(log.inbox), due, over)

    async def stalled(self, limit: int, *, now: datetime | None = None) -> list[Stalled]:
        """Return leased jobs whose token has no live member, by id."""
        moment = self._now(now)
        with self._lock:
            jobs = [
                job
                for _, job in sorted(self._log.jobs.items())
                if job.token is not None and not self._log.is_alive(job.token, moment)
            ]
        return [
            Stalled(job.id, job.stream, row.step, row.activation, row.attempt, row.queue, row.key)
            for job in jobs[:limit]
            for row in [job.row]
        ]

    async def leased(self, token: int) -> list[Job]:
        """Return the jobs that this token holds, by id."""
        moment = self._now(None)
        with self._lock:
            return [
                leased_job(self._log, job, 0, 0, moment)
                for _, job in sorted(self._log.jobs.items())
                if job.token == token
            ]

    async def held(self, token: int) -> dict[int, int]:
        """Return the gate of its run for each job that this token holds, by job id."""
        with self._lock:
            return {
                job.id: self._log.streams[job.stream].gate
                for job in self._log.jobs.values()
                if job.token == token
            }

    async def counts(self) -> dict[str, tuple[int, int]]:
        """Return (ready, leased) by queue, of queues that have either."""
        with self._lock:
            return counts(self._log)

    async def queues(self, *, now: datetime | None = None) -> list[QueueState]:
        """Return every queue that has jobs, timers, limits or a closure, by name."""
        with self._lock:
            return states(self._log, self._now(now))

    async def usage(
        self, buckets: Sequence[str], *, now: datetime | None = None
    ) -> list[BucketUse]:
        """Return what counts against each of ``buckets``, or closes it."""
        with self._lock:
            return uses(self._log, buckets, self._now(now))

    async def upcoming(
        self, queue: str | None, *, after: Sequence[int] = (), limit: int
    ) -> list[Upcoming]:
        """Return runs with something that waits to be claimed, as workers will take them."""
        with self._lock:
            return [one for one in line(self._log, queue) if one.place > tuple(after)][:limit]

    async def open_timers(self) -> int:
        """Return how many timers are waiting."""
        return len(self._log.timers)

    # --- members

    async def join(self, member: Member, ttl: float, *, now: datetime | None = None) -> None:
        """Register a process for ``ttl`` seconds."""
        with self._lock:
            self._log.members[member.token] = member, self._until(ttl, now)

    async def renew(self, token: int, ttl: float, *, now: datetime | None = None) -> bool:
        """Extend the lease of ``token``; False when it was swept."""
        return self._extend(token, ttl, now)

    async def leave(self, token: int) -> None:
        """Forget a process; what it still leases is stalled from now on."""
        with self._lock:
            self._log.members.pop(token, None)

    async def members(self) -> list[tuple[Member, datetime]]:
        """Return every registered process with the end of its lease, by name."""
        with self._lock:
            return sorted(self._log.members.values(), key=lambda known: known[0].name)

    async def lead(self, token: int, ttl: float, *, now: datetime | None = None) -> bool:
        """Take or keep the dispatcher lease; False while another token holds it."""
        with self._lock:
            leader = self._log.leader
            if leader and leader[0] != token and leader[1] > self._now(now):
                return False
            self._log.leader = token, self._until(ttl, now)
            return True

    async def resign(self, token: int) -> None:
        """Give the dispatcher lease back, if held."""
        with self._lock:
            if self._log.leader and self._log.leader[0] == token:
                self._log.leader = None

    async def expire(self, limit: int, *, now: datetime | None = None) -> int:
        """Remove members whose time is over; return how many."""
        moment = self._now(now)
        with self._lock:
            members = self._log.members
            over = [token for token, (_, until) in members.items() if until <= moment][:limit]
            for token in over:
                del members[token]
        return len(over)

    def renewer(self, token: int, ttl: float) -> MemoryRenewer:
        """Return something that renews from another thread."""
        return MemoryRenewer(lambda: self._extend(token, ttl, None))

    # --- cursors, inbox, doorbell

    async def cursor(self, name: str) -> int:
        """Return the saved position; 0 without one, of another log, or beyond this one's end."""
        with self._lock:
            identity, position = self._log.cursors.get(name, (self._log.identity, 0))
            ours = identity == self._log.identity and position <= len(self._log.events)
        return position if ours else 0

    async def save_cursor(self, name: str, position: int) -> None:
        """Save it, with the log's identity."""
        with self._lock:
            self._log.cursors[name] = self._log.identity, position

    async def inbox(self, limit: int) -> list[InboxRow]:
        """Return committed rows, oldest first."""
        with self._lock:
            return list(self._log.inbox.values())[:limit]

    def transaction(self) -> MemoryTransaction:
        """Return a block whose enlisted rows arrive when it ends well, and else never."""
        return MemoryTransaction(self._lock)

    def enlist(self, connection: Any, rows: Sequence[tuple[bytes, str]]) -> None:
        """Write (run id, body) rows through a ``transaction()`` of this database."""
        if not (isinstance(connection, MemoryTransaction) and connection.is_of(self._lock)):
            raise InvalidInput(
                f"connection is {type(connection).__name__!r}, expected the transaction() of "
                "this memory store; a database's connection needs a store on that database"
            )
        connection.at_end(lambda: self._log.enter(rows))

    def handler_transaction(self, *, blocking: bool) -> Transaction:
        """Raise ``InvalidSettings``: there is no database that a handler could write to."""
        del blocking
        raise InvalidSettings(
            "ctx.transaction() needs a database, and memory:// is none; use SQLite or "
            "PostgreSQL, or stub the step in tests"
        )

    def rebuild(
        self, *, now: datetime | None = None
    ) -> AbstractAsyncContextManager[MemoryRebuilding]:
        """Return a block that replaces everything derived from the log at its end."""
        return rebuilding(self._log, self._lock, lambda: self._now(now))

    async def ring(self) -> None:
        """Wake every listener of this log."""
        self._log.bell.ring()

    def rings(self) -> AsyncIterator[None]:
        """Yield after each ring, until the store closes."""
        return self._log.bell.rings(lambda: not self._closed)

    def _now(self, given: datetime | None) -> datetime:
        return given or (self._clock and self._clock.now()) or datetime.now(UTC)

    def _extend(self, token: int, ttl: float, now: datetime | None) -> bool:
        with self._lock:
            known = self._log.members.get(token)
            if known is not None:
                self._log.members[token] = known[0], self._until(ttl, now)
            return known is not None

    def _until(self, ttl: float, now: datetime | None) -> datetime:
        return self._now(now) + timedelta(seconds=ttl)
