"""The questions that are asked about the log: one statement, one name.

All of them are probes or short ranges of ``events_pk``, ``events_version``, ``streams_pk``,
``streams_id`` or ``open_runs_pk``; EXPLAIN tests say so.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ARRAY, BigInteger, LargeBinary, Select, any_, bindparam, case, func, select

from runfold.store.sql.schema import BATCHES, BLOBS, EVENTS, OPEN_RUNS, STREAMS

_BODY = (
    select(BLOBS.c.body)
    .where(BLOBS.c.log_id == EVENTS.c.log_id, BLOBS.c.hash == EVENTS.c.blob)
    .scalar_subquery()
)
_STORED = (
    EVENTS.c.position,
    EVENTS.c.stream,
    EVENTS.c.version,
    EVENTS.c.ts,
    EVENTS.c.topic,
    # A subquery and not a join: it is looked up only where there is a blob.
    case((EVENTS.c.blob.is_(None), EVENTS.c.state), else_=_BODY).label("state"),
    EVENTS.c.step,
    EVENTS.c.activation,
    EVENTS.c.attempt,
    EVENTS.c.key,
    EVENTS.c.cause,
)
_LOG = bindparam("log_id")
_NUMBERS = ARRAY(BigInteger())


def read() -> Select[Any]:
    """Return events with positions in (``after``, ``upto``], in order."""
    at = EVENTS.c.position
    return (
        select(*_STORED)
        .where(EVENTS.c.log_id == _LOG, at > bindparam("after"), at <= bindparam("upto"))
        .order_by(at)
        .limit(bindparam("limit"))
    )


def read_stream() -> Select[Any]:
    """Return events of ``stream`` with versions in (``after``, ``upto``], in order."""
    at = EVENTS.c.version
    return (
        select(*_STORED)
        .where(
            EVENTS.c.log_id == _LOG,
            EVENTS.c.stream == bindparam("stream"),
            at > bindparam("after"),
            at <= bindparam("upto"),
        )
        .order_by(at)
        .limit(bindparam("limit"))
    )


def read_versions() -> Select[Any]:
    """Return the events at the places of the parallel arrays ``streams`` and ``versions``."""
    wanted = (
        func.unnest(bindparam("streams", type_=_NUMBERS), bindparam("versions", type_=_NUMBERS))
        .table_valued("stream", "version")
        .render_derived("wanted")
    )
    return select(*_STORED).where(
        EVENTS.c.log_id == _LOG,
        EVENTS.c.stream == wanted.c.stream,
        EVENTS.c.version == wanted.c.version,
    )


def last_version() -> Select[Any]:
    """Return the version that ``stream`` is at, null without one."""
    return select(func.max(EVENTS.c.version)).where(
        EVENTS.c.log_id == _LOG, EVENTS.c.stream == bindparam("stream")
    )


def head() -> Select[Any]:
    """Return the position of the last event, null in an empty log."""
    return select(func.max(EVENTS.c.position)).where(EVENTS.c.log_id == _LOG)


def places() -> Select[Any]:
    """Return position, stream and version of the events at ``positions``."""
    return select(EVENTS.c.position, EVENTS.c.stream, EVENTS.c.version).where(
        EVENTS.c.log_id == _LOG,
        EVENTS.c.position == any_(bindparam("positions", type_=_NUMBERS)),
    )


def find() -> Select[Any]:
    """Return id and number of those of ``ids`` that are streams."""
    return select(STREAMS.c.id, STREAMS.c.stream).where(
        STREAMS.c.log_id == _LOG,
        STREAMS.c.id == any_(bindparam("ids", type_=ARRAY(LargeBinary()))),
    )


def names() -> Select[Any]:
    """Return number, id and flow of ``streams``."""
    return select(STREAMS.c.stream, STREAMS.c.id, STREAMS.c.flow).where(
        STREAMS.c.log_id == _LOG,
        STREAMS.c.stream == any_(bindparam("streams", type_=_NUMBERS)),
    )


def runs(*, of_flow: bool) -> Select[Any]:
    """Return numbers of runs below ``before``, newest first; only of ``flow`` if asked."""
    found = select(STREAMS.c.stream).where(
        STREAMS.c.log_id == _LOG,
        STREAMS.c.stream < bindparam("before"),
        STREAMS.c.flow == bindparam("flow") if of_flow else STREAMS.c.flow.is_not(None),
    )
    return found.order_by(STREAMS.c.stream.desc()).limit(bindparam("limit"))


def open_runs() -> Select[Any]:
    """Return numbers above ``after`` of runs that have not ended, oldest first."""
    at = OPEN_RUNS.c.stream
    return (
        select(at)
        .where(OPEN_RUNS.c.log_id == _LOG, at > bindparam("after"))
        .order_by(at)
        .limit(bindparam("limit"))
    )


def old_batches() -> Any:
    """Delete at most ``limit`` rows of ``batches`` from before ``before``."""
    old = (
        select(BATCHES.c.appender, BATCHES.c.number)
        .where(BATCHES.c.log_id == _LOG, BATCHES.c.at < bindparam("before"))
        .order_by(BATCHES.c.at)
        .limit(bindparam("limit"))
        .subquery("old")
    )
    return BATCHES.delete().where(
        BATCHES.c.log_id == _LOG,
        BATCHES.c.appender == old.c.appender,
        BATCHES.c.number == old.c.number,
    )
