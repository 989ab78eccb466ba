"""SQLite for callers that block: a few connections, one writer at a time.

``memory://`` is a database of its own that lives as long as the object: one connection, which
all threads share in turn.
"""

from __future__ import annotations

import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from threading import RLock
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Engine, StaticPool, create_engine, event
from sqlalchemy.exc import OperationalError

from runfold.store.sql.blocking import CallFailed, Database, Work
from runfold.store.sql.columns import TRANSLATED
from runfold.store.sql.sqlite_lane import PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN, is_busy
from runfold.store.sql.sqlite_open import path_of
from runfold.store.sql.sqlite_plans import settle

BUSY_SECONDS_MAX = 60.0
"""How long a call waits for another process that writes to the file."""

CONNECTIONS_MAX = 10
"""How many threads read one file at once."""

_T = TypeVar("_T")


class SqliteDatabase(Database):
    """A SQLite file, or a database in memory."""

    def __init__(self, url: str, *, creates: bool) -> None:
        in_memory = url.startswith("memory:")
        place = f"memory-{uuid4().hex}" if in_memory else str(path_of(url))
        super().__init__(place, creates=creates, migrates=True)
        self._engine = _memory() if in_memory else _file(place)
        self._writing = RLock()
        # What has only one connection has one user of it, reading or writing.
        self._reading: AbstractContextManager[Any] = self._writing if in_memory else nullcontext()
        self._finalizer = weakref.finalize(self, self._engine.dispose)

    def _transact(self, work: Work[_T], *, writes: bool) -> _T:
        for pause in _pauses():
            try:
                with self._writing if writes else self._reading:
                    return self._once(work, "BEGIN IMMEDIATE" if writes else "BEGIN")
            except OperationalError as error:
                if not (isinstance(error.orig, sqlite3.Error) and is_busy(error.orig)):
                    raise
            time.sleep(pause)
        raise CallFailed(
            "OperationalError",
            f"another process was writing to {self.place} for {BUSY_SECONDS_MAX:.0f} s; "
            "it may hang in a transaction",
        )

    def _once(self, work: Work[_T], begin: str) -> _T:
        self._check()  # Closed, perhaps, by whoever had the connection before.
        with self._engine.connect() as connection, connection.begin():
            connection.exec_driver_sql(begin)
            return work(connection)

    def _prepare(self, work: Work[None]) -> None:
        with self._writing, self._engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS_MAX * 1000:.0f}")
            work(connection)
            settle(driver)
            driver.execute("PRAGMA busy_timeout = 0")

    def _close(self) -> None:
        # Memory: the one connection must not be closed while another thread is inside of it.
        with self._reading:
            self._finalizer()


def _file(path: str) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": 0},
        pool_size=CONNECTIONS_MAX,
        max_overflow=0,
        execution_options={"schema_translate_map": TRANSLATED},
    )
    event.listen(engine, "connect", _configure)
    return engine


def _memory() -> Engine:
    engine = create_engine(
        "sqlite://",
        connect_args={"check_same_thread": False},
        poolclass=StaticPool,
        execution_options={"schema_translate_map": TRANSLATED},
    )
    event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours to say.
    for pause in _pauses():
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        time.sleep(pause)


def _pauses() -> Iterator[float]:
    """Yield how long to wait before the next try, until it is too long altogether."""
    pause, end = PAUSE_SECONDS_MIN, time.monotonic() + BUSY_SECONDS_MAX
    while time.monotonic() < end:
        yield pause
        pause = min(pause * 2, PAUSE_SECONDS_MAX)
