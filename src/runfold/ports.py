"""The whole border between the engine and the outside: what a store, a clock, a bell must do.

The values that cross it are in ``items`` and ``items_rebuild``, and importable from here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from runfold.items import (
    Batch,
    BucketUse,
    Change,
    Claim,
    Closure,
    Committed,
    Due,
    Encoded,
    Holder,
    InboxRow,
    Item,
    Job,
    Limit,
    LogIdentity,
    Member,
    Name,
    Outcome,
    QueueState,
    Refusal,
    Row,
    Served,
    Stalled,
    Stored,
    Upcoming,
)
from runfold.items_rebuild import Restored, RestoredLimits, RestoredRun, Start
from runfold.kernel.event import Draft, Event
from runfold.ports_archive import Archives
from runfold.ports_jobs import Jobs
from runfold.ports_views import Views

__all__ = [
    "Batch",
    "Change",
    "Claim",
    "Clock",
    "Closed",
    "Closure",
    "Codec",
    "Committed",
    "Cursors",
    "Doorbell",
    "Due",
    "Encoded",
    "EventLog",
    "Ids",
    "Inbox",
    "InboxRow",
    "Item",
    "Job",
    "Jobs",
    "Limit",
    "LogIdentity",
    "LogRewound",
    "Member",
    "Members",
    "Name",
    "Outcome",
    "BucketUse",
    "Holder",
    "QueueState",
    "Rebuilding",
    "Rebuilds",
    "Refusal",
    "Renewer",
    "Restored",
    "RestoredLimits",
    "RestoredRun",
    "Row",
    "Served",
    "Stalled",
    "Start",
    "Store",
    "Stored",
    "Transaction",
    "Transactions",
    "Upcoming",
    "WholeLog",
]


class LogRewound(Exception):
    """The database lacks events that this process has seen: a restore, a replica that lagged.

    Whoever meets it drops what it remembers and begins again from what is there.
    """


class Closed(Exception):
    """A handler has committed or rolled back the transaction that its attempt was to end with."""


class Codec(Protocol):
    """Events to bytes and back."""

    def encode(self, draft: Draft) -> Encoded: ...

    def decode(self, topic: str, state: bytes) -> Event: ...


class EventLog(Protocol):
    """The log of one namespace: append by ``commit``, read by position or by stream."""

    async def commit(self, batch: Batch) -> Committed:
        """Record the batch in one transaction. Raises ``StoreUnavailable`` when unknown."""
        ...

    async def read(self, *, after: int, limit: int, upto: int | None = None) -> list[Stored]:
        """Return at most ``limit`` events above ``after`` in order of position, no hole."""
        ...

    async def read_stream(
        self, stream: int, *, after: int = 0, limit: int = 1000, upto: int | None = None
    ) -> list[Stored]:
        """Return events of one stream with versions in ``(after, upto]``, in order."""
        ...

    async def read_streams(self, streams: Sequence[int], *, upto: int) -> list[Stored]:
        """Return the events of all these streams with versions up to ``upto``, each in order."""
        ...

    async def last_version(self, stream: int) -> int:
        """Return the version of the stream's last event, 0 when there is no such stream."""
        ...

    async def read_versions(self, wanted: Sequence[tuple[int, int]]) -> list[Stored]:
        """Return the events at these (stream, version) places, in any order."""
        ...

    async def head(self) -> int:
        """Return the position of the last event, 0 in an empty log."""
        ...

    async def find(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the numbers of those of these stream ids that exist."""
        ...

    async def names(self, streams: Sequence[int]) -> dict[int, Name]:
        """Return what these stream numbers stand for."""
        ...

    async def runs(self, *, flow: str | None, before: int | None, limit: int) -> list[int]:
        """Return stream numbers of runs, newest first, below ``before``."""
        ...

    async def open_runs(self, *, after: int, limit: int) -> list[int]:
        """Return stream numbers above ``after`` of runs that have not ended, oldest first."""
        ...


class WholeLog(EventLog, Archives, Protocol):
    """A log with its archive."""


class Members(Protocol):
    """Leases by member, and the one leader."""

    async def join(self, member: Member, ttl: float, *, now: datetime | None = None) -> None:
        """Register a process for ``ttl`` seconds."""
        ...

    async def renew(self, token: int, ttl: float, *, now: datetime | None = None) -> bool:
        """Extend the lease of ``token``; False when it was swept: everything it held is lost.

        Takes no lock. Called from a thread of its own through ``renewer``.
        """
        ...

    async def members(self) -> list[tuple[Member, datetime]]:
        """Return every registered process with the end of its lease, by name."""
        ...

    async def leave(self, token: int) -> None:
        """Forget a process; what it still leases is stalled from now on."""
        ...

    async def lead(self, token: int, ttl: float, *, now: datetime | None = None) -> bool:
        """Take or keep the log's dispatcher lease; False while another token holds it.

        Under the log's lock: a takeover is ordered with everything that its token guards.
        """
        ...

    async def resign(self, token: int) -> None:
        """Give the dispatcher lease back, if held."""
        ...

    async def expire(self, limit: int, *, now: datetime | None = None) -> int:
        """Remove members whose time is over, under the lock; return how many."""
        ...

    def renewer(self, token: int, ttl: float) -> Renewer:
        """Return something that renews from another thread, with a connection of its own."""
        ...


class Renewer(Protocol):
    """Renews one member's lease; used by one thread, blocking."""

    def renew(self) -> bool: ...

    def close(self) -> None: ...


class Cursors(Protocol):
    """How far a reader has come."""

    async def cursor(self, name: str) -> int:
        """Return the saved position of ``name``, 0 without one or one of another log."""
        ...

    async def save_cursor(self, name: str, position: int) -> None:
        """Save it, with the log's identity."""
        ...


class Inbox(Protocol):
    """Starts written by other people's transactions."""

    async def inbox(self, limit: int) -> list[InboxRow]:
        """Return committed rows, oldest first."""
        ...

    def enlist(self, connection: Any, rows: Sequence[tuple[bytes, str]]) -> Any:
        """Write (run id, body) rows through a caller's connection, in its transaction.

        Returns an awaitable for async connections, else None. Raises ``InvalidInput`` for a
        connection that it does not know or of another database.
        """
        ...


class Rebuilding(Protocol):
    """The working tables of one log, empty, while they are filled again from it."""

    async def name(self, streams: Sequence[tuple[int, Name]], ended: Sequence[int]) -> None:
        """Put back what these stream numbers stand for.

        Those that are runs are open, unless they are among ``ended``, now or in a later call.
        """

    async def open_runs(self, *, after: int, limit: int) -> list[int]:
        """Return numbers above ``after`` of runs that were named and did not end, in order."""

    async def limit(self, restored: RestoredLimits) -> None:
        """Put back limits, what is closed, and the starts that rates count."""

    async def put(self, runs: Sequence[RestoredRun]) -> None:
        """Put back gates, jobs and timers of open runs."""

    async def save_cursor(self, name: str, position: int) -> None:
        """Put back how far a reader had come."""


class Rebuilds(Protocol):
    """Everything that is derived from the log, made anew in one transaction."""

    def rebuild(self, *, now: datetime | None = None) -> AbstractAsyncContextManager[Rebuilding]:
        """Return a block that replaces every working table of this log at its end.

        It holds the log's lock, so nothing is recorded meanwhile, and reads of the log go on;
        what raises inside leaves the tables as they were. ``batches`` and the inbox stay. On
        entering raises ``EngineRunning`` while a member is alive or leads.
        """


class Doorbell(Protocol):
    """A hint that something was appended; never data, may be late or spurious."""

    async def ring(self) -> None:
        """Tell other processes. Coalesced; outside every transaction."""

    def rings(self) -> AsyncIterator[None]:
        """Yield whenever another process may have appended; ends when the store closes.

        Within seconds also when nobody rang, or the ring was lost: who appends may die before it
        rings.
        """


class Transaction(Protocol):
    """A transaction of a handler's own in the engine's database; never the engine's connection.

    Used by one attempt. What ends it is ``commit`` or ``rollback``; both let the connection go.
    """

    connection: Any
    """SQLAlchemy's ``AsyncConnection``, or, ``blocking``, its ``Connection``; after ``begin``."""

    async def begin(self) -> None:
        """Connect and begin. Raises ``StoreUnavailable``."""
        ...

    async def commit(self, batch: Batch) -> Committed:
        """Record ``batch``, with no claims, in this transaction and commit it.

        When an item is refused all of it is rolled back. Raises ``Closed`` when the handler
        has ended the transaction itself. After any other error it is unknown what became of
        it: an empty batch of the same number, sent to the log, fences it and says.
        """
        ...

    async def rollback(self) -> None:
        """Undo all of it, whatever it is doing; never raises. Again: does nothing."""
        ...


class Transactions(Protocol):
    """Transactions for handlers."""

    def handler_transaction(self, *, blocking: bool) -> Transaction:
        """Return one that has not begun; ``blocking`` for a handler in a thread.

        Raises ``InvalidSettings`` where there is no database, or no driver for this kind.
        """
        ...


@runtime_checkable
class Store(WholeLog, Jobs, Members, Cursors, Inbox, Rebuilds, Doorbell, Transactions, Protocol):
    """Everything together, for one namespace."""

    identity: LogIdentity
    in_process: bool
    """True when no other process can see this store (memory)."""

    @property
    def views(self) -> Views: ...

    def attach(self, namespace: str) -> Store:
        """Return a store of ``namespace`` in the same database; itself when it is its own."""

    async def open(self, *, migrate: bool = False) -> None:
        """Connect and check or set up the schema. Raises ``SchemaOutdated``."""
        ...

    async def close(self) -> None: ...

    async def now(self) -> datetime:
        """Return the store's time."""

    async def health(self) -> str:
        """Return one line about the store; raises ``StoreUnavailable``."""


class Clock(Protocol):
    """Time of this process: only for spans that nobody else compares."""

    def monotonic(self) -> float: ...

    def now(self) -> datetime | None:
        """Return the moment to pass to the store, None for the store's own clock."""
        ...


class Ids(Protocol):
    """Randomness that becomes identity."""

    def token(self) -> int:
        """Return a random positive 62-bit number."""
        ...

    def run_id(self) -> bytes:
        """Return the 16 bytes of a new UUIDv7."""
