"""The log of an attached Application: what is asked of it, and what is written to it.

Functions of a connection that is in a transaction, the same on SQLite and PostgreSQL. Unlike
in the engine's logs, versions are the caller's: they may start anywhere and leave gaps, and
that no two events share one is for the index to say. Positions are as everywhere: given
under the log's lock, contiguous, in commit order.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import (
    Connection,
    Executable,
    ScalarSelect,
    Select,
    and_,
    func,
    insert,
    literal,
    select,
)

from runfold.store.sql.schema import EVENTS, LOGS, STREAMS, TRACKING

IDS_PER_QUERY_MAX = 500
"""How many streams one statement looks up; a database bounds the parameters of one."""

WINDOW_EVENTS = 5000
"""How many events one statement looks through for those of some topics."""

TRACKED_ROWS_MAX = 1000
"""How many rows of tracking are kept of one upstream before the old ones are removed."""

_CREATING = 0  # The lock of no log, taken by whoever makes one.
_OPEN_SECONDS_MAX = "10s"


class AttachedEvent(NamedTuple):
    """An event of an attached Application; ``state`` is opaque."""

    id: bytes
    """Which stream: what the Application's own id is encoded as."""
    version: int
    topic: str
    state: bytes
    position: int = 0
    """Place in the log; 0 until it is recorded."""


def find_log(connection: Connection, name: str) -> int | None:
    """Return the number of the log ``name``, None when there is none."""
    return connection.scalar(select(LOGS.c.log_id).where(LOGS.c.name == name))


def create_log(connection: Connection, name: str) -> int:
    """Return the number of the log ``name``, a new one if it has none. 1 is the engine's."""
    lock(connection, _CREATING)
    if (found := find_log(connection, name)) is not None:
        return found
    last = connection.scalar(select(func.max(LOGS.c.log_id))) or 1
    row = {
        "log_id": last + 1,
        "generation": 1,
        "created_at": connection.scalar(select(_now(connection))),
        "name": name,
        "identity": uuid4().hex,
    }
    connection.execute(insert(LOGS), row)
    return int(last + 1)


def lock(connection: Connection, log: int) -> None:
    """Hold the log's lock until the end of the transaction; must be its first statement.

    On SQLite the transaction began with it. On PostgreSQL a process that stops while it holds
    the lock loses it after ten seconds.
    """
    if connection.dialect.name == "postgresql":
        limit = func.set_config("idle_in_transaction_session_timeout", _OPEN_SECONDS_MAX, True)
        connection.execute(select(limit, func.runfold.lock_log(log)))


def append(connection: Connection, log: int, events: Sequence[AttachedEvent]) -> list[int]:
    """Record ``events`` and return their positions, which are contiguous.

    The lock must be held. The driver's ``IntegrityError`` says that a version is taken.
    """
    if not events:
        return []
    ts, last = _clock_and_head(connection, log)
    streams = _streams(connection, log, {event.id for event in events})
    new = []
    rows = []
    for position, event in enumerate(events, start=last + 1):
        if event.id not in streams:
            streams[event.id] = position
            new.append({"stream": position, "log_id": log, "id": event.id})
        rows.append(
            {
                "position": position,
                "stream": streams[event.id],
                "ts": ts,
                "log_id": log,
                "version": event.version,
                "topic": event.topic,
                "state": event.state,
            }
        )
    if new:
        connection.execute(insert(STREAMS), new)
    connection.execute(insert(EVENTS), rows)
    return list(range(last + 1, last + 1 + len(events)))


def read_stream(
    connection: Connection,
    log: int,
    stream: bytes,
    *,
    after: int | None,
    upto: int | None,
    newest_first: bool,
    limit: int | None,
) -> list[AttachedEvent]:
    """Return events of one stream with versions in (``after``, ``upto``], in order."""
    at = EVENTS.c.version
    number = select(STREAMS.c.stream).where(STREAMS.c.log_id == log, STREAMS.c.id == stream)
    found = (
        select(literal(stream), at, EVENTS.c.topic, EVENTS.c.state, EVENTS.c.position)
        .where(EVENTS.c.log_id == log, EVENTS.c.stream == number.scalar_subquery())
        .order_by(at.desc() if newest_first else at)
        .limit(limit)
    )
    if after is not None:
        found = found.where(at > after)
    if upto is not None:
        found = found.where(at <= upto)
    return _events(connection, found)


