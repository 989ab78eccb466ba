"""The questions that are asked about the log: one statement, one name.

All of them are probes or short ranges of ``events_pk``, ``events_version``, ``streams_pk``,
``streams_id`` or ``open_runs_pk``; EXPLAIN tests say so.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    LargeBinary,
    Select,
    any_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.sql.selectable import TableValuedAlias

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
_LOG: BindParameter[int] = bindparam("log_id")
_NUMBERS = ARRAY(BigInteger())


def _unnested(**arrays: ARRAY[Any]) -> TableValuedAlias:
    """Return the rows of parallel arrays, each a parameter of that name."""
    columns = [bindparam(name, type_=kind) for name, kind in arrays.items()]
    return func.unnest(*columns).table_valued(*arrays).render_derived("wanted")


def _each(wanted: TableValuedAlias, probe: Select[Any]) -> Select[Any]:
    """Return what ``probe`` finds for each row of ``wanted``; it finds at most one.

    The limit keeps the probe a probe: without statistics (a table that was empty when the
    statement was planned) the planner would read the whole log instead.
    """
    found = probe.correlate(wanted).limit(1).lateral("found")
    return select(*found.c).select_from(wanted.join(found, true()))


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
    wanted = _unnested(streams=_NUMBERS, versions=_NUMBERS)
    return _each(
        wanted,
        select(*_STORED).where(
            EVENTS.c.log_id == _LOG,
            EVENTS.c.stream == wanted.c.streams,
            EVENTS.c.version == wanted.c.versions,
        ),
    )


def read_streams() -> Select[Any]:
    """Return the first ``upto`` events of each of the array ``streams``, each in order."""
    wanted = _unnested(streams=_NUMBERS)
    found = (
        select(*_STORED)
        .where(EVENTS.c.log_id == _LOG, EVENTS.c.stream == wanted.c.streams)
        .order_by(EVENTS.c.version)
        .correlate(wanted)
        .limit(bindparam("upto"))
        .lateral("found")
    )
    return select(*found.c).select_from(wanted.join(found, true()))


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
    wanted = _unnested(positions=_NUMBERS)
    return _each(
        wanted,
        select(EVENTS.c.position, EVENTS.c.stream, EVENTS.c.version).where(
            EVENTS.c.log_id == _LOG, EVENTS.c.position == wanted.c.positions
        ),
    )


def find() -> Select[Any]:
    """Return id and number of those of ``ids`` that are streams."""
    wanted = _unnested(ids=ARRAY(LargeBinary()))
    return _each(
        wanted,
        select(STREAMS.c.id, STREAMS.c.stream).where(
            STREAMS.c.log_id == _LOG, STREAMS.c.id == wanted.c.ids
        ),
    )


def names() -> Select[Any]:
    """Return number, id and flow of ``streams``."""
    wanted = _unnested(streams=_NUMBERS)
    return _each(
        wanted,
        select(STREAMS.c.stream, STREAMS.c.id, STREAMS.c.flow).where(
            STREAMS.c.log_id == _LOG, STREAMS.c.stream == wanted.c.streams
        ),
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
    old: Select[Any] = (
        select(literal_column("ctid"))
        .select_from(BATCHES)
        .where(BATCHES.c.log_id == _LOG, BATCHES.c.at < bindparam("before"))
        .order_by(BATCHES.c.at)
        .limit(bindparam("limit"))
    )
    return BATCHES.delete().where(literal_column("ctid") == any_(func.array(old.scalar_subquery())))
