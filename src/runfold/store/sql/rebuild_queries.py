"""What a rebuild asks and writes: whole tables of one log, in one transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BindParameter,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)

from runfold.store.sql.schema import (
    ALARMS,
    CLOSURES,
    CURSORS,
    HOLDS,
    JOBS,
    LEADERS,
    LIMITS,
    MEMBERS,
    OPEN_RUNS,
    PARKED,
    STARTS,
    STREAMS,
    TIMERS,
)

DERIVED = (
    JOBS, TIMERS, OPEN_RUNS, STREAMS, MEMBERS, LEADERS, CURSORS,
    LIMITS, HOLDS, STARTS, CLOSURES, PARKED, ALARMS,
)  # fmt: skip
"""What is emptied and filled again. Batches stay: a client may still send one again."""

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


def close() -> Any:
    """Insert a closure; its end is given as text, for asyncpg would make infinity of the last."""
    until = cast(bindparam("until", type_=Text()), CLOSURES.c.until.type)
    return insert(CLOSURES).values(log_id=_LOG, bucket=bindparam("bucket"), until=until)


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
