"""The questions that are asked about the log: one statement, one name.

All of them are probes or short ranges of ``events_pk``, ``events_version`` and their likes of the
archive; EXPLAIN tests say so. By position the log is asked first, then both in one statement
where ``has_hole`` says so; by stream the log first, then the archive for what was not there: a
run moves whole and never back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    Select,
    Table,
    any_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    true,
    union_all,
)

from runfold.store.sql.moments import Sent
from runfold.store.sql.schema import ARCHIVE, BATCHES, BLOBS, EVENTS
from runfold.store.sql.stream_queries import each, unnested

_LOG: BindParameter[int] = bindparam("log_id")
_NUMBERS = ARRAY(BigInteger())


def stored(of: Table = EVENTS) -> tuple[ColumnElement[Any], ...]:
    """Return the columns of a ``Stored``, read from the log or from the archive."""
    body = (
        select(BLOBS.c.body)
        .where(BLOBS.c.log_id == of.c.log_id, BLOBS.c.hash == of.c.blob)
        .scalar_subquery()
    )
    return (
        of.c.position,
        of.c.stream,
        of.c.version,
        Sent(of.c.ts).label("ts"),
        of.c.topic,
        # A subquery and not a join: it is looked up only where there is a blob.
        case((of.c.blob.is_(None), of.c.state), else_=body).label("state"),
        of.c.step,
        of.c.activation,
        of.c.attempt,
        of.c.key,
        of.c.cause,
    )


def read(of: Table = EVENTS) -> Select[Any]:
    """Return events with positions in (``after``, ``upto``], in order."""
    at = of.c.position
    return (
        select(*stored(of))
        .where(of.c.log_id == _LOG, at > bindparam("after"), at <= bindparam("upto"))
        .order_by(at)
        .limit(bindparam("limit"))
    )


def read_all() -> Select[Any]:
    """Return what ``read`` does, of the log and the archive as they are at one moment."""
    pages = [select(read(of).subquery()) for of in (EVENTS, ARCHIVE)]
    both = union_all(*pages).subquery("both")
    return select(both).order_by(both.c.position).limit(bindparam("limit"))


def has_hole(found: Sequence[Any], *, after: int, limit: int, upto: int | None) -> bool:
    """Return whether a page of ``read`` may lack events that are in the archive.

    Never so at the end of the log, for the newest event is never in the archive: a reader that
    keeps up asks the log alone.
    """
    last = found[-1][0] if found else after
    return last != after + len(found) or (len(found) < limit and upto is not None and last < upto)


def read_stream(of: Table = EVENTS) -> Select[Any]:
    """Return events of ``stream`` with versions in (``after``, ``upto``], in order."""
    at = of.c.version
    return (
        select(*stored(of))
        .where(
            of.c.log_id == _LOG,
            of.c.stream == bindparam("stream"),
            at > bindparam("after"),
            at <= bindparam("upto"),
        )
        .order_by(at)
        .limit(bindparam("limit"))
    )


def read_versions(of: Table = EVENTS) -> Select[Any]:
    """Return the events at the places of the parallel arrays ``streams`` and ``versions``."""
    wanted = unnested(streams=_NUMBERS, versions=_NUMBERS)
    return each(
        wanted,
        select(*stored(of)).where(
            of.c.log_id == _LOG,
            of.c.stream == wanted.c.streams,
            of.c.version == wanted.c.versions,
        ),
    )


def read_streams(of: Table = EVENTS) -> Select[Any]:
    """Return the first ``upto`` events of each of the array ``streams``, each in order."""
    wanted = unnested(streams=_NUMBERS)
    found = (
        select(*stored(of))
        .where(of.c.log_id == _LOG, of.c.stream == wanted.c.streams)
        .order_by(of.c.version)
        .correlate(wanted)
        .limit(bindparam("upto"))
        .lateral("found")
    )
    return select(*found.c).select_from(wanted.join(found, true()))


def last_version(of: Table = EVENTS) -> Select[Any]:
    """Return the version that ``stream`` is at, null without one."""
    return select(func.max(of.c.version)).where(
        of.c.log_id == _LOG, of.c.stream == bindparam("stream")
    )


def head() -> Select[Any]:
    """Return the position of the last event, null in an empty log."""
    return select(func.max(EVENTS.c.position)).where(EVENTS.c.log_id == _LOG)


def places(of: Table = EVENTS) -> Select[Any]:
    """Return position, stream and version of the events at ``positions``."""
    wanted = unnested(positions=_NUMBERS)
    return each(
        wanted,
        select(of.c.position, of.c.stream, of.c.version).where(
            of.c.log_id == _LOG, of.c.position == wanted.c.positions
        ),
    )


def old_batches(is_old: ColumnElement[bool]) -> Any:
    """Delete at most ``limit`` rows of ``batches`` for which ``is_old`` holds, oldest first."""
    old: Select[Any] = (
        select(literal_column("ctid"))
        .select_from(BATCHES)
        .where(BATCHES.c.log_id == _LOG, is_old)
        .order_by(BATCHES.c.at)
        .limit(bindparam("limit"))
    )
    return BATCHES.delete().where(literal_column("ctid") == any_(func.array(old.scalar_subquery())))
