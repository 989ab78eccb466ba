"""The store on PostgreSQL, for any number of processes on any number of machines.

One connection carries the engine's transactions, a few carry reads, one rings and one
listens. None of them keeps state in its session, and each is made again when it is lost.
"""

from __future__ import annotations

import math
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from runfold.errors import StoreUnavailable
from runfold.ports import LogIdentity, Transaction
from runfold.settings import Settings
from runfold.store.sql.postgres_archive import PostgresArchive
from runfold.store.sql.postgres_doorbell import PostgresDoorbell
from runfold.store.sql.postgres_driver import LOST, connect, parse_address
from runfold.store.sql.postgres_line import Line, Lines, Memory
from runfold.store.sql.postgres_log import PostgresLog
from runfold.store.sql.postgres_rebuild import rebuilding
from runfold.store.sql.postgres_setup import open_log, prepare
from runfold.store.sql.postgres_transaction import PostgresTransactions
from runfold.store.sql.postgres_views import PostgresViews
from runfold.store.sql.postgres_work import PostgresWork
from runfold.store.sql.rebuilding import SqlRebuilding

READERS = 4
"""How many connections one process reads through."""

_HEALTH = (
    "SELECT current_setting('server_version'), "
    "(SELECT max(position) FROM runfold.events WHERE log_id = $1)"
)


class PostgresStore(PostgresLog, PostgresArchive, PostgresWork, PostgresDoorbell):
    """A whole ``ports.Store`` for one namespace of a PostgreSQL database.

    ``url`` is ``postgresql://...``; with ``statement_cache_size=0`` in it nothing is prepared
    and nothing listens, as a pooler in transaction mode wants it. Raises ``InvalidSettings``
    for a URL that is none.
    """

    in_process = False

    def __init__(
        self, url: str, settings: Settings | None = None, namespace: str = "default"
    ) -> None:
        self.settings = settings or Settings()
        self.namespace = namespace
        self.identity = LogIdentity(0, "", 0)
        self._url, self._address = url, parse_address(url)
        self._users = 0
        self._transactions: PostgresTransactions | None = None
        self.views = PostgresViews(lambda: self.identity.log_id, self._address.place)
        self._reset()

    def __reduce__(self) -> tuple[object, ...]:
        """Be, in another process, a store of the same log that is not open."""
        return type(self), (self._url, self.settings, self.namespace)

    def attach(self, namespace: str) -> PostgresStore:
        """Return a store of ``namespace`` in the same database; itself when it is its own."""
        if namespace == self.namespace:
            return self
        return PostgresStore(self._url, self.settings, namespace)

    async def open(self, *, migrate: bool = False) -> None:
        """Connect, check or set up the schema, find the log. Raises ``SchemaOutdated``.

        Opened more than once, it stays open until it is closed as often.
        """
        if self._users:
            self._users += 1
            return
        self._reset()
        try:
            link = await connect(self._address)
        except LOST as error:
            raise StoreUnavailable(
                f"PostgreSQL at {self._address.place} cannot be reached: "
                f"{type(error).__name__}: {error}"
            ) from error
        try:
            await prepare(self._address, link, migrate=migrate or self.settings.migrate)
            self.identity = await open_log(link, self.namespace)
        finally:
            await link.close()
        self._memory.identity = self.identity
        self._transactions = PostgresTransactions(self._address, self.settings, self.identity)
        self._users += 1

    async def close(self) -> None:
        """End the doorbell and close every connection, if nobody else opened it."""
        self._users = max(0, self._users - 1)
        if self._users:
            return
        self._closed = True
        for ears in list(self._ears):
            await ears.close()
        for line in (self._writer, self._viewer, self._bell, self._readers):
            await line.close()
        if self._transactions is not None:
            await self._transactions.close()

    def handler_transaction(self, *, blocking: bool) -> Transaction:
        """Return a transaction for a handler."""
        if self._transactions is None:
            raise StoreUnavailable(f"the store on {self._address.place} is not open")
        return self._transactions.transaction(blocking=blocking)

    async def health(self) -> str:
        """Return one line about the store; raises ``StoreUnavailable``."""
        log_id = self.identity.log_id
        version, head = await self._readers.call(lambda link: link.row(_HEALTH, [log_id]))
        place = self._address.place
        return f"postgresql {version} at {place}: log {log_id}, {head or 0} events"

    def rebuild(self, *, now: datetime | None = None) -> AbstractAsyncContextManager[SqlRebuilding]:
        """Return a block that replaces everything derived from the log at its end."""
        return rebuilding(self._address, self.identity, now)

    def _reset(self) -> None:
        self._memory = Memory()
        self._writer = Line(self._address, self._memory)
        self._readers = Lines(self._address, self._memory, READERS)
        self._viewer = Line(self._address, self._memory)
        self.views.connect(self._viewer, self._readers)
        self._bell = Line(self._address, Memory())
        self._ears, self._no_news, self._told_at = [], 0, -math.inf
        self._transactions = None
        self._closed = self._ringing = self._rings_waiting = False
