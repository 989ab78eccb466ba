"""Transactions of handlers on a SQLite file, which has one writer.

So the whole block, from its first line to the end of the attempt, holds the file's write
lock: everybody else's commits wait for it. Keep it short.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from runfold.errors import InvalidSettings, StoreUnavailable
from runfold.ports import Batch, Committed
from runfold.settings import Settings
from runfold.store.sql.sqlite_commit import LogSettings, record
from runfold.store.sql.sqlite_lane import PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN, is_busy
from runfold.store.sql.sqlite_open import connect
from runfold.store.sql.transactions import AsyncTransaction, BlockingTransaction

BUSY_SECONDS_MAX = 60.0
"""How long a handler waits for the file's write lock."""


class SqliteTransactions:
    """Makes them for one open file; ``close`` when the file is."""

    def __init__(self, path: Path, settings: Settings, log: LogSettings) -> None:
        self._path, self._settings, self._log = path, settings, log
        self._async: AsyncEngine | None = None
        self._blocking: Engine | None = None

    def transaction(self, *, blocking: bool) -> AsyncTransaction | BlockingTransaction:
        """Return one that has not begun; raises ``InvalidSettings`` without a driver."""
        if blocking:
            if self._blocking is None:
                self._blocking = self._blocking_engine()
            return BlockingTransaction(self._blocking, self._record_blocking, _lock_blocking)
        if self._async is None:
            self._async = self._async_engine()
        return AsyncTransaction(self._async, self._record, _lock)

    async def close(self) -> None:
        """Close all connections."""
        if self._async is not None:
            await self._async.dispose()
        if self._blocking is not None:
            self._blocking.dispose()
        self._async = self._blocking = None

    def _blocking_engine(self) -> Engine:
        return create_engine(
            "sqlite://",
            creator=lambda: connect(self._path, self._settings),
            poolclass=QueuePool,
            pool_size=self._settings.transactions,
            max_overflow=0,
        )

    def _async_engine(self) -> AsyncEngine:
        try:
            engine = create_async_engine(
                f"sqlite+aiosqlite:///{self._path}",
                connect_args={"isolation_level": None, "timeout": 0, "check_same_thread": False},
                pool_size=self._settings.transactions,
                max_overflow=0,
            )
        except ModuleNotFoundError as error:
            raise InvalidSettings(
                "ctx.transaction() of an `async def` on SQLite needs aiosqlite; install "
                "runfold[aiosqlite], or make the handler a `def`"
            ) from error

        @event.listens_for(engine.sync_engine, "connect")
        def set_up(connection: Any, _: Any) -> None:
            connection.execute(f"PRAGMA synchronous = {self._settings.synchronous}")

        return engine

    async def _record(self, connection: AsyncConnection, batch: Batch) -> Committed:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        # Its statements run in a thread of its own; there is no public way into it.
        run, connection_of_it = driver._execute, driver._conn  # noqa: SLF001
        done: Committed = await run(record, connection_of_it, self._log, batch)
        return done

    async def _record_blocking(self, connection: Connection, batch: Batch) -> Committed:
        driver: Any = connection.connection.driver_connection
        return await asyncio.to_thread(record, driver, self._log, batch)


async def _lock(connection: AsyncConnection) -> None:
    async for _ in _tries():
        try:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            _unless_busy(error)
        else:
            return


async def _lock_blocking(connection: Connection) -> None:
    async for _ in _tries():
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            _unless_busy(error)
        else:
            return


async def _tries() -> AsyncIterator[None]:
    deadline, pause = time.monotonic() + BUSY_SECONDS_MAX, PAUSE_SECONDS_MIN
    while time.monotonic() < deadline:
        yield
        await asyncio.sleep(pause)
        pause = min(pause * 2, PAUSE_SECONDS_MAX)
    raise StoreUnavailable(
        f"the file's write lock was held by others for {BUSY_SECONDS_MAX:.0f} s; try again"
    )


def _unless_busy(error: OperationalError) -> None:
    if not (isinstance(error.orig, sqlite3.Error) and is_busy(error.orig)):
        raise error
