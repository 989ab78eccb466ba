"""The archive on SQLite: one transaction moves runs, the file's write lock is the log's lock."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, literal_column, select, update

from runfold.ports_archive import AGAIN_SECONDS, EVENTS_MAX, Counted, Rest, Wanted
from runfold.store.sql import archive_queries
from runfold.store.sql.compiled import for_sqlite
from runfold.store.sql.schema import ARCHIVE, EVENTS, OPEN_RUNS, STREAMS, TIMERS
from runfold.store.sql.sqlite_erase import erase
from runfold.store.sql.sqlite_lane import transaction
from runfold.store.sql.sqlite_read import stored
from runfold.store.sql.sqlite_values import clock, given, limited, listed, micros, param, prepared

if TYPE_CHECKING:
    from runfold.ports import LogIdentity, Stored
    from runfold.store.sql.sqlite import _Open

_LOG, _STREAM = param("log"), param("of_stream")
_streams = given("streams")
_SECOND = 1_000_000

_NEWEST = prepared(
    limited(
        select(EVENTS.c.stream).where(EVENTS.c.log_id == _LOG).order_by(EVENTS.c.position.desc())
    ),
    "log", "limit",
)  # fmt: skip
_ENDED = prepared(
    select(STREAMS.c.stream).where(
        STREAMS.c.log_id == _LOG,
        STREAMS.c.stream.in_(select(_streams.c.value)),
        STREAMS.c.flow.is_not(None),
        ~select(literal_column("1"))
        .where(OPEN_RUNS.c.log_id == _LOG, OPEN_RUNS.c.stream == STREAMS.c.stream)
        .exists(),
    ),
    "log", "streams", "log",
)  # fmt: skip
_of_run = (EVENTS.c.log_id == _LOG, EVENTS.c.stream == _STREAM)
_COPY = prepared(
    insert(ARCHIVE).from_select(ARCHIVE.c.keys(), select(EVENTS).where(*_of_run)),
    "log", "of_stream",
)  # fmt: skip
_REMOVE = prepared(delete(EVENTS).where(*_of_run), "log", "of_stream")
_timer = (TIMERS.c.log_id == _LOG, TIMERS.c.stream == _STREAM, TIMERS.c.kind == param("of_kind"))
_UNSET = prepared(delete(TIMERS).where(*_timer), "log", "of_stream", "of_kind")
_PUT_OFF = prepared(
    update(TIMERS).where(*_timer).values(due_at=param("again")),
    "again", "log", "of_stream", "of_kind",
)  # fmt: skip
_IS_HERE = prepared(
    select(ARCHIVE.c.stream).where(
        ARCHIVE.c.log_id == _LOG,
        ARCHIVE.c.stream.in_(select(_streams.c.value)),
        ARCHIVE.c.version == literal_column("1"),
    ),
    "log", "streams",
)  # fmt: skip
_ARCHIVABLE = for_sqlite(archive_queries.archivable())
_COUNTED = for_sqlite(archive_queries.counted())
_READ_WANTED = for_sqlite(
    archive_queries.read_wanted(lambda column, name: column.in_(select(given(name).c.value)))
)
_KIND = "archive"


class SqliteArchive:
    """``ports_archive.Archives``."""

    if TYPE_CHECKING:
        identity: LogIdentity

        @property
        def _held(self) -> _Open: ...

    async def archive(self, streams: Sequence[int], *, now: datetime | None = None) -> int:
        """Move those of these runs that have ended, in this order; return how many were moved."""
        log, at = self.identity.log_id, clock(now)
        return await self._held.write(lambda c: _archive(c, log, streams, at), rows=EVENTS_MAX)

    async def archivable(self, *, after: int, before: datetime, limit: int) -> list[int]:
        """Return numbers above ``after`` of runs in the log that ended by ``before``, in order."""
        asked = {"after": after, "before": micros(before), "limit": limit}
        values = _ARCHIVABLE.values(log_id=self.identity.log_id, **asked)
        rows = await self._held.read(lambda c: c.execute(_ARCHIVABLE.text, values).fetchall())
        return [row[0] for row in rows]

    async def archived(self, streams: Sequence[int]) -> set[int]:
        """Return those of these streams that are in the archive."""
        asked = (self.identity.log_id, listed(streams))
        rows = await self._held.read(lambda c: c.execute(_IS_HERE, asked).fetchall())
        return {row[0] for row in rows}

    async def read_wanted(self, wanted: Wanted, *, after: int, upto: int) -> list[Stored]:
        """Return the events with positions in ``(after, upto]`` that are wanted, in order."""
        asked = {"part": wanted.part, "parts": wanted.parts, "after": after, "upto": upto}
        values = _READ_WANTED.values(
            log_id=self.identity.log_id, topics=listed(wanted.topics),
            shared=listed(wanted.shared), **asked,
        )  # fmt: skip
        rows = await self._held.read(lambda c: c.execute(_READ_WANTED.text, values).fetchall())
        return stored(rows)

    async def erase(self, stream: int, rests: Sequence[Rest], *, timer: int | None = None) -> None:
        """Store ``rests`` in place of these events of a run."""
        log, held = self.identity.log_id, self._held
        await held.write(lambda c: erase(c, log, stream, rests, timer), rows=len(rests))
        if timer is not None:
            await asyncio.to_thread(held.checkpoints.cut)

    async def counted(self) -> Counted:
        """Return how many events are in the log and in the archive, read in one statement."""
        values = _COUNTED.values(log_id=self.identity.log_id)
        row = await self._held.read(lambda c: c.execute(_COUNTED.text, values).fetchone())
        return Counted(row[0], row[1], row[2] or 0)


def _archive(connection: sqlite3.Connection, log: int, streams: Sequence[int], now: int) -> int:
    with transaction(connection):
        newest: Any = connection.execute(_NEWEST, (log, 1)).fetchone()
        ended = {row[0] for row in connection.execute(_ENDED, (log, listed(streams), log))}
        runs = events = 0
        for stream in streams:
            if stream not in ended:
                continue
            if stream == newest[0]:
                again = now + round(AGAIN_SECONDS * _SECOND)
                connection.execute(_PUT_OFF, (again, log, stream, _KIND))
                continue
            if events >= EVENTS_MAX:
                break
            count = connection.execute(_COPY, (log, stream)).rowcount
            connection.execute(_REMOVE, (log, stream))
            connection.execute(_UNSET, (log, stream, _KIND))
            runs, events = runs + (count > 0), events + count
        return runs
