"""A SQLite database for one test, without threads, chance and a clock of its own.

It stands for the database of ``ctx.transaction()`` in a simulation: an ``async def`` gets an
``AsyncConnection``, a ``def`` a ``Connection``, both run their statements where they are called.
``CURRENT_TIMESTAMP``, ``datetime('now')`` and their kin are the moments that it is given,
``random()`` draws from what it is given. Nothing of it is left when it is closed.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.base import SQLiteExecutionContext
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only

from runfold.errors import StoreUnavailable

_MOMENT_AT = {"date": 0, "time": 0, "datetime": 0, "julianday": 0, "unixepoch": 0, "strftime": 1}
"""At which of its arguments a function takes a moment; left out, it is now."""
_WORDS = {"current_timestamp": "datetime", "current_date": "date", "current_time": "time"}


Before = Callable[[], Coroutine[Any, Any, None] | None]


class Scratch:
    """One such database. ``now``: the moment that it says it is; ``random``: its chance."""

    def __init__(self, *, now: Callable[[], datetime], random: Random) -> None:
        self._now, self._random = now, random
        self._folder = tempfile.TemporaryDirectory(prefix="runfold-")
        self._path = Path(self._folder.name) / "scratch.db"
        self._plain = sqlite3.connect(":memory:", check_same_thread=False)
        """Answers the questions about time that are not about now."""
        self._connections: list[sqlite3.Connection] = []
        """All that there were; most have been closed."""
        self._connected().execute("PRAGMA journal_mode = WAL")  # Readers see what was committed.
        self._engine, awaited = (
            create_engine(url, creator=self._connected, poolclass=NullPool)
            for url in ("sqlite://", "sqlite+runfold_scratch://")
        )
        self._async_engine = AsyncEngine(awaited)

    async def begin(self, before: Before, *, blocking: bool) -> ScratchTransaction:
        """Return a transaction that has the file's write lock; nobody else may have it.

        ``before``: called before each statement, and what it returns is awaited unless it is
        ``blocking``. Where it raises ``StoreUnavailable`` the connection is lost.
        """
        if blocking:
            connection = self._engine.connect()
            return ScratchTransaction(connection, connection, before)
        awaited = await self._async_engine.connect()
        inner = awaited.sync_connection
        assert inner is not None
        return ScratchTransaction(awaited, inner, before)

    @contextmanager
    def block(self) -> Iterator[Connection]:
        """Yield a connection whose transaction is committed when the block ends well."""
        with self._engine.connect() as connection, connection.begin():
            connection.exec_driver_sql("BEGIN")
            yield connection

    def close(self) -> None:
        """Delete it."""
        for connection in (self._plain, *self._connections):
            connection.close()
        self._folder.cleanup()

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=0, isolation_level=None, check_same_thread=False
        )
        self._connections.append(connection)
        connection.execute("PRAGMA synchronous = OFF")  # It outlives no process.
        connection.execute("PRAGMA foreign_keys = ON")
        for name in _MOMENT_AT:
            connection.create_function(name, -1, self._timed(name), deterministic=True)
        for word, name in _WORDS.items():
            connection.create_function(word, 0, self._timed(name), deterministic=True)
        draw = self._random
        connection.create_function("random", 0, lambda: draw.getrandbits(64) - 2**63)
        connection.create_function("randomblob", 1, lambda size: draw.randbytes(max(1, size or 0)))
        return connection

    def _timed(self, name: str) -> Callable[..., Any]:
        """Return SQLite's function ``name``, by this database's own clock."""
        place = _MOMENT_AT[name]

        def answer(*given: Any) -> Any:
            arguments = [*given, "now"] if len(given) <= place else list(given)
            if str(arguments[place]).lower() == "now":
                arguments[place] = self._now().strftime("%Y-%m-%d %H:%M:%S.%f")
            marks = ", ".join("?" * len(arguments))
            return self._plain.execute(f"SELECT {name}({marks})", arguments).fetchone()[0]

        return answer


class ScratchTransaction:
    """A transaction that has begun; what ends it lets its connection go, ending it again does
    nothing."""

    def __init__(
        self, connection: Connection | AsyncConnection, inner: Connection, before: Before
    ) -> None:
        self.connection, self._inner, self._before = connection, inner, before
        self._begun = inner.begin()
        inner.exec_driver_sql("BEGIN IMMEDIATE")
        event.listen(inner, "before_cursor_execute", self._meet)
        self._is_waiting = False
        self.is_lost = False
        """Whether the connection is gone, and with it all that was written."""

    @property
    def is_active(self) -> bool:
        """False when the handler has ended it by itself."""
        return self._begun.is_active

    def commit(self) -> None:
        """Commit; raises what the database says when a constraint does not hold at the end."""
        self._begun.commit()
        self._inner.close()

    def cut(self) -> None:
        """Undo all of it, as the database does when the connection goes."""
        if self._inner.closed:
            return
        self._lose()
        if not self._is_waiting:
            self._inner.invalidate()
            self._inner.close()

    def _lose(self) -> None:
        if not (self.is_lost or self._inner.invalidated):  # By SQLAlchemy, which closed it.
            driver: Any = self._inner.connection.driver_connection
            driver.rollback()
            # Whoever goes on with it, the handler of a dead process, reaches nothing any more.
            driver.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
        self.is_lost = True

    def _meet(self, _: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        self._is_waiting = True
        told = "the connection is lost"
        try:
            asked = None if self.is_lost else self._before()
            if asked is not None:
                await_only(asked)
        except StoreUnavailable as error:
            told = str(error)
            self._lose()
        finally:
            self._is_waiting = False
        if self.is_lost:
            raise OperationalError(statement, parameters, sqlite3.OperationalError(told))


class _Streaming(SQLiteExecutionContext):
    def create_server_side_cursor(self) -> Any:
        return self._dbapi_connection.cursor()


class ScratchDialect(SQLiteDialect_pysqlite):
    """SQLite's, whose statements an ``AsyncConnection`` may run as well: they wait for nothing."""

    driver = "runfold_scratch"
    is_async = True
    supports_server_side_cursors = True
    execution_ctx_cls = _Streaming
    supports_statement_cache = True


registry.register("sqlite.runfold_scratch", __name__, "ScratchDialect")
