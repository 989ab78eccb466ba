"""One connection to a SQLite file: inline when it is free, from a thread when it is not.

Working on the event loop's own thread is fastest (a hop to a thread costs more than most
commits), so a lane tries that first, without waiting for anybody. When another process has
the file's only write lock, the same work goes to the lane's thread, which tries until it
gets it: "database is locked" is never an answer. Whoever comes meanwhile queues behind it.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from runfold.errors import StoreUnavailable

T = TypeVar("T")

PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.0005, 0.01
"""How long a thread pauses between two tries; shorter than SQLite's own busy handler, whose
pauses grow to 100 ms and starve one of two busy processes."""
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Lane:
    """Runs functions of a connection, one at a time, in the order in which they came."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection, self._path = connection, path
        self._process = os.getpid()
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="runfold-sqlite")
        self._closed = False

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return ``work(connection)``.

        ``work`` leaves nothing behind when it raises: it may be run again. Raises
        ``StoreUnavailable`` when the file cannot be used.
        """
        self._check()
        if self._lock.acquire(blocking=False):
            try:
                return work(self._connection)
            except sqlite3.DatabaseError as error:
                self._unless_busy(error)
            finally:
                self._lock.release()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.insist, work)

    def insist(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return ``work(connection)``, waiting for the file as long as the lane is open."""
        self._check()
        pause = PAUSE_SECONDS_MIN
        with self._lock:
            while not self._closed:
                try:
                    return work(self._connection)
                except sqlite3.DatabaseError as error:
                    self._unless_busy(error)
                time.sleep(pause)
                pause = min(pause * 2, PAUSE_SECONDS_MAX)
        raise StoreUnavailable(f"{self._path!r} was closed while another process was writing to it")

    def close(self) -> None:
        """Let go of the file; work that still waits for it ends with ``StoreUnavailable``."""
        self._closed = True
        self._thread.shutdown(wait=True)
        with self._lock:
            self._connection.close()

    def _check(self) -> None:
        if self._process != os.getpid():
            raise StoreUnavailable(
                f"{self._path!r} was opened in process {self._process} and used after a fork in "
                f"{os.getpid()}: that damages a SQLite file; spawn processes, or open it there"
            )
        if self._closed:
            raise StoreUnavailable(f"{self._path!r} is closed; open it again")

    def _unless_busy(self, error: sqlite3.DatabaseError) -> None:
        if is_busy(error):
            return
        if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
            raise StoreUnavailable(f"{self._path!r} cannot be used: {error}") from error
        raise error


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether ``error`` says only that another connection has the file."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the file's write lock, which is the log's lock, from the first statement on."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
