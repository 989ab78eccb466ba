"""The store on a SQLite file: one file, one writer at a time, any number of processes.

The write lock of the file is the log's lock. Nothing here waits on the event loop: see
``sqlite_lane``. A caller's transaction that holds the lock for a minute delays everybody's
commits for that minute, and loses nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, TypeVar

from runfold.errors import StoreUnavailable
from runfold.ports import (
    Batch,
    BucketUse,
    Committed,
    Due,
    InboxRow,
    Job,
    LogIdentity,
    Member,
    Name,
    QueueState,
    Renewer,
    Stalled,
    Stored,
    Transaction,
    Upcoming,
)
from runfold.ports_jobs import Pending
from runfold.settings import Settings, seconds
from runfold.store.sql.rebuilding import SqlRebuilding
from runfold.store.sql.sqlite_archive import SqliteArchive
from runfold.store.sql.sqlite_checkpoint import Checkpoints
from runfold.store.sql.sqlite_commit import LogSettings, commit
from runfold.store.sql.sqlite_inbox import enlist
from runfold.store.sql.sqlite_lane import Lane
from runfold.store.sql.sqlite_members import SqliteMembers
from runfold.store.sql.sqlite_open import connect, path_of, prepare
from runfold.store.sql.sqlite_read import SqliteReader
from runfold.store.sql.sqlite_rebuild import rebuilding
from runfold.store.sql.sqlite_transaction import SqliteTransactions
from runfold.store.sql.sqlite_values import clock, moment
from runfold.store.sql.sqlite_views import SqliteViews

T = TypeVar("T")
POLL_SECONDS_MIN = 0.002
"""How soon it is looked again after another process wrote; quiet doubles it to ``poll_max``."""
_DATA_VERSION = "PRAGMA data_version"


class SqliteStore(SqliteArchive):
    """A whole ``ports.Store`` on the file of ``url``, for one namespace.

    May be opened more than once, by engines that share the object; the last one that closes
    it lets go of the file.
    """

    in_process: bool = False

    def __init__(
        self, url: str, settings: Settings | None = None, namespace: str = "default"
    ) -> None:
        self.url, self.settings, self.namespace = url, settings or Settings(), namespace
        self.path = path_of(url)
        self.identity = LogIdentity(0, "", 0)
        self._users = 0
        self._open: _Open | None = None
        self.views = SqliteViews(lambda: self._held, lambda: self.identity.log_id)

    def __reduce__(self) -> tuple[Any, ...]:
        """Be, in another process, a store of the same log that is not open."""
        return type(self), (self.url, self.settings, self.namespace)

    def attach(self, namespace: str) -> SqliteStore:
        """Return a store of ``namespace`` on the same file."""
        return SqliteStore(self.url, self.settings, namespace)

    async def open(self, *, migrate: bool = False) -> None:
        """Create or migrate the file as needed; SQLite always migrates itself."""
        del migrate
        if self._open is None:
            self.identity = await asyncio.to_thread(
                prepare, self.path, self.settings, self.namespace
            )
            self._open = _Open(self)
        self._users += 1

    async def close(self) -> None:
        """Let go of the file when the last user closes."""
        self._users = max(0, self._users - 1)
        if not self._users and self._open is not None:
            last, self._open = self._open, None
            await last.transactions.close()
            await asyncio.to_thread(last.close)

    async def now(self) -> datetime:
        """Return the store's time, which is this machine's."""
        return moment(clock())

    async def health(self) -> str:
        """Return one line about the store."""
        return f"sqlite: {self.path}, log {self.identity.log_id}, {await self.head()} events"

    # --- the log

    async def commit(self, batch: Batch) -> Committed:
        """Record the batch."""
        held = self._held
        done = await held.writer.run(lambda c: commit(c, held.log, batch))
        held.checkpoints.wrote(1, len(batch.items) + len(done.jobs))
        return done

    async def read(self, *, after: int, limit: int, upto: int | None = None) -> list[Stored]:
        """Return at most ``limit`` events above ``after``, in order of position."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.read(c, after, limit, upto))

    async def read_stream(
        self, stream: int, *, after: int = 0, limit: int = 1000, upto: int | None = None
    ) -> list[Stored]:
        """Return events of one stream with versions in ``(after, upto]``, in order."""
        held = self._held
        return await held.reader.run(
            lambda c: held.questions.read_stream(c, stream, after, limit, upto)
        )

    async def last_version(self, stream: int) -> int:
        """Return the version of the stream's last event, 0 when there is no such stream."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.last_version(c, stream))

    async def read_versions(self, wanted: Sequence[tuple[int, int]]) -> list[Stored]:
        """Return the events at these (stream, version) places; missing ones are left out."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.read_versions(c, wanted))

    async def read_streams(self, streams: Sequence[int], *, upto: int) -> list[Stored]:
        """Return the events of all these streams with versions up to ``upto``, each in order."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.read_streams(c, streams, upto))

    async def head(self) -> int:
        """Return the position of the last event, 0 in an empty log."""
        held = self._held
        return await held.reader.run(held.questions.head)

    async def find(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the numbers of those of these stream ids that exist."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.find(c, ids))

    async def names(self, streams: Sequence[int]) -> dict[int, Name]:
        """Return what these stream numbers stand for."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.names(c, streams))

    async def runs(self, *, flow: str | None, before: int | None, limit: int) -> list[int]:
        """Return stream numbers of runs, newest first, below ``before``."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.runs(c, flow, before, limit))

    async def open_runs(self, *, after: int, limit: int) -> list[int]:
        """Return stream numbers above ``after`` of runs that have not ended, oldest first."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.open_runs(c, after, limit))

    # --- jobs and timers

    async def due(self, limit: int, *, now: datetime | None = None) -> list[Due]:
        """Return timers that are due, soonest first."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.due(c, limit, clock(now)))

    async def pending(self, *, sweeps: bool = False, now: datetime | None = None) -> Pending:
        """Return whether there may be something to record; ``sweeps``: also what is over."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.pending(c, clock(now), sweeps=sweeps))

    async def stalled(self, limit: int, *, now: datetime | None = None) -> list[Stalled]:
        """Return leased jobs whose token has no live member, by id."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.stalled(c, limit, clock(now)))

    async def leased(self, token: int) -> list[Job]:
        """Return the jobs that this token holds, by id."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.leased(c, token, clock()))

    async def held(self, token: int) -> dict[int, int]:
        """Return the gate of its run for each job that this token holds, by job id."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.held(c, token))

    async def counts(self) -> dict[str, tuple[int, int]]:
        """Return (ready, leased) by queue, of queues that have either."""
        held = self._held
        return await held.reader.run(held.questions.counts)

    async def queues(self, *, now: datetime | None = None) -> list[QueueState]:
        """Return every queue that has jobs, timers, limits or a closure, by name."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.queues(c, clock(now)))

    async def usage(
        self, buckets: Sequence[str], *, now: datetime | None = None
    ) -> list[BucketUse]:
        """Return what counts against each of ``buckets``, or closes it."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.usage(c, buckets, clock(now)))

    async def upcoming(
        self, queue: str | None, *, after: Sequence[int] = (), limit: int
    ) -> list[Upcoming]:
        """Return runs with something that waits to be claimed, as workers will take them."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.upcoming(c, queue, after, limit))

    async def open_timers(self) -> int:
        """Return how many timers are waiting."""
        held = self._held
        return await held.reader.run(held.questions.open_timers)

    # --- members

    async def join(self, member: Member, ttl: float, *, now: datetime | None = None) -> None:
        """Register a process for ``ttl`` seconds."""
        held = self._held
        await held.writer.run(lambda c: held.members.join(c, member, ttl, clock(now)))

    async def renew(self, token: int, ttl: float, *, now: datetime | None = None) -> bool:
        """Extend the lease of ``token``; False when it was swept."""
        held = self._held
        return await held.writer.run(lambda c: held.members.renew(c, token, ttl, clock(now)))

    async def members(self) -> list[tuple[Member, datetime]]:
        """Return every registered process with the end of its lease, by name."""
        held = self._held
        rows = await held.reader.run(held.members.members)
        return [(member, moment(until)) for member, until in rows]

    async def leave(self, token: int) -> None:
        """Forget a process; what it still leases is stalled from now on."""
        held = self._held
        await held.writer.run(lambda c: held.members.leave(c, token))

    async def lead(self, token: int, ttl: float, *, now: datetime | None = None) -> bool:
        """Take or keep the dispatcher lease; False while another token holds it."""
        held = self._held
        return await held.writer.run(lambda c: held.members.lead(c, token, ttl, clock(now)))

    async def resign(self, token: int) -> None:
        """Give the dispatcher lease back, if held."""
        held = self._held
        await held.writer.run(lambda c: held.members.resign(c, token))

    async def expire(self, limit: int, *, now: datetime | None = None) -> int:
        """Remove members whose time is over; return how many."""
        held = self._held
        return await held.writer.run(lambda c: held.members.expire(c, limit, clock(now)))

    def renewer(self, token: int, ttl: float) -> Renewer:
        """Return something that renews from another thread, with a connection of its own."""
        return _Renewer(self, token, ttl)

    # --- cursors, inbox, doorbell

    async def cursor(self, name: str) -> int:
        """Return the saved position; 0 without one, of another log, or beyond this one's end."""
        held = self._held
        return await held.reader.run(lambda c: held.members.cursor(c, name))

    async def save_cursor(self, name: str, position: int) -> None:
        """Save it, with the log's identity."""
        held = self._held
        await held.writer.run(lambda c: held.members.save_cursor(c, name, position, clock()))

    async def inbox(self, limit: int) -> list[InboxRow]:
        """Return committed rows, oldest first."""
        held = self._held
        return await held.reader.run(lambda c: held.questions.inbox(c, limit))

    def enlist(self, connection: Any, rows: Sequence[tuple[bytes, str]]) -> Any:
        """Write (run id, body) rows through a caller's connection, in its transaction."""
        return enlist(connection, self.path, self.identity.log_id, rows)

    def handler_transaction(self, *, blocking: bool) -> Transaction:
        """Return a transaction for a handler."""
        return self._held.transactions.transaction(blocking=blocking)

    def rebuild(self, *, now: datetime | None = None) -> AbstractAsyncContextManager[SqlRebuilding]:
        """Return a block that replaces everything derived from the log at its end."""
        return rebuilding(self._held.path, self.settings, self.identity, now)

    async def ring(self) -> None:
        """Do nothing: other processes see the file change."""

    async def rings(self) -> AsyncIterator[None]:
        """Yield when another connection has written to the file, until the store closes."""
        held, pause = self._held, POLL_SECONDS_MIN
        seen = await held.writer.run(_data_version)
        while self._open is held:
            await asyncio.sleep(pause)
            pause = min(pause * 2, seconds(self.settings.poll_max))
            if self._open is not held:
                return
            found = await held.writer.run(_data_version)
            if found != seen:
                seen, pause = found, POLL_SECONDS_MIN
                yield

    @property
    def _held(self) -> _Open:
        if self._open is None:
            raise StoreUnavailable(f"{str(self.path)!r} is not open; enter the Runfold first")
        return self._open


