"""The questions that are asked about jobs, timers and the inbox outside of a commit.

``now`` is null for the store's own clock; ``now()`` and not ``clock_timestamp()``, so that
the planner can look it up in an index.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    DateTime,
    Select,
    bindparam,
    case,
    exists,
    false,
    func,
    or_,
    select,
)

from runfold.store.sql.schema import INBOX, JOBS, MEMBERS, STREAMS, TIMERS

_LOG: BindParameter[int] = bindparam("log_id")


def now() -> ColumnElement[Any]:
    """Return the moment ``now``, by the store's clock without one."""
    return func.coalesce(bindparam("now", type_=DateTime(timezone=True)), func.now())


def due() -> Select[Any]:
    """Return timers that are due, soonest first."""
    at = TIMERS.c
    return (
        select(
            at.id, at.stream, at.kind, at.step, at.activation, at.attempt, at.queue, at.key
        )
        .where(at.log_id == _LOG, at.due_at <= now())
        .order_by(at.due_at)
        .limit(bindparam("limit"))
    )  # fmt: skip


def pending(*over: ColumnElement[bool]) -> Select[Any]:
    """Return whether starts wait, when the first timer is due, the time, and what is over.

    The last is looked for if ``sweeps``: members, leases, and what ``over`` adds.
    """
    starts = exists().where(INBOX.c.log_id == _LOG)
    first = select(func.min(TIMERS.c.due_at)).where(TIMERS.c.log_id == _LOG).scalar_subquery()
    gone = exists().where(MEMBERS.c.log_id == _LOG, MEMBERS.c.expires_at <= now())
    lost = exists().where(JOBS.c.log_id == _LOG, *_is_stalled())
    sweeps = bindparam("sweeps", type_=Boolean())
    return select(starts, first, now(), case((sweeps, or_(gone, lost, *over)), else_=false()))


def _is_stalled() -> tuple[ColumnElement[bool], ...]:
    """Return what is true of a leased job whose token has no member that renewed in time."""
    alive = exists().where(
        MEMBERS.c.log_id == JOBS.c.log_id,
        MEMBERS.c.token == JOBS.c.member,
        MEMBERS.c.expires_at > now(),
    )
    return JOBS.c.member.is_not(None), ~alive


def stalled() -> Select[Any]:
    """Return leased jobs whose token has no member that renewed in time."""
    at = JOBS.c
    return (
        select(at.id, at.stream, at.step, at.activation, at.attempt, at.queue, at.key)
        .where(at.log_id == _LOG, *_is_stalled())
        .order_by(at.member)  # As the index of leased jobs has them.
        .limit(bindparam("limit"))
    )


def leased() -> Select[Any]:
    """Return the jobs that ``token`` holds."""
    at = JOBS.c
    return (
        select(
            at.id, at.stream, STREAMS.c.id.label("run_id"), at.flow, at.step, at.activation,
            at.attempt, at.queue, at.priority, at.key, at.inputs,
        )
        .join_from(JOBS, STREAMS, (STREAMS.c.log_id == at.log_id) & (STREAMS.c.stream == at.stream))
        .where(at.log_id == _LOG, at.member == bindparam("token"))
    )  # fmt: skip


def held() -> Select[Any]:
    """Return id and gate of the run of each job that ``token`` holds."""
    at = JOBS.c
    return (
        select(at.id, STREAMS.c.gate)
        .join_from(JOBS, STREAMS, (STREAMS.c.log_id == at.log_id) & (STREAMS.c.stream == at.stream))
        .where(at.log_id == _LOG, at.member == bindparam("token"))
    )


def counts() -> Select[Any]:
    """Return queue, number of ready and of leased jobs, of queues that have either."""
    at = JOBS.c
    leased_jobs = func.count(at.member)
    ready_jobs = func.count().filter(at.member.is_(None), at.blocked == 0)
    return (
        select(at.queue, ready_jobs, leased_jobs)
        .where(at.log_id == _LOG)
        .group_by(at.queue)
        .having(ready_jobs + leased_jobs > 0)
    )


def open_timers() -> Select[Any]:
    """Return how many timers are waiting."""
    return select(func.count()).select_from(TIMERS).where(TIMERS.c.log_id == _LOG)


def inbox() -> Select[Any]:
    """Return committed rows of the inbox, oldest first."""
    return (
        select(INBOX.c.id, INBOX.c.run_id, INBOX.c.body)
        .where(INBOX.c.log_id == _LOG)
        .order_by(INBOX.c.id)
        .limit(bindparam("limit"))
    )