def read_page(
    connection: Connection,
    log: int,
    *,
    after: int,
    upto: int | None,
    topics: Sequence[str],
    limit: int,
) -> list[AttachedEvent]:
    """Return events with positions in (``after``, ``upto``], only of ``topics`` if any.

    Positions are contiguous, so a range of as many is asked for at a time: a database that
    knows nothing yet of its tables could else choose to sort the whole log.
    """
    last = (head(connection, log) or 0) if topics else after + limit
    last = last if upto is None else min(upto, last)
    width = max(limit, WINDOW_EVENTS) if topics else limit
    found: list[AttachedEvent] = []
    while after < last and len(found) < limit:
        window = _window(log, after, min(after + width, last), topics)
        found += _events(connection, window.limit(limit - len(found)))
        after += width
    return found


def head(connection: Connection, log: int) -> int | None:
    """Return the position of the last event, None in an empty log."""
    return connection.scalar(select(_head(log)))


def track(connection: Connection, log: int, application: str, position: int) -> bool:
    """Record that ``application`` was processed up to ``position``; False if it had been.

    The lock must be held. Rows are added and swept, not updated: a row that changed at the
    rate of the work would be slow to find while somebody's snapshot is open.
    """
    last = tracked(connection, log, application)
    if last is not None and position <= last:
        return False
    row = {"log_id": log, "application": application, "position": position}
    connection.execute(insert(TRACKING), row)
    if last is not None and position // TRACKED_ROWS_MAX > last // TRACKED_ROWS_MAX:
        old = and_(TRACKING.c.log_id == log, TRACKING.c.application == application)
        connection.execute(TRACKING.delete().where(old, TRACKING.c.position < position))
    return True


def tracked(connection: Connection, log: int, application: str) -> int | None:
    """Return up to which position ``application`` was processed, None: nothing of it."""
    at = TRACKING.c.position
    return connection.scalar(
        select(func.max(at)).where(TRACKING.c.log_id == log, TRACKING.c.application == application)
    )


def _window(log: int, after: int, upto: int, topics: Sequence[str]) -> Select[Any]:
    at = EVENTS.c.position
    stream = and_(STREAMS.c.log_id == EVENTS.c.log_id, STREAMS.c.stream == EVENTS.c.stream)
    # A subquery and not a join, which may be done the wrong way round.
    stream_id = select(STREAMS.c.id).where(stream).scalar_subquery()
    found = (
        select(stream_id, EVENTS.c.version, EVENTS.c.topic, EVENTS.c.state, at)
        .where(EVENTS.c.log_id == log, at > after, at <= upto)
        .order_by(at)
    )
    return found.where(EVENTS.c.topic.in_(topics)) if topics else found


def _events(connection: Connection, found: Executable) -> list[AttachedEvent]:
    return [AttachedEvent(*row) for row in connection.execute(found)]


def _head(log: int) -> ScalarSelect[Any]:
    return select(func.max(EVENTS.c.position)).where(EVENTS.c.log_id == log).scalar_subquery()


def _now(connection: Connection) -> Any:
    """Return the store's clock: on SQLite this machine's."""
    if connection.dialect.name == "postgresql":
        return func.clock_timestamp(type_=EVENTS.c.ts.type)
    return literal(time.time_ns() // 1000, EVENTS.c.ts.type)


def _clock_and_head(connection: Connection, log: int) -> tuple[Any, int]:
    """Return when to record, never before the event before it, and the last position."""
    last = (
        select(EVENTS.c.ts)
        .where(EVENTS.c.log_id == log)
        .order_by(EVENTS.c.position.desc())
        .limit(1)
        .scalar_subquery()
    )
    now, ts, position = connection.execute(select(_now(connection), last, _head(log))).one()
    return (now if ts is None else max(now, ts)), position or 0


def _streams(connection: Connection, log: int, ids: Iterable[bytes]) -> dict[bytes, int]:
    """Return the numbers of those of ``ids`` that are streams."""
    numbers: dict[bytes, int] = {}
    rest = iter(ids)
    while some := list(islice(rest, IDS_PER_QUERY_MAX)):
        wanted = and_(STREAMS.c.log_id == log, STREAMS.c.id.in_(some))
        found = connection.execute(select(STREAMS.c.id, STREAMS.c.stream).where(wanted))
        numbers.update((row.id, row.stream) for row in found)
    return numbers
