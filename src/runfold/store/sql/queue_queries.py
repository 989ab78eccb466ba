"""What people are told about queues: four questions, and the answers put together.

They are asked one after the other and count whole tables: for listings, not for decisions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Select, bindparam, func, or_, select

from runfold.ports import Limit, QueueState
from runfold.store.sql.schema import CLOSURES, JOBS, LIMITS, TIMERS

PREFIX = "queue:"
"""What the scopes of limits and the closures of queues begin with."""

_LOG: BindParameter[int] = bindparam("log_id")


def jobs_of() -> Select[Any]:
    """Return queue, number of ready, of leased and of all jobs."""
    at = JOBS.c
    ready = func.count().filter(at.member.is_(None), at.blocked == 0)
    return (
        select(at.queue, ready, func.count(at.member), func.count())
        .where(at.log_id == _LOG)
        .group_by(at.queue)
    )


def delayed_of() -> Select[Any]:
    """Return queue and number of timers that become jobs."""
    at = TIMERS.c
    return (
        select(at.queue, func.count())
        .where(at.log_id == _LOG, or_(at.kind == "start", at.kind == "retry"))
        .group_by(at.queue)
    )


def limits_of() -> Select[Any]:
    """Return scope and what a ``Limit`` is made of."""
    at = LIMITS.c
    return (
        select(at.scope, at.id, at.kind, at.max, at.per, at.keyed)
        .where(at.log_id == _LOG)
        .order_by(at.id)
    )


def closures_of() -> Select[Any]:
    """Return bucket and end of what is closed at ``now``."""
    at = CLOSURES.c
    open_at = bindparam("now", type_=at.until.type)
    return select(at.bucket, at.until).where(at.log_id == _LOG, at.until > open_at)


def states(
    jobs: Iterable[tuple[str, int, int, int]],
    delayed: Iterable[tuple[str, int]],
    limits: Iterable[tuple[str, str, str, int, float | None, bool]],
    closures: Iterable[tuple[str, datetime]],
) -> list[QueueState]:
    """Return every queue that one of the answers names, by name."""
    counted = {queue: counts for queue, *counts in jobs}
    later = dict(delayed)
    limited: dict[str, list[Limit]] = defaultdict(list)
    for scope, number, kind, most, per, keyed in limits:
        if scope.startswith(PREFIX):
            limit = Limit(number, kind, most, per, bool(keyed))
            limited[scope.removeprefix(PREFIX)].append(limit)
    closed, keys = _closed(closures)
    return [
        QueueState(
            name,
            ready,
            every - ready - leased,
            leased,
            later.get(name, 0),
            closed.get(name),
            tuple(sorted(keys.get(name, ()))),
            tuple(sorted(limited.get(name, ()))),
        )
        for name in sorted({*counted, *later, *limited, *closed, *keys})
        for ready, leased, every in [counted.get(name, (0, 0, 0))]
    ]


def _closed(
    closures: Iterable[tuple[str, datetime]],
) -> tuple[dict[str, datetime], dict[str, list[tuple[str, datetime]]]]:
    """Return until when queues are closed, and which keys of them; buckets are neither."""
    queues: dict[str, datetime] = {}
    keys: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for bucket, until in closures:
        place, is_key, key = bucket.partition("=")
        if not place.startswith(PREFIX) or "#" in place:
            continue
        if is_key:
            keys[place.removeprefix(PREFIX)].append((key, until))
        else:
            queues[place.removeprefix(PREFIX)] = until
    return queues, keys
