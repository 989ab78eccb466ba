"""A database for callers that block: a function of a connection in, its answer out.

The engine never uses this; it is for libraries whose interface is synchronous. The schema is
set up at the first call, not when the object is made.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeAlias, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from runfold.errors import StoreUnavailable
from runfold.store.sql.migrate import State, check, current, refuse, upgrade

T = TypeVar("T")
Work: TypeAlias = Callable[[Connection], T]
"""What is done in one transaction. It may be run again when the database was busy."""

_DENIED = ("42501", "3F000")
_KINDS = (
    "InterfaceError", "DataError", "OperationalError", "IntegrityError", "InternalError",
    "ProgrammingError", "NotSupportedError",
)  # fmt: skip


class CallFailed(Exception):
    """A call to the database failed. ``kind`` is the class that PEP 249 gives it."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class Database(ABC):
    """One database, usable from any thread of the process that made this object."""

    def __init__(self, place: str, *, creates: bool, migrates: bool) -> None:
        self.place = place
        """Which database this is, without a password; the same for all that open it."""
        self._creates, self._migrates = creates, migrates
        self._process = os.getpid()
        self._is_ready = self._is_closed = False
        self._setting_up = Lock()

    def read(self, work: Work[T]) -> T:
        """Return ``work(connection)``, which only reads, in a transaction or without one.

        Raises ``CallFailed``, and ``SchemaOutdated`` when the schema is another's.
        """
        return self._call(work, writes=False)

    def write(self, work: Work[T]) -> T:
        """Return ``work(connection)`` after its transaction was committed; see ``read``."""
        return self._call(work, writes=True)

    def close(self) -> None:
        """Let go of all connections. Calls from now on fail; closing again does nothing."""
        self._is_closed = True
        self._close()

    @abstractmethod
    def _transact(self, work: Work[T], *, writes: bool) -> T:
        """Run ``work`` in a transaction; if it ``writes``, on SQLite under the write lock."""

    @abstractmethod
    def _prepare(self, work: Work[None]) -> None:
        """Run ``work`` with a connection that is in no transaction."""

    @abstractmethod
    def _close(self) -> None: ...

    def _call(self, work: Work[T], *, writes: bool) -> T:
        self._check()
        with _failures():
            self._set_up()
            return self._transact(work, writes=writes)

    def _check(self) -> None:
        if self._process != os.getpid():
            raise CallFailed(
                "InterfaceError",
                f"{self.place} was opened in process {self._process} and used after a fork in "
                f"{os.getpid()}; spawn processes, or open it there",
            )
        if self._is_closed:
            raise CallFailed("InterfaceError", f"{self.place} was closed; open it again")

    def _set_up(self) -> None:
        if self._is_ready:
            return
        with self._setting_up:
            if not self._is_ready:
                self._prepare(self._migrate)
                self._is_ready = True

    def _migrate(self, connection: Connection) -> None:
        revision = current(connection)
        connection.rollback()
        state = check(revision)
        wanted = {State.EMPTY: self._creates, State.OLDER: self._migrates}
        if state is State.CURRENT:
            return
        if not wanted.get(state):
            raise refuse(revision)
        try:
            upgrade(connection)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) in _DENIED:
                raise refuse(revision) from error
            raise


@contextmanager
def _failures() -> Iterator[None]:
    """Say what failed in words of PEP 249, whichever driver said it."""
    try:
        yield
    except DBAPIError as error:
        kind = type(error).__name__
        if error.connection_invalidated:
            kind = "OperationalError"
        raise CallFailed(kind if kind in _KINDS else "DatabaseError", str(error.orig)) from error
    except (NoConnectionFree, StoreUnavailable) as error:
        raise CallFailed("OperationalError", str(error)) from error
