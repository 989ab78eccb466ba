"""Who is next: runs with something that waits to be claimed, in the order of claims.

Two questions: jobs first (in line, then held back by a limit, then by their paused run), then
timers. What lanes do to the order has to be counted, so the first one looks at all that waits
in the queue: for listings, not for decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)

from runfold.ports import Upcoming
from runfold.store.buckets import PRIORITY_MAX
from runfold.store.sql.schema import JOBS, PARKED, TIMERS

LATER = 3
"""The section of what is due later, behind those of jobs: in line, held back, run paused."""
PLACE = 5
"""How many numbers make a place: section, rank, turn, place in its turn, id."""

_LOG: BindParameter[int] = bindparam("log_id")
_QUEUE: BindParameter[str] = bindparam("queue")
_AFTER = [bindparam(f"after{n}", type_=JOBS.c.id.type) for n in range(PLACE)]


def waiting(*, of_queue: bool) -> Select[Any]:
    """Return stream and place of runs with a job that nobody leases, behind ``after0`` to 4."""
    one = _ranked(of_queue=of_queue).subquery("ranked")
    place = [one.c.section, one.c.rank, one.c.turn, one.c.place, one.c.id]
    nth = func.row_number().over(partition_by=one.c.stream, order_by=place).label("nth")
    first = select(one.c.stream, *place, nth).subquery("firsts")
    columns = [first.c.section, first.c.rank, first.c.turn, first.c.place, first.c.id]
    return (
        select(first.c.stream, *columns)
        .where(first.c.nth == 1, tuple_(*columns) > tuple_(*_AFTER))
        .order_by(*columns)
        .limit(bindparam("limit"))
    )


def _ranked(*, of_queue: bool) -> Select[Any]:
    at = JOBS.c
    shut: ColumnElement[bool] = at.blocked == 1
    alone = or_(at.limits.is_(None), shut)
    lane = [at.queue, at.limits, at.priority, shut]
    turn = func.row_number().over(partition_by=lane, order_by=[at.blocked, at.id])
    head = func.min(case((at.blocked == 0, at.place))).over(partition_by=lane)
    one: Any = literal_column("1")
    ranked = (
        select(
            at.id,
            at.stream,
            case((shut, 2), (PARKED.c.lane.is_not(None), 1), else_=0).label("section"),
            (PRIORITY_MAX - at.priority).label("rank"),
            case((alone, one), else_=turn).label("turn"),
            case(
                (shut, at.id),
                (at.limits.is_(None), at.place),
                else_=func.coalesce(PARKED.c.place, head, at.id),
            ).label("place"),
        )
        .select_from(JOBS)
        .outerjoin(
            PARKED,
            and_(
                PARKED.c.log_id == at.log_id,
                PARKED.c.queue == at.queue,
                PARKED.c.lane == at.limits,
            ),
        )
        .where(at.log_id == _LOG, at.member.is_(None))
    )
    return ranked.where(at.queue == _QUEUE) if of_queue else ranked


def later(*, of_queue: bool) -> Select[Any]:
    """Return stream, due time and id of runs of which nothing but a timer waits, soonest first.

    Behind the moment ``due`` and the id ``after4``.
    """
    at, other, job = TIMERS.c, TIMERS.alias("other"), JOBS.alias("job")
    mine = [job.c.log_id == at.log_id, job.c.stream == at.stream, job.c.member.is_(None)]
    sooner = [other.c.log_id == at.log_id, other.c.stream == at.stream, _becomes_job(other)]
    sooner.append(tuple_(other.c.due_at, other.c.id) < tuple_(at.due_at, at.id))
    asked = [at.log_id == _LOG, _becomes_job(TIMERS)]
    if of_queue:
        mine.append(job.c.queue == _QUEUE)
        sooner.append(other.c.queue == _QUEUE)
        asked.append(at.queue == _QUEUE)
    after = tuple_(bindparam("due", type_=at.due_at.type), _AFTER[-1])
    asked.append(tuple_(at.due_at, at.id) > after)
    return (
        select(at.stream, at.due_at, at.id)
        .where(*asked, ~exists().where(*mine), ~exists().where(*sooner))
        .order_by(at.due_at, at.id)
        .limit(bindparam("limit"))
    )


def _becomes_job(timers: Any) -> ColumnElement[bool]:
    return or_(timers.c.kind == "start", timers.c.kind == "retry")


def is_in_line(after: Sequence[int]) -> bool:
    """Return whether jobs may follow behind the place ``after``; else only timers do."""
    return not after or after[0] < LATER


def behind(after: Sequence[int]) -> dict[str, int]:
    """Return the parameters of ``waiting`` for a page behind the place ``after``."""
    place = tuple(after) or (-1,) * PLACE
    return {f"after{n}": place[n] for n in range(PLACE)}


def later_than(after: Sequence[int]) -> tuple[int, int]:
    """Return the microseconds and the id behind which the timers of a page are."""
    return (0, -1) if is_in_line(after) else (after[3], after[4])


def in_line(rows: Iterable[Sequence[int]]) -> list[Upcoming]:
    """Return what ``waiting`` answers."""
    return [Upcoming(stream, (a, b, c, d, e)) for stream, a, b, c, d, e in rows]


def due_later(rows: Iterable[tuple[int, int, int]]) -> list[Upcoming]:
    """Return what ``later`` answers, with the due time in microseconds."""
    return [Upcoming(stream, (LATER, 0, 0, due, id)) for stream, due, id in rows]