class _Open:
    """What an open store holds: two connections, a thread, and the questions of its log."""

    def __init__(self, store: SqliteStore) -> None:
        path, settings, log = store.path, store.settings, store.identity.log_id
        self.path = path
        self.log = LogSettings(log, settings.blob_min)
        self.questions, self.members = SqliteReader(log), SqliteMembers(log)
        self.writer = Lane(connect(path, settings), str(path))
        self.reader = Lane(connect(path, settings), str(path))
        self.transactions = SqliteTransactions(path, settings, self.log)
        self.connect = lambda: connect(path, settings)
        self.checkpoints = Checkpoints(path, self.connect)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``work`` reads."""
        return await self.reader.run(work)

    async def write(self, work: Callable[[sqlite3.Connection], T], *, rows: int = 1) -> T:
        """Return what ``work`` has written, about so many rows."""
        done = await self.writer.run(work)
        self.checkpoints.wrote(1, rows)
        return done

    async def write_long(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``work`` has written, on a thread: it may take seconds."""
        return await asyncio.to_thread(self.writer.insist, work)

    def close(self) -> None:
        self.checkpoints.close()
        self.reader.close()
        self.writer.close()


class _Renewer:
    """Renews from a thread that waits for the file if it has to."""

    def __init__(self, store: SqliteStore, token: int, ttl: float) -> None:
        self._members = SqliteMembers(store.identity.log_id)
        self._token, self._ttl = token, ttl
        self._lane = Lane(connect(store.path, store.settings), str(store.path))

    def renew(self) -> bool:
        """Extend the lease; False when it was swept."""
        return self._lane.insist(lambda c: self._members.renew(c, self._token, self._ttl, clock()))

    def close(self) -> None:
        """Let go of the file."""
        self._lane.close()


def _data_version(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection commits."""
    return int(connection.execute(_DATA_VERSION).fetchone()[0])
