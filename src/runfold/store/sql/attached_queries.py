"""The log of an attached Application: what is asked of it, and what is written to it.

Functions of a connection that is in a transaction, the same on SQLite and PostgreSQL. Unlike
in the engine's logs, versions are the caller's: they may start anywhere and leave gaps, and
that no two events share one is for the index to say. Positions are as everywhere: given
under the log's lock, contiguous, in commit order.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    Select,
    and_,
    bindparam,
    func,
    insert,
    literal,
    select,
)

from runfold.store.sql.schema import EVENTS, LOGS, STREAMS, TRACKING

_IDS_PER_QUERY_MAX = 500
"""How many streams one statement looks up; a database bounds the parameters of one."""

WINDOW_EVENTS = 5000
"""How many events one statement looks through for those of some topics."""

TRACKED_ROWS_MAX = 1000
"""How many rows of tracking are kept of one upstream before the old ones are removed."""

_CREATING = 0  # The lock of no log, taken by whoever makes one.
_OPEN_SECONDS_MAX = "10s"
_VERSION_MAX = 2**31 - 1
_LIMIT_MAX = 2**31 - 1


class AttachedEvent(NamedTuple):
    """An event of an attached Application; ``state`` is opaque."""

    id: bytes
    """Which stream: what the Application's own id is encoded as."""
    version: int
    topic: str
    state: bytes
    position: int = 0
    """Place in the log; 0 until it is recorded."""


# Built once: what SQLAlchemy takes to build and recognise a statement is most of its price.
_LOG: BindParameter[int] = bindparam("log")
_LIMIT: BindParameter[int] = bindparam("limit", type_=BigInteger())
_NOW = {
    "postgresql": func.clock_timestamp(type_=EVENTS.c.ts.type),
    "sqlite": bindparam("now", type_=EVENTS.c.ts.type),
}
_FIND_LOG = select(LOGS.c.log_id).where(LOGS.c.name == bindparam("name"))
_LAST_LOG = {dialect: select(now, func.max(LOGS.c.log_id)) for dialect, now in _NOW.items()}
_LOCK = select(
    func.set_config("idle_in_transaction_session_timeout", _OPEN_SECONDS_MAX, True),
    func.runfold.lock_log(_LOG),
)
_HEAD = select(func.max(EVENTS.c.position)).where(EVENTS.c.log_id == _LOG)
_LAST_TS = (
    select(EVENTS.c.ts)
    .where(EVENTS.c.log_id == _LOG)
    .order_by(EVENTS.c.position.desc())
    .limit(1)
    .scalar_subquery()
)
_KNOWN = and_(STREAMS.c.log_id == _LOG, STREAMS.c.id.in_(bindparam("ids", expanding=True)))
_BEFORE = {
    # A row also when there is no stream; with one, a row for each.
    dialect: select(
        now, _LAST_TS, _HEAD.scalar_subquery(), STREAMS.c.id, STREAMS.c.stream
    ).select_from(select(literal(1).label("one")).subquery("one").outerjoin(STREAMS, _KNOWN))
    for dialect, now in _NOW.items()
}
_NEW_LOG, _NEW_STREAM, _NEW_EVENT = insert(LOGS), insert(STREAMS), insert(EVENTS)
_STREAM = {
    newest_first: select(EVENTS.c.version, EVENTS.c.topic, EVENTS.c.state, EVENTS.c.position)
    .where(
        EVENTS.c.log_id == _LOG,
        EVENTS.c.stream
        == select(STREAMS.c.stream)
        .where(STREAMS.c.log_id == _LOG, STREAMS.c.id == bindparam("id"))
        .scalar_subquery(),
        EVENTS.c.version > bindparam("after"),
        EVENTS.c.version <= bindparam("upto"),
    )
    .order_by(EVENTS.c.version.desc() if newest_first else EVENTS.c.version)
    .limit(_LIMIT)
    for newest_first in (False, True)
}
_PAGE = (
    select(
        # A subquery and not a join, which may be done the wrong way round.
        select(STREAMS.c.id)
        .where(STREAMS.c.log_id == EVENTS.c.log_id, STREAMS.c.stream == EVENTS.c.stream)
        .scalar_subquery(),
        EVENTS.c.version,
        EVENTS.c.topic,
        EVENTS.c.state,
        EVENTS.c.position,
    )
    .where(
        EVENTS.c.log_id == _LOG,
        EVENTS.c.position > bindparam("after"),
        EVENTS.c.position <= bindparam("upto"),
    )
    .order_by(EVENTS.c.position)
    .limit(_LIMIT)
)
_PAGE_OF_TOPICS = _PAGE.where(EVENTS.c.topic.in_(bindparam("topics", expanding=True)))
_OF_UPSTREAM = and_(TRACKING.c.log_id == _LOG, TRACKING.c.application == bindparam("upstream"))
_TRACKED = select(func.max(TRACKING.c.position)).where(_OF_UPSTREAM)
_NEW_TRACKING = insert(TRACKING)
_FORGET = TRACKING.delete().where(_OF_UPSTREAM, TRACKING.c.position < bindparam("before"))


