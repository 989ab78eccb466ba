"""Claims: ready jobs, best first, leased to a member and started in the stream of their run.

The index ``jobs_ready`` holds claimable rows only, by queue, priority, place and id; a claim
walks it from the best priority down, skipping priorities that nobody uses. Of a lane it meets
the head, which is leased if every bucket admits it; if not, the lane leaves the index.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from sqlalchemy import and_, func, literal_column, select, text, tuple_, update

from runfold.flow.events import StepStarted
from runfold.ports import Claim, Encoded, Job, Served
from runfold.store.buckets import ALARMS_PER_CLAIM, PRIORITY_MAX, asked_of, looks
from runfold.store.sql.schema import ALARMS, CLOSURES, JOBS, LIMITS, MEMBERS, PARKED, STREAMS
from runfold.store.sql.sqlite_lanes import SqliteLanes
from runfold.store.sql.sqlite_limits import SECOND, SqliteLimits, buckets_of, due_of
from runfold.store.sql.sqlite_values import limited, moment, param, prepared
from runfold.store.sql.sqlite_write import Writing

PAGE_JOBS_MIN = 32
"""How many rows one probe reads at least, so that jobs without a taker are passed quickly."""
_ABOVE_BEST = PRIORITY_MAX + 1

_LOG, _QUEUE, _SCOPE = param("log"), param("of_queue"), param("of_scope")
_READY = text("member IS NULL AND blocked = 0")

_PRIORITY = prepared(
    limited(
        select(JOBS.c.priority)
        .where(
            JOBS.c.log_id == _LOG,
            JOBS.c.queue == _QUEUE,
            JOBS.c.priority < param("below"),
            _READY,
        )
        .order_by(JOBS.c.priority.desc())
    ),
    "log", "of_queue", "below", "limit",
)  # fmt: skip
_READY_JOBS = prepared(
    limited(
        select(
            JOBS.c.id, JOBS.c.stream, STREAMS.c.id, JOBS.c.flow, JOBS.c.step, JOBS.c.activation,
            JOBS.c.attempt, JOBS.c.queue, JOBS.c.priority, JOBS.c.key, JOBS.c.inputs,
            JOBS.c.limits, JOBS.c.place,
        )
        .join(STREAMS, and_(STREAMS.c.log_id == _LOG, STREAMS.c.stream == JOBS.c.stream))
        .where(
            JOBS.c.log_id == _LOG,
            JOBS.c.queue == _QUEUE,
            JOBS.c.priority == param("of_priority"),
            tuple_(JOBS.c.place, JOBS.c.id) >= tuple_(param("from_place"), param("from_id")),
            _READY,
        )
        .order_by(JOBS.c.place, JOBS.c.id)
    ),
    "log", "log", "of_queue", "of_priority", "from_place", "from_id", "limit",
)  # fmt: skip
_LEASE = prepared(
    update(JOBS)
    .where(JOBS.c.log_id == _LOG, JOBS.c.id == param("of"))
    .values(member=param("token")),
    "token", "log", "of",
)  # fmt: skip
_ONE: Any = literal_column("1")
_HELD_BACK = prepared(
    select(
        select(_ONE)
        .where(LIMITS.c.log_id == _LOG, LIMITS.c.scope == _SCOPE, text("NOT keyed"))
        .limit(_ONE).offset(literal_column("0")).scalar_subquery(),
        select(CLOSURES.c.until)
        .where(CLOSURES.c.log_id == _LOG, CLOSURES.c.bucket == _SCOPE).scalar_subquery(),
        select(func.min(ALARMS.c.due_at))
        .where(ALARMS.c.log_id == _LOG, ALARMS.c.queue == _QUEUE).scalar_subquery(),
    ),
    "log", "of_scope", "log", "of_scope", "log", "of_queue",
)  # fmt: skip
_MEMBER = prepared(
    limited(select(_ONE).where(MEMBERS.c.log_id == _LOG, MEMBERS.c.token == param("token"))),
    "log", "token", "limit",
)  # fmt: skip
_ANY_PARKED = prepared(
    limited(select(PARKED.c.lane).where(PARKED.c.log_id == _LOG, PARKED.c.queue == _QUEUE)),
    "log", "of_queue", "limit",
)  # fmt: skip


class _Ready(NamedTuple):
    """A ready job: what a ``Job`` begins with, its lane and its place."""

    id: int
    stream: int
    run_id: bytes
    flow: str
    step: str
    activation: int
    attempt: int
    queue: str
    priority: int
    key: str | None
    inputs: str | None
    limits: str | None
    place: int


def claim(
    connection: sqlite3.Connection, log: int, asked: Claim, writing: Writing, first: int
) -> tuple[list[Job], Served]:
    """Lease and start what ``asked`` gets, seeing everything that ``writing`` has sent.

    ``first`` is the position at which the events of the commit's claims begin.
    """
    if connection.execute(_MEMBER, (log, asked.token, 1)).fetchone() is None:
        return [], Served(tuple(asked.floors) or (0,) * PRIORITY_MAX, None, is_member=False)
    claiming = _Claiming(connection, log, asked, writing, first)
    taken, served = claiming.serve()
    writing.know_all({row.stream for row in taken})
    ts, jobs = moment(writing.ts), []
    for row in taken:
        started = Encoded(
            StepStarted.TOPIC, asked.state, row.step, row.activation, row.attempt, row.key
        )
        version = writing.append(row.stream, started)
        jobs.append(Job(*(*row[:11], writing.position, version, ts)))
    return jobs, served


class _Claiming:
    """One claim: a walk through the ready jobs of a queue, from a cursor that wakes set back."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        log: int,
        asked: Claim,
        writing: Writing,
        first: int,
    ) -> None:
        self._connection, self._log, self._asked = connection, log, asked
        self._ts, self._position, self._first = writing.ts, writing.position, first
        self._lanes = SqliteLanes(connection, log)
        self._limits = SqliteLimits(connection, log, writing.ts)
        self._targets = set(asked.targets)
        self._given = tuple(asked.floors) or (0,) * PRIORITY_MAX
        self._taken: list[_Ready] = []
        self._unleased: list[int] = []
        """Of those, what stands in the table as ready: leased together, before another look."""
        self._priority, self._from = _ABOVE_BEST, (0, 0)
        """The cursor: every ready job before it was looked at."""
        self._page: list[_Ready] = []
        self._may_be_more = False
        """Whether there may be more of this priority than the page."""
        self._is_done = False
        self._met_lanes = False
        self._looks = looks(asked.limit)

    def serve(self) -> tuple[list[_Ready], Served]:
        """Return the jobs to lease, and what else the claim is told."""
        queue = self._asked.queue
        scope = f"queue:{queue}"
        probe = (self._log, scope, self._log, scope, self._log, queue)
        whole, until, due = self._connection.execute(_HELD_BACK, probe).fetchone()
        is_limited = whole is not None or until is not None
        room = self._asked.limit
        if is_limited and room:
            room = min(room, self._limits.verdict_on(queue).room)
        if room and due is not None and due <= self._ts:
            for bucket in self._lanes.ring(queue, self._ts, ALARMS_PER_CLAIM):
                self._lanes.wake_first(queue, bucket, self._next_position)
        while len(self._taken) < room and self._looks and (row := self._next()):
            if self._is_taken(row):
                self._take(row, is_counted=whole is not None)
        self._lease()
        wait = None
        if not self._looks:
            wait = 0.0
        elif is_limited or due is not None or self._met_lanes:
            wait = self._wait(probe)
        return self._taken, Served(self._floors(room), wait)

    def _next(self) -> _Ready | None:
        """Return the next ready job and step over it."""
        while not self._page:
            if not self._may_be_more and not self._descend():
                self._is_done = True
                return None
            self._read()
        row = self._page.pop()
        self._from = (row.place, row.id + 1)
        return row

    def _descend(self) -> bool:
        """Go to the next priority that is in use; False: there is none."""
        asked = (self._log, self._asked.queue, self._priority, 1)
        row = self._connection.execute(_PRIORITY, asked).fetchone()
        if row is None:
            return False
        self._priority = row[0]
        self._from = (self._given[PRIORITY_MAX - self._priority], 0)
        return True

    def _read(self) -> None:
        """Read the next page of this priority, its first job last."""
        size = max(self._asked.limit, PAGE_JOBS_MIN)
        where = (self._log, self._log, self._asked.queue, self._priority, *self._from, size)
        rows = self._connection.execute(_READY_JOBS, where).fetchall()
        self._page = [_Ready._make(row) for row in reversed(rows)]
        self._may_be_more = len(rows) == size

    def _is_taken(self, row: _Ready) -> bool:
        """Return whether the job can be leased; else its lane is parked or stands for others."""
        is_known = (row.flow, row.step) in self._targets
        if row.limits is None:
            return is_known
        self._met_lanes = True
        asked = asked_of(row.queue, buckets_of(row.limits), row.key)
        if not is_known:
            self._pass_on(asked)
            return False
        for bucket in asked:
            verdict = self._limits.verdict(bucket)
            if not verdict.room:
                self._looks -= 1
                at = (row.place, row.id)
                self._lanes.park(row.queue, row.limits, at, bucket, due_of(verdict))
                self._pass_on(tuple(other for other in asked if other != bucket))
                return False
        return True

    def _take(self, row: _Ready, *, is_counted: bool) -> None:
        position = self._next_position
        self._taken.append(row)
        self._unleased.append(row.id)
        if is_counted or row.limits is not None:
            self._limits.start(row.id, row.queue, row.limits, position)
        if row.limits is not None:
            self._lease()
            self._lanes.settle(row.queue, row.limits, row.priority, position)
            self._may_be_more = True
            self._pass_on(asked_of(row.queue, buckets_of(row.limits), row.key))

    def _lease(self) -> None:
        leases = [(self._asked.token, self._log, job) for job in self._unleased]
        self._connection.executemany(_LEASE, leases)
        self._unleased = []

    def _pass_on(self, buckets: tuple[str, ...]) -> None:
        """Let another lane try what is left of ``buckets``."""
        queue, place = self._asked.queue, self._next_position
        for bucket in buckets:
            verdict = self._limits.verdict(bucket)
            if verdict.room:
                for priority in self._lanes.wake_first(queue, bucket, place):
                    self._turn_back(priority, place)
            elif (due := due_of(verdict)) is not None:
                self._lanes.expect(queue, bucket, due)

    def _turn_back(self, priority: int, place: int) -> None:
        """Look again from where a job of this priority became ready at ``place``, or sooner."""
        if priority == self._priority:
            self._may_be_more = True
        if (-priority, place, 0) < (-self._priority, *self._from):
            self._lease()
            self._priority, self._from = priority, (place, 0)
            self._page, self._may_be_more = [], True

    def _floors(self, room: int) -> tuple[int, ...]:
        """Return the floors of the next claim: places below which nothing was left behind."""
        if not room:
            return self._given
        if self._is_done:
            return (self._first,) * PRIORITY_MAX
        reached = PRIORITY_MAX - self._priority
        floor = max(self._given[reached], self._from[0])
        return (*(self._first,) * reached, floor, *self._given[reached + 1 :])

    def _wait(self, probe: tuple[object, ...]) -> float | None:
        """Return the seconds until time alone may let one more job of the queue be ready."""
        queue = self._asked.queue
        whole = self._limits.verdict_on(queue)
        if whole.room:
            due = self._connection.execute(_HELD_BACK, probe).fetchone()[2]
            return self._until(due)
        return self._until(due_of(whole)) if self._has_more(queue) else None

    def _has_more(self, queue: str) -> bool:
        """Return whether the queue has a job that is ready, or a lane that waits."""
        ready = self._connection.execute(_PRIORITY, (self._log, queue, _ABOVE_BEST, 1)).fetchone()
        parked = self._connection.execute(_ANY_PARKED, (self._log, queue, 1)).fetchone()
        return bool(ready or parked)

    def _until(self, due: int | None) -> float | None:
        return None if due is None else max(0, due - self._ts) / SECOND

    @property
    def _next_position(self) -> int:
        return self._position + len(self._taken) + 1
