"""PostgreSQL for callers that block: asyncpg, driven on an event loop of its own thread.

So nothing but the package's own dependencies is needed, and a caller may itself be inside a
running event loop. The thread starts with the first call and ends when the database is
closed, when nobody holds it any more, or with the process.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from runfold.store.sql.blocking import CallFailed, Database, Work
from runfold.store.sql.postgres_driver import LOST, Address, parse_address
from runfold.store.sql.postgres_engine import engine_of

CONNECTIONS_MAX = 10
"""How many transactions of one process run at once; further callers wait."""

CLOSE_SECONDS_MAX = 5.0
"""How long closing waits for calls that are under way."""

_T = TypeVar("_T")


class PostgresDatabase(Database):
    """A PostgreSQL database."""

    def __init__(self, url: str, *, creates: bool) -> None:
        self._address = parse_address(url)
        super().__init__(self._address.place, creates=creates, migrates=False)
        self._starting = threading.RLock()  # The garbage collector may close, at any point.
        self._bridge: _Bridge | None = None

    def _transact(self, work: Work[_T], *, writes: bool) -> _T:
        bridge = self._bridged()
        return bridge.call(_transact(bridge.engine if writes else bridge.reader, work))

    def _prepare(self, work: Work[None]) -> None:
        bridge = self._bridged()
        bridge.call(_prepare(bridge.engine, work))

    def _bridged(self) -> _Bridge:
        with self._starting:
            if self._bridge is None:
                self._bridge = _Bridge(self._address)
                weakref.finalize(self, _let_go, self._bridge)
            return self._bridge

    def _close(self) -> None:
        with self._starting:
            if self._bridge is not None:
                self._bridge.stop(waits=True)


class _Bridge:
    """A thread with an event loop and an engine; blocking calls go in from other threads."""

    def __init__(self, address: Address) -> None:
        self.engine = engine_of(address, size=CONNECTIONS_MAX)
        # Under READ COMMITTED statements that only read gain nothing from a transaction, and
        # without one they cost one message, not three. A pooler may need one: see the driver.
        self.reader = self.engine
        if address.prepares:
            self.reader = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._stop = asyncio.Event()
        started: Future[asyncio.AbstractEventLoop] = Future()
        serving = partial(_serve, self.engine, self._stop, started)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(serving()), name="runfold-eventsourcing", daemon=True
        )
        self._thread.start()
        self._loop = started.result()

    def call(self, answer: Coroutine[Any, Any, _T]) -> _T:
        """Return what the loop computes; a caller that is interrupted cancels it."""
        try:
            future = asyncio.run_coroutine_threadsafe(answer, self._loop)
        except RuntimeError as error:
            answer.close()
            raise CallFailed("InterfaceError", "the database was closed; open it") from error
        try:
            return future.result()
        except CancelledError as error:
            raise CallFailed("InterfaceError", "the database was closed meanwhile") from error
        except BaseException:
            future.cancel()
            raise

    def stop(self, *, waits: bool) -> None:
        """End the thread."""
        with suppress(RuntimeError):  # Closed: it has ended.
            self._loop.call_soon_threadsafe(self._stop.set)
        if waits and threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_SECONDS_MAX)


def _let_go(bridge: _Bridge) -> None:
    """End ``bridge``, which nobody holds: at exit, or when the garbage collector finds it.

    The collector may run in any thread, inside anything, so only the main thread waits.
    """
    bridge.stop(waits=threading.current_thread() is threading.main_thread())


class _Dead(Exception):
    """The connection was gone before the transaction could be committed."""


async def _serve(
    engine: AsyncEngine, stop: asyncio.Event, started: Future[asyncio.AbstractEventLoop]
) -> None:
    started.set_result(asyncio.get_running_loop())
    await stop.wait()
    if calls := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(calls, timeout=CLOSE_SECONDS_MAX)
    await engine.dispose()


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    try:
        connection = await engine.connect()
    except LOST as error:
        raise CallFailed("OperationalError", f"{type(error).__name__}: {error}") from error
    try:
        yield connection
    finally:
        await connection.close()


async def _transact(engine: AsyncEngine, work: Work[_T]) -> _T:
    """Return what ``work`` returns, committed; once more when the connection was dead.

    That is safe because the commit had not been sent. Cheaper than asking each time.
    """
    with suppress(_Dead):
        return await _transact_once(engine, work)
    try:
        return await _transact_once(engine, work)
    except _Dead as error:
        raise CallFailed("OperationalError", str(error)) from error


async def _transact_once(engine: AsyncEngine, work: Work[_T]) -> _T:
    async with _connected(engine) as connection, connection.begin():
        try:
            return await connection.run_sync(work)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise _Dead(str(error.orig)) from error


async def _prepare(engine: AsyncEngine, work: Work[None]) -> None:
    async with _connected(engine) as connection:
        await connection.run_sync(work)