def find_log(connection: Connection, name: str) -> int | None:
    """Return the number of the log ``name``, None when there is none."""
    return connection.scalar(_FIND_LOG, {"name": name})


def create_log(connection: Connection, name: str) -> int:
    """Return the number of the log ``name``, a new one if it has none. 1 is the engine's."""
    lock(connection, _CREATING)
    if (found := find_log(connection, name)) is not None:
        return found
    now, last = connection.execute(_LAST_LOG[connection.dialect.name], {"now": _clock()}).one()
    row = {
        "log_id": (last or 1) + 1,
        "generation": 1,
        "created_at": now,
        "name": name,
        "identity": uuid4().hex,
    }
    connection.execute(_NEW_LOG, row)
    return int(row["log_id"])


def lock(connection: Connection, log: int) -> None:
    """Hold the log's lock until the end of the transaction; must be its first statement.

    On SQLite the transaction began with it. On PostgreSQL a process that stops while it holds
    the lock loses it after ten seconds.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"log": log})


def append(connection: Connection, log: int, events: Sequence[AttachedEvent]) -> list[int]:
    """Record ``events`` and return their positions, which are contiguous.

    The lock must be held. The driver's ``IntegrityError`` says that a version is taken.
    """
    if not events:
        return []
    ts, last, streams = _before(connection, log, list({event.id for event in events}))
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
        connection.execute(_NEW_STREAM, new)
    connection.execute(_NEW_EVENT, rows)
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
    bounds = {
        "log": log,
        "id": stream,
        "after": -_VERSION_MAX if after is None else after,
        "upto": _VERSION_MAX if upto is None else upto,
        "limit": _LIMIT_MAX if limit is None else limit,
    }
    rows = connection.execute(_STREAM[newest_first], bounds)
    return [AttachedEvent(stream, *row) for row in rows]


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
    page = _PAGE_OF_TOPICS if topics else _PAGE
    found: list[AttachedEvent] = []
    while after < last and len(found) < limit:
        bounds = {"after": after, "upto": min(after + width, last), "limit": limit - len(found)}
        of_topics = {"topics": list(topics)} if topics else {}
        rows = connection.execute(page, {"log": log} | bounds | of_topics)
        found += [AttachedEvent(*row) for row in rows]
        after += width
    return found


def head(connection: Connection, log: int) -> int | None:
    """Return the position of the last event, None in an empty log."""
    last: int | None = connection.scalar(_HEAD, {"log": log})
    return last


def track(connection: Connection, log: int, application: str, position: int) -> bool:
    """Record that ``application`` was processed up to ``position``; False if it had been.

    The lock must be held. Rows are added and swept, not updated: a row that changed at the
    rate of the work would be slow to find while somebody's snapshot is open.
    """
    last = tracked(connection, log, application)
    if last is not None and position <= last:
        return False
    row = {"log_id": log, "application": application, "position": position}
    connection.execute(_NEW_TRACKING, row)
    if last is not None and position // TRACKED_ROWS_MAX > last // TRACKED_ROWS_MAX:
        old = {"log": log, "upstream": application, "before": position}
        connection.execute(_FORGET, old)
    return True


def tracked(connection: Connection, log: int, application: str) -> int | None:
    """Return up to which position ``application`` was processed, None: nothing of it."""
    last: int | None = connection.scalar(_TRACKED, {"log": log, "upstream": application})
    return last


def _clock() -> int:
    """Return this machine's time in microseconds, which is the clock of SQLite's store."""
    return time.time_ns() // 1000


def _before(
    connection: Connection, log: int, ids: Sequence[bytes]
) -> tuple[Any, int, dict[bytes, int]]:
    """Return when to record, the last position, and the numbers of those ``ids`` that exist.

    One statement, as others wait for the lock; more only where it would be too long.
    """
    statement: Select[Any] = _BEFORE[connection.dialect.name]
    streams: dict[bytes, int] = {}
    for first in range(0, len(ids), _IDS_PER_QUERY_MAX):
        some = ids[first : first + _IDS_PER_QUERY_MAX]
        rows = connection.execute(statement, {"log": log, "ids": some, "now": _clock()}).all()
        streams.update((row.id, row.stream) for row in rows if row.id is not None)
    now, ts, position = rows[0][:3]
    # Never before the event before it: then the state at a time is a prefix.
    return (now if ts is None else max(now, ts)), position or 0, streams
