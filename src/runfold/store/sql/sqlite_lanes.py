"""Lanes on SQLite: of each only a head stands ready, and nothing while it is parked.

Of each bucket on which lanes of a queue are parked, this is always so: the bucket refuses and
whoever frees a place of it wakes one; or an alarm says when time opens it; or a lane with the
bucket stands ready in the queue and has not been looked at.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from sqlalchemy import delete, exists, func, insert, literal_column, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from runfold.store.buckets import PRIORITY_MAX, asked_of
from runfold.store.sql.schema import ALARMS, JOBS, LIMITS, PARKED
from runfold.store.sql.sqlite_limits import buckets_of
from runfold.store.sql.sqlite_values import limited, param, prepared

_LOG, _QUEUE, _LANE, _BUCKET = (param(name) for name in ("log", "of_queue", "of_lane", "of_bucket"))
_OF_LANE = (JOBS.c.log_id == _LOG, JOBS.c.queue == _QUEUE, JOBS.c.limits == _LANE)
_WAITING = text("member IS NULL AND blocked = 2")
_HEADS = text("member IS NULL AND blocked = 0 AND limits IS NOT NULL")
_PARKED_NAMES = ("place", "head", "log_id", "rank", "queue", "lane", "bucket")
_ALARM_NAMES = ("due_at", "log_id", "queue", "bucket")

_PARKED = prepared(
    select(PARKED.c.rank, PARKED.c.bucket).where(
        PARKED.c.log_id == _LOG, PARKED.c.queue == _QUEUE, PARKED.c.lane == _LANE
    ),
    "log", "of_queue", "of_lane",
)  # fmt: skip
_HEAD = prepared(
    limited(select(JOBS.c.id).where(*_OF_LANE, JOBS.c.priority == param("of_priority"), _HEADS)),
    "log", "of_queue", "of_lane", "of_priority", "limit",
)  # fmt: skip
_NEXT = prepared(
    limited(
        select(JOBS.c.id)
        .where(*_OF_LANE, JOBS.c.priority == param("of_priority"), _WAITING)
        .order_by(JOBS.c.id)
    ),
    "log", "of_queue", "of_lane", "of_priority", "limit",
)  # fmt: skip
_BEST = prepared(
    limited(
        select(JOBS.c.priority)
        .where(*_OF_LANE, JOBS.c.priority < param("below"), _WAITING)
        .order_by(JOBS.c.priority.desc())
    ),
    "log", "of_queue", "of_lane", "below", "limit",
)  # fmt: skip
_STEP_UP = prepared(
    update(JOBS)
    .where(JOBS.c.log_id == _LOG, JOBS.c.id == param("of"))
    .values(blocked=text("0"), place=func.max(JOBS.c.id, param("at"))),
    "at", "log", "of",
)  # fmt: skip
_STEP_BACK = prepared(update(JOBS).where(*_OF_LANE, _HEADS).values(blocked=text("2")),
    "log", "of_queue", "of_lane",
)  # fmt: skip
_PARK = prepared(insert(PARKED).values({n: param(n) for n in _PARKED_NAMES}), *_PARKED_NAMES)
_RANK = prepared(
    update(PARKED)
    .where(PARKED.c.log_id == _LOG, PARKED.c.queue == _QUEUE, PARKED.c.lane == _LANE)
    .values(rank=param("to")),
    "to", "log", "of_queue", "of_lane",
)  # fmt: skip
_UNPARK = prepared(
    delete(PARKED).where(
        PARKED.c.log_id == _LOG, PARKED.c.queue == _QUEUE, PARKED.c.lane == _LANE
    ),
    "log", "of_queue", "of_lane",
)  # fmt: skip
_FIRST = prepared(
    limited(
        select(PARKED.c.lane, PARKED.c.rank, PARKED.c.bucket)
        .where(PARKED.c.log_id == _LOG, PARKED.c.bucket == _BUCKET, PARKED.c.queue == _QUEUE)
        .order_by(PARKED.c.rank, PARKED.c.place, PARKED.c.head)
    ),
    "log", "of_bucket", "of_queue", "limit",
)  # fmt: skip
_NEXT_QUEUE = prepared(
    limited(
        select(PARKED.c.queue)
        .where(PARKED.c.log_id == _LOG, PARKED.c.bucket == _BUCKET, PARKED.c.queue > _QUEUE)
        .order_by(PARKED.c.queue)
    ),
    "log", "of_bucket", "of_queue", "limit",
)  # fmt: skip
_OF_SCOPE = prepared(
    select(PARKED.c.queue, PARKED.c.lane, PARKED.c.bucket).where(
        PARKED.c.log_id == _LOG, PARKED.c.bucket >= param("first"), PARKED.c.bucket < param("last")
    ),
    "log", "first", "last",
)  # fmt: skip
_ALARM = prepared(
    (alarm := upsert(ALARMS).values({name: param(name) for name in _ALARM_NAMES}))
    .on_conflict_do_update(
        index_elements=["log_id", "queue", "bucket"], set_={"due_at": alarm.excluded.due_at}
    ),
    *_ALARM_NAMES,
)  # fmt: skip
_SILENCE = prepared(
    delete(ALARMS).where(
        ALARMS.c.log_id == _LOG, ALARMS.c.queue == _QUEUE, ALARMS.c.bucket == _BUCKET
    ),
    "log", "of_queue", "of_bucket",
)  # fmt: skip
_RUNG = prepared(
    limited(
        select(ALARMS.c.bucket)
        .where(ALARMS.c.log_id == _LOG, ALARMS.c.queue == _QUEUE, ALARMS.c.due_at <= param("now"))
        .order_by(ALARMS.c.due_at)
    ),
    "log", "of_queue", "now", "limit",
)  # fmt: skip


_ONE: Any = literal_column("1")
_IN_USE = prepared(
    select(
        exists(select(_ONE).where(LIMITS.c.log_id == _LOG)),
        exists(select(_ONE).where(JOBS.c.log_id == _LOG, _HEADS)),
        exists(select(_ONE).where(PARKED.c.log_id == _LOG)),
    ),
    "log", "log", "log",
)  # fmt: skip


class Touched(NamedTuple):
    """A job that came to a lane, left it, or was told to wait in it."""

    queue: str
    lane: str
    priority: int
    key: str | None
    is_gone: bool
    """It was ready or leased, perhaps: what it might have used is for another lane."""


def in_use(connection: sqlite3.Connection, log: int) -> bool:
    """Return whether there is a limit, or a lane with a job that nobody leases.

    Where one waits, there is a head before it, or the lane is parked.
    """
    return any(connection.execute(_IN_USE, (log, log, log)).fetchone())


class SqliteLanes:
    """The lanes of one log in one commit."""

    def __init__(self, connection: sqlite3.Connection, log: int) -> None:
        self._connection, self._log = connection, log

    def make_up(self, touched: list[Touched], place: int) -> None:
        """Let the next step up wherever one is due; what becomes ready stands at ``place``."""
        for queue, lane, priority in dict.fromkeys(job[:3] for job in touched):
            self.settle(queue, lane, priority, place)
        for job in touched:
            if job.is_gone:
                for bucket in asked_of(job.queue, buckets_of(job.lane), job.key):
                    self.wake(bucket, place)

    def settle(self, queue: str, lane: str, priority: int, place: int) -> None:
        """Make up for what has come or gone: a head where one is due, or the lane's rank."""
        of_lane = (self._log, queue, lane)
        parked = self._connection.execute(_PARKED, of_lane).fetchone()
        if parked is None:
            self._promote(queue, lane, priority, place)
            return
        rank, bucket = parked
        best = self._best(queue, lane)
        if best is None:
            self._unpark(queue, lane, bucket)
        elif PRIORITY_MAX - best < rank:
            self.wake_lane(queue, lane, bucket, place)
        elif PRIORITY_MAX - best > rank:
            self._connection.execute(_RANK, (PRIORITY_MAX - best, *of_lane))

    def park(
        self, queue: str, lane: str, at: tuple[int, int], bucket: str, due: int | None
    ) -> None:
        """Let nothing of the lane be ready until ``bucket`` opens; ``at``: place, id of a head."""
        self._connection.execute(_STEP_BACK, (self._log, queue, lane))
        best = self._best(queue, lane)
        assert best is not None, "the head that is parked waits"
        row = (*at, self._log, PRIORITY_MAX - best, queue, lane, bucket)
        self._connection.execute(_PARK, row)
        if due is not None:
            self._connection.execute(_ALARM, (due, self._log, queue, bucket))

    def expect(self, queue: str, bucket: str, due: int) -> None:
        """Set the alarm for the lanes of ``queue`` that are parked on ``bucket``."""
        if self._connection.execute(_FIRST, (self._log, bucket, queue, 1)).fetchone():
            self._connection.execute(_ALARM, (due, self._log, queue, bucket))

    def wake(self, bucket: str, place: int) -> None:
        """Wake the first lane of each queue that is parked on ``bucket``."""
        asked = (self._log, bucket)
        queue = ""
        while row := self._connection.execute(_NEXT_QUEUE, (*asked, queue, 1)).fetchone():
            queue = row[0]
            self.wake_first(queue, bucket, place)

    def wake_first(self, queue: str, bucket: str, place: int) -> list[int]:
        """Wake the first lane of ``queue`` parked on ``bucket``; return its heads' priorities."""
        first = self._connection.execute(_FIRST, (self._log, bucket, queue, 1)).fetchone()
        return self.wake_lane(queue, first[0], bucket, place) if first else []

    def wake_scope(self, scope: str, place: int) -> None:
        """Wake every lane that is parked on a bucket of ``scope``."""
        # "$" follows "#", so this is the range of everything that begins with "<scope>#".
        asked = (self._log, f"{scope}#", f"{scope}$")
        for queue, lane, bucket in self._connection.execute(_OF_SCOPE, asked).fetchall():
            self.wake_lane(queue, lane, bucket, place)

    def wake_lane(self, queue: str, lane: str, bucket: str, place: int) -> list[int]:
        """Park a lane no more; return the priorities of its heads."""
        self._unpark(queue, lane, bucket)
        priorities: list[int] = []
        best = self._best(queue, lane)
        while best is not None:
            self._promote(queue, lane, best, place)
            priorities.append(best)
            best = self._best(queue, lane, below=best)
        return priorities

    def ring(self, queue: str, now: int, limit: int) -> list[str]:
        """Return the buckets whose time has come, at most ``limit``, without their alarms."""
        asked = (self._log, queue, now, limit)
        rung = [row[0] for row in self._connection.execute(_RUNG, asked).fetchall()]
        self._connection.executemany(_SILENCE, [(self._log, queue, bucket) for bucket in rung])
        return rung

    def _promote(self, queue: str, lane: str, priority: int, place: int) -> None:
        asked = (self._log, queue, lane, priority, 1)
        if not self._connection.execute(_HEAD, asked).fetchone() and (
            row := self._connection.execute(_NEXT, asked).fetchone()
        ):
            self._connection.execute(_STEP_UP, (place, self._log, row[0]))

    def _unpark(self, queue: str, lane: str, bucket: str) -> None:
        self._connection.execute(_UNPARK, (self._log, queue, lane))
        if not self._connection.execute(_FIRST, (self._log, bucket, queue, 1)).fetchone():
            self._connection.execute(_SILENCE, (self._log, queue, bucket))

    def _best(self, queue: str, lane: str, below: int = PRIORITY_MAX + 1) -> int | None:
        """Return the best priority below that for which a job of the lane waits."""
        asked = (self._log, queue, lane, below, 1)
        row = self._connection.execute(_BEST, asked).fetchone()
        return row[0] if row else None
