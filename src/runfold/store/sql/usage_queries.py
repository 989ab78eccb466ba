"""What some buckets admit and why they do not: four questions, and the answers put together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, select

from runfold.ports import BucketUse, Holder, Limit
from runfold.store.buckets import limit_of
from runfold.store.sql.schema import CLOSURES, HOLDS, JOBS, LIMITS, STARTS

Wanted = Callable[[Any], ColumnElement[bool]]
"""Returns the condition that a column is one of the names that are asked for."""
_LOG: BindParameter[int] = bindparam("log_id")


def limits_in(wanted: Wanted) -> Select[Any]:
    """Return what a ``Limit`` is made of, of the ids that are wanted."""
    at = LIMITS.c
    return select(at.id, at.kind, at.max, at.per, at.keyed).where(at.log_id == _LOG, wanted(at.id))


def closed_in(wanted: Wanted) -> Select[Any]:
    """Return bucket and end of what is closed at ``now``."""
    at = CLOSURES.c
    is_shut = at.until > bindparam("now", type_=at.until.type)
    return select(at.bucket, at.until).where(at.log_id == _LOG, wanted(at.bucket), is_shut)


def holders_in(wanted: Wanted) -> Select[Any]:
    """Return bucket, run, step and activation of leased jobs that concurrency limits count."""
    at, job = HOLDS.c, JOBS.c
    return (
        select(at.bucket, job.stream, job.step, job.activation)
        .join_from(HOLDS, JOBS, and_(job.log_id == at.log_id, job.id == at.job))
        .where(at.log_id == _LOG, wanted(at.bucket))
        .order_by(at.bucket, at.job)
    )


def starts_in(wanted: Wanted) -> Select[Any]:
    """Return bucket and time of the starts that rate limits count at ``now``."""
    at = STARTS.c
    is_counted = at.over_at > bindparam("now", type_=at.over_at.type)
    return (
        select(at.bucket, at.at)
        .where(at.log_id == _LOG, wanted(at.bucket), is_counted)
        .order_by(at.bucket, at.at, at.position)
    )


def uses(
    buckets: Sequence[str],
    limits: Iterable[Sequence[Any]],
    closed: Iterable[tuple[str, datetime]],
    holders: Iterable[Sequence[Any]],
    starts: Iterable[tuple[str, datetime]],
) -> list[BucketUse]:
    """Return what the answers say of each of ``buckets``, in their order."""
    known = {id: Limit(id, kind, most, per, bool(keyed)) for id, kind, most, per, keyed in limits}
    until, held = dict(closed), defaultdict[str, list[Holder]](list)
    for bucket, *holder in holders:
        held[bucket].append(Holder(*holder))
    started = defaultdict[str, list[datetime]](list)
    for bucket, at in starts:
        started[bucket].append(at)
    return [
        BucketUse(
            one, known.get(limit_of(one)), until.get(one), tuple(held[one]), tuple(started[one])
        )
        for one in buckets
    ]
