"""What is asked about the archive of a log, beside its events: see ``log_queries`` for those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Select,
    Table,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from runfold.store.sql.log_queries import stored
from runfold.store.sql.schema import ARCHIVE, EVENTS, OPEN_RUNS, STREAMS

_LOG: BindParameter[int] = bindparam("log_id")


def archivable() -> Select[Any]:
    """Return runs above ``after`` whose last event is an end of ``before`` or earlier, in order."""
    at = STREAMS.c.stream
    is_open = exists().where(OPEN_RUNS.c.log_id == _LOG, OPEN_RUNS.c.stream == at)
    # By its index, from its end: null for a run that is in the archive.
    ended_at = (
        select(EVENTS.c.ts)
        .where(EVENTS.c.log_id == _LOG, EVENTS.c.stream == at)
        .order_by(EVENTS.c.version.desc())
        .limit(literal_column("1"))
        .offset(literal_column("0"))
        .correlate(STREAMS)
        .scalar_subquery()
    )
    return (
        select(at)
        .where(
            STREAMS.c.log_id == _LOG,
            at > bindparam("after"),
            STREAMS.c.flow.is_not(None),
            ~is_open,
            ended_at <= bindparam("before", type_=EVENTS.c.ts.type),
        )
        .order_by(at)
        .limit(bindparam("limit"))
    )


def counted() -> Select[Any]:
    """Return how many events are in the log, how many in the archive, and the last position."""
    counts = [
        select(func.count()).select_from(of).where(of.c.log_id == _LOG).scalar_subquery()
        for of in (EVENTS, ARCHIVE)
    ]
    head = select(func.max(EVENTS.c.position)).where(EVENTS.c.log_id == _LOG).scalar_subquery()
    return select(*counts, head)


Among = Callable[[ColumnElement[Any], str], ColumnElement[bool]]
"""Says of a column that it is one of the parameter of this name, a list."""


def read_wanted(among: Among) -> Select[Any]:
    """Return events with positions in (``after``, ``upto``] of a part, and of these types."""
    pages = [select(_wanted(of, among).subquery()) for of in (EVENTS, ARCHIVE)]
    both = union_all(*pages).subquery("both")
    return select(both).order_by(both.c.position)


def _wanted(of: Table, among: Among) -> Select[Any]:
    at, number = of.c.position, BigInteger()
    is_of_part = of.c.stream % bindparam("parts", type_=number) == bindparam("part", type_=number)
    return select(*stored(of)).where(
        of.c.log_id == _LOG,
        at > bindparam("after"),
        at <= bindparam("upto"),
        among(of.c.topic, "topics"),
        or_(is_of_part, among(of.c.topic, "shared")),
    )
