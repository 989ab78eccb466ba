"""What a rebuild asks and writes: whole tables of one log, in one transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, Select, Table, bindparam, delete, func, insert, select, update

from runfold.store.sql.schema import (
    ALARMS,
    CURSORS,
    HOLDS,
    JOBS,
    LEADERS,
    LIMITS,
    MEMBERS,
    OPEN_RUNS,
    PARKED,
    STREAMS,
    TIMERS,
)

DERIVED = (
    JOBS, TIMERS, OPEN_RUNS, STREAMS, MEMBERS, LEADERS, CURSORS, HOLDS, PARKED, ALARMS,
)  # fmt: skip
"""What is emptied and filled again. Batches stay: a client may still send one again. So do
limits, closures and starts, which are no consequence of the jobs."""

_LOG: BindParameter[int] = bindparam("log_id")


def alive() -> Select[Any]:
    """Return the names of members whose lease runs at ``now``."""
    return (
        select(MEMBERS.c.name)
        .where(MEMBERS.c.log_id == _LOG, MEMBERS.c.expires_at > bindparam("now"))
        .order_by(MEMBERS.c.name)
    )


def leads() -> Select[Any]:
    """Return the token of a leader whose lease runs at ``now``."""
    return select(LEADERS.c.token).where(
        LEADERS.c.log_id == _LOG, LEADERS.c.expires_at > bindparam("now")
    )


def empty(table: Table) -> Any:
    """Delete the rows of this log."""
    return delete(table).where(table.c.log_id == _LOG)


def fill(table: Table) -> Any:
    """Insert one row of ``table``, all columns given."""
    return insert(table).values({column.name: bindparam(column.name) for column in table.c})


def ended() -> Any:
    """Delete the open run ``ended``."""
    return delete(OPEN_RUNS).where(
        OPEN_RUNS.c.log_id == _LOG, OPEN_RUNS.c.stream == bindparam("ended")
    )


def set_gate() -> Any:
    """Set the gate of ``of`` to ``to``."""
    return (
        update(STREAMS)
        .where(STREAMS.c.log_id == _LOG, STREAMS.c.stream == bindparam("of"))
        .values(gate=bindparam("to"))
    )


def limits() -> Select[Any]:
    """Return id, scope and keyed of the limits that count what is leased."""
    at = LIMITS.c
    return select(at.id, at.scope, at.keyed).where(at.log_id == _LOG, at.kind == "concurrency")


def heads() -> Any:
    """Let the first of each lane and priority be ready."""
    first = JOBS.alias("first")
    waits = (first.c.log_id == _LOG, first.c.member.is_(None), first.c.blocked == 2)
    firsts = (
        select(func.min(first.c.id))
        .where(*waits)
        .group_by(first.c.queue, first.c.limits, first.c.priority)
    )
    return update(JOBS).where(JOBS.c.log_id == _LOG, JOBS.c.id.in_(firsts)).values(blocked=0)
