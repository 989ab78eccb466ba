"""The log of an attached Application: one lock, positions of its own, unseen by the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from runfold.errors import InvalidSettings
from runfold.store.sql import attached_queries as queries
from runfold.store.sql.attached_queries import AttachedEvent
from runfold.store.sql.blocking import CallFailed, Database, Work

TRIES_MAX = 20
"""How often a number for a new log is tried; all who create one at once compete for it."""

_T = TypeVar("_T")


class Tracked(NamedTuple):
    """That the events of ``application`` were processed up to ``position``."""

    application: str
    position: int


class AttachedLog:
    """The log ``name`` of a database, created by the first call that needs it."""

    def __init__(self, database: Database, name: str) -> None:
        self.name = name
        self.database = database
        self._log_id: int | None = None

    @property
    def log_id(self) -> int:
        """The log's number."""
        if self._log_id is None:
            self._log_id = self._find() or self._create()
        return self._log_id

    def append(self, events: Sequence[AttachedEvent], tracked: Tracked | None = None) -> list[int]:
        """Record ``events`` and ``tracked`` together; return the positions of the events."""
        log = self.log_id
        return self.write(lambda connection: queries.append(connection, log, events), tracked)

    def write(self, work: Work[_T], tracked: Tracked | None = None) -> _T:
        """Return what ``work`` does under the log's lock, committed together with ``tracked``.

        Raises ``CallFailed`` of kind ``IntegrityError`` when ``tracked`` is not new.
        """
        log = self.log_id

        def transaction(connection: Connection) -> _T:
            queries.lock(connection, log)
            if tracked is not None and not queries.track(connection, log, *tracked):
                raise CallFailed(
                    "IntegrityError",
                    f"{self.name} has processed {tracked.application} beyond {tracked.position}",
                )
            return work(connection)

        return self.database.write(transaction)

    def stream(self, stream: bytes, **bounds: Any) -> list[AttachedEvent]:
        """Return events of one stream; for ``bounds`` see ``attached_queries.read_stream``."""
        log = self.log_id
        return self.database.read(
            lambda connection: queries.read_stream(connection, log, stream, **bounds)
        )

    def page(self, **bounds: Any) -> list[AttachedEvent]:
        """Return events in order of position; see ``attached_queries.read_page``."""
        log = self.log_id
        return self.database.read(lambda connection: queries.read_page(connection, log, **bounds))

    def head(self) -> int | None:
        """Return the position of the last event, None in an empty log."""
        log = self.log_id
        return self.database.read(lambda connection: queries.head(connection, log))

    def tracked(self, application: str) -> int | None:
        """Return up to which position ``application`` was processed here."""
        log = self.log_id
        return self.database.read(lambda connection: queries.tracked(connection, log, application))

    def _find(self) -> int | None:
        return self.database.read(lambda connection: queries.find_log(connection, self.name))

    def _create(self) -> int:
        for _ in range(TRIES_MAX):
            try:
                return self.database.write(
                    lambda connection: queries.create_log(connection, self.name)
                )
            except CallFailed as error:
                # An engine took the number for a namespace meanwhile: take the next.
                if error.kind != "IntegrityError":
                    raise
        raise CallFailed("OperationalError", f"no log for {self.name!r} after {TRIES_MAX} tries")


def open_database(url: str, *, creates: bool = True) -> Database:
    """Return the database of ``url``, without I/O; an empty one is set up if ``creates``."""
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme in ("postgresql", "postgres"):
        from runfold.store.sql.blocking_postgres import PostgresDatabase

        return PostgresDatabase(url, creates=creates)
    if scheme in ("sqlite", "memory"):
        from runfold.store.sql.blocking_sqlite import SqliteDatabase

        return SqliteDatabase(url, creates=creates)
    raise InvalidSettings(
        f"the scheme of the URL is {scheme!r}, expected one of "
        "memory://, sqlite:///file.db, postgresql://user@host/database"
    )
