"""Reading on SQLite: the log, its names, and the working rows. One statement, one page each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Executable, Select, Table, and_, func, literal_column, select

from runfold.ports import BucketUse, Due, InboxRow, Job, Name, QueueState, Stalled, Stored, Upcoming
from runfold.ports_jobs import Pending
from runfold.store.buckets import limit_of
from runfold.store.sql import (
    line_queries,
    log_queries,
    queue_queries,
    stream_queries,
    usage_queries,
    work_queries,
)
from runfold.store.sql.compiled import Compiled, for_sqlite
from runfold.store.sql.moments import with_moments
from runfold.store.sql.schema import ARCHIVE, EVENTS, STREAMS
from runfold.store.sql.sqlite_values import given, listed, moment, param

END = 2**62
"""Above every position, version and stream number."""
_SECOND = 1_000_000


def _is_wanted(column: Any) -> Any:
    return column.in_(select(given("wanted").c.value))


_LOG = param("log_id")
_places, _streams, _ids = given("places"), given("streams"), given("ids")

_READ, _READ_ALL = for_sqlite(log_queries.read()), for_sqlite(log_queries.read_all())


def _of_both(question: Callable[[Table], Executable]) -> tuple[Compiled, Compiled]:
    """Return ``question`` of the log, and of the archive."""
    return for_sqlite(question(EVENTS)), for_sqlite(question(ARCHIVE))


def _versions(of: Table) -> Select[Any]:
    at_stream = func.json_extract(_places.c.value, literal_column("'$[0]'"))
    at_version = func.json_extract(_places.c.value, literal_column("'$[1]'"))
    here = and_(of.c.log_id == _LOG, of.c.stream == at_stream, of.c.version == at_version)
    return select(*log_queries.stored(of)).select_from(_places).join(of, here)


def _of_streams(of: Table) -> Select[Any]:
    return (
        select(*log_queries.stored(of))
        .where(
            of.c.log_id == _LOG,
            of.c.stream.in_(select(_streams.c.value)),
            of.c.version <= param("upto"),
        )
        .order_by(of.c.stream, of.c.version)
    )


def _last(of: Table) -> Select[Any]:
    return select(func.max(of.c.version)).where(of.c.log_id == _LOG, of.c.stream == param("stream"))


_READ_STREAM, _READ_STREAM_ARCHIVED = _of_both(log_queries.read_stream)
_READ_VERSIONS, _READ_VERSIONS_ARCHIVED = _of_both(_versions)
_READ_STREAMS, _READ_STREAMS_ARCHIVED = _of_both(_of_streams)
_LAST_VERSION, _LAST_VERSION_ARCHIVED = _of_both(_last)
_HEAD = for_sqlite(log_queries.head())
_FIND = for_sqlite(
    select(STREAMS.c.stream).where(STREAMS.c.log_id == _LOG, STREAMS.c.id == param("named"))
)
_NAMES = for_sqlite(
    select(STREAMS.c.stream, STREAMS.c.id, STREAMS.c.flow)
    .select_from(_streams)
    .join(STREAMS, and_(STREAMS.c.log_id == _LOG, STREAMS.c.stream == _streams.c.value))
)
_RUNS = {of_flow: for_sqlite(stream_queries.runs(of_flow=of_flow)) for of_flow in (False, True)}
_OPEN_RUNS = for_sqlite(stream_queries.open_runs())

_DUE = for_sqlite(work_queries.due())
_PENDING = for_sqlite(work_queries.pending())
_STALLED = for_sqlite(work_queries.stalled())
_LEASED = for_sqlite(work_queries.leased())
_HELD = for_sqlite(work_queries.held())
_COUNTS = for_sqlite(work_queries.counts())
_JOBS_OF = for_sqlite(queue_queries.jobs_of())
_DELAYED_OF = for_sqlite(queue_queries.delayed_of())
_LIMITS_OF = for_sqlite(queue_queries.limits_of())
_WAITING = [for_sqlite(line_queries.waiting(of_queue=of)) for of in (False, True)]
_LATER = [for_sqlite(line_queries.later(of_queue=of)) for of in (False, True)]
_LIMITS_IN = for_sqlite(usage_queries.limits_in(_is_wanted))
_CLOSED_IN = for_sqlite(usage_queries.closed_in(_is_wanted))
_HOLDERS_IN = for_sqlite(usage_queries.holders_in(_is_wanted))
_STARTS_IN = for_sqlite(usage_queries.starts_in(_is_wanted))
_CLOSURES_OF = for_sqlite(queue_queries.closures_of())
_OPEN_TIMERS = for_sqlite(work_queries.open_timers())
_INBOX = for_sqlite(work_queries.inbox())


class SqliteReader:
    """The questions that one log answers, each with the rows of one statement."""

    def __init__(self, log: int) -> None:
        self._log = log

    def read(
        self, connection: sqlite3.Connection, after: int, limit: int, upto: int | None
    ) -> list[Stored]:
        """Return at most ``limit`` events with positions in ``(after, upto]``."""
        end = END if upto is None else upto
        rows = self._ask(connection, _READ, after=after, upto=end, limit=limit)
        if log_queries.has_hole(rows, after=after, limit=limit, upto=upto):
            rows = self._ask(connection, _READ_ALL, after=after, upto=end, limit=limit)
        return stored(rows)

    def read_stream(
        self, connection: sqlite3.Connection, stream: int, after: int, limit: int, upto: int | None
    ) -> list[Stored]:
        """Return at most ``limit`` events of ``stream`` with versions in ``(after, upto]``."""
        end = END if upto is None else upto
        asked = {"stream": stream, "after": after, "upto": end, "limit": limit}
        rows = self._ask(connection, _READ_STREAM, **asked)
        return stored(rows or self._ask(connection, _READ_STREAM_ARCHIVED, **asked))

    def read_versions(
        self, connection: sqlite3.Connection, wanted: Sequence[tuple[int, int]]
    ) -> list[Stored]:
        """Return the events at these (stream, version) places."""
        rows = self._ask(connection, _READ_VERSIONS, places=listed(wanted))
        if len(rows) < len(wanted):
            found = {(row[1], row[2]) for row in rows}
            rest = listed(place for place in wanted if tuple(place) not in found)
            rows += self._ask(connection, _READ_VERSIONS_ARCHIVED, places=rest)
        return stored(rows)

    def read_streams(
        self, connection: sqlite3.Connection, streams: Sequence[int], upto: int
    ) -> list[Stored]:
        """Return the events of these streams with versions up to ``upto``, each in order."""
        rows = self._ask(connection, _READ_STREAMS, streams=listed(streams), upto=upto)
        if rest := set(streams) - {row[1] for row in rows}:
            rows += self._ask(
                connection, _READ_STREAMS_ARCHIVED, streams=listed(sorted(rest)), upto=upto
            )
        return stored(rows)

    def head(self, connection: sqlite3.Connection) -> int:
        """Return the position of the last event, 0 in an empty log."""
        return self._ask(connection, _HEAD)[0][0] or 0

    def last_version(self, connection: sqlite3.Connection, stream: int) -> int:
        """Return the version of the stream's last event, 0 without one."""
        here = self._ask(connection, _LAST_VERSION, stream=stream)[0][0]
        return here or self._ask(connection, _LAST_VERSION_ARCHIVED, stream=stream)[0][0] or 0

    def find(self, connection: sqlite3.Connection, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the numbers of those of these ids that exist."""
        found = {named: self._ask(connection, _FIND, named=named) for named in ids}
        return {named: rows[0][0] for named, rows in found.items() if rows}

    def names(self, connection: sqlite3.Connection, streams: Sequence[int]) -> dict[int, Name]:
        """Return what these stream numbers stand for."""
        rows = self._ask(connection, _NAMES, streams=listed(streams))
        return {row[0]: Name(row[1], row[2]) for row in rows}

    def runs(
        self, connection: sqlite3.Connection, flow: str | None, before: int | None, limit: int
    ) -> list[int]:
        """Return stream numbers of runs, newest first, below ``before``."""
        below = END if before is None else before
        asked = {"before": below, "limit": limit, "flow": flow}
        return [row[0] for row in self._ask(connection, _RUNS[flow is not None], **asked)]

    def open_runs(self, connection: sqlite3.Connection, after: int, limit: int) -> list[int]:
        """Return stream numbers above ``after`` of runs without an end."""
        rows = self._ask(connection, _OPEN_RUNS, after=after, limit=limit)
        return [row[0] for row in rows]

    def due(self, connection: sqlite3.Connection, limit: int, now: int) -> list[Due]:
        """Return timers that are due, soonest first."""
        return [Due._make(row) for row in self._ask(connection, _DUE, now=now, limit=limit)]

    def pending(self, connection: sqlite3.Connection, now: int, *, sweeps: bool) -> Pending:
        """Return whether there may be something to record; ``sweeps``: also what is over."""
        ((inbox, soonest, _, over),) = self._ask(connection, _PENDING, now=now, sweeps=sweeps)
        due = None if soonest is None else max(0, soonest - now) / _SECOND
        return Pending(bool(inbox), due, bool(over))

    def stalled(self, connection: sqlite3.Connection, limit: int, now: int) -> list[Stalled]:
        """Return leased jobs whose token has no live member."""
        rows = self._ask(connection, _STALLED, now=now, limit=limit)
        return [Stalled._make(row) for row in rows]

    def leased(self, connection: sqlite3.Connection, token: int, now: int) -> list[Job]:
        """Return the jobs that ``token`` holds."""
        at = moment(now)
        return [Job(*(*row, 0, 0, at)) for row in self._ask(connection, _LEASED, token=token)]

    def held(self, connection: sqlite3.Connection, token: int) -> dict[int, int]:
        """Return the gate of its run for each job that ``token`` holds."""
        return dict(self._ask(connection, _HELD, token=token))

    def counts(self, connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
        """Return (ready, leased) by queue."""
        return {row[0]: (row[1], row[2]) for row in self._ask(connection, _COUNTS)}

    def queues(self, connection: sqlite3.Connection, now: int) -> list[QueueState]:
        """Return every queue that has jobs, timers, limits or a closure, by name."""
        closed = self._ask(connection, _CLOSURES_OF, now=now)
        return queue_queries.states(
            self._ask(connection, _JOBS_OF),
            self._ask(connection, _DELAYED_OF),
            self._ask(connection, _LIMITS_OF),
            [(bucket, moment(until)) for bucket, until in closed],
        )

    def usage(
        self, connection: sqlite3.Connection, buckets: Sequence[str], now: int
    ) -> list[BucketUse]:
        """Return what counts against each of ``buckets``, or closes it."""
        asked = {"wanted": listed(buckets), "now": now}
        ids = listed([limit_of(one) for one in buckets])
        closed = self._ask(connection, _CLOSED_IN, **asked)
        starts = self._ask(connection, _STARTS_IN, **asked)
        return usage_queries.uses(
            buckets,
            self._ask(connection, _LIMITS_IN, wanted=ids),
            [(bucket, moment(until)) for bucket, until in closed],
            self._ask(connection, _HOLDERS_IN, wanted=asked["wanted"]),
            [(bucket, moment(at)) for bucket, at in starts],
        )

    def upcoming(
        self, connection: sqlite3.Connection, queue: str | None, after: Sequence[int], limit: int
    ) -> list[Upcoming]:
        """Return runs with something that waits to be claimed, as workers will take them."""
        of, found = queue is not None, list[Upcoming]()
        if line_queries.is_in_line(after):
            asked = {"queue": queue, "limit": limit, **line_queries.behind(after)}
            found = line_queries.in_line(self._ask(connection, _WAITING[of], **asked))
        if len(found) < limit:
            due, number = line_queries.later_than(after)
            asked = {"queue": queue, "limit": limit - len(found), "due": due, "after4": number}
            found += line_queries.due_later(self._ask(connection, _LATER[of], **asked))
        return found

    def open_timers(self, connection: sqlite3.Connection) -> int:
        """Return how many timers are waiting."""
        return int(self._ask(connection, _OPEN_TIMERS)[0][0])

    def inbox(self, connection: sqlite3.Connection, limit: int) -> list[InboxRow]:
        """Return committed rows, oldest first."""
        return [InboxRow._make(row) for row in self._ask(connection, _INBOX, limit=limit)]

    def _ask(self, connection: sqlite3.Connection, question: Compiled, **asked: Any) -> list[Any]:
        values = question.values(log_id=self._log, **asked)
        return connection.execute(question.text, values).fetchall()


def stored(rows: list[tuple[Any, ...]]) -> list[Stored]:
    """Return rows as events."""
    return with_moments(rows, moment)
