"""Claims in memory: the best ready jobs that every bucket admits, lanes in turn."""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime

from runfold.flow.events import StepStarted
from runfold.ports import Claim, Encoded, Job, Row, Served
from runfold.store.buckets import ALARMS_PER_CLAIM, PRIORITY_MAX, looks
from runfold.store.memory_lanes import Work
from runfold.store.memory_log import Log


def claim(log: Log, asked: Claim, ts: datetime, first: int) -> tuple[list[Job], Served]:
    """Lease and start what ``asked`` gets; ``first`` is where the commit's claims begin."""
    if asked.token not in log.members:
        return [], Served(tuple(asked.floors) or (0,) * PRIORITY_MAX, None, is_member=False)
    return _Claiming(log, asked, ts, first).serve()


class _Claiming:
    """One claim: a walk through the ready jobs of a queue, from a cursor that wakes set back."""

    def __init__(self, log: Log, asked: Claim, ts: datetime, first: int) -> None:
        self._log, self._asked, self._ts, self._first = log, asked, ts, first
        self._targets = set(asked.targets)
        self._ready = log.queues.ready[asked.queue]
        self._given = tuple(asked.floors) or (0,) * PRIORITY_MAX
        self._cursor = (-PRIORITY_MAX, self._given[0], 0)
        """Every ready job before this was looked at."""
        self._looks = looks(asked.limit)
        self._is_done = False

    def serve(self) -> tuple[list[Job], Served]:
        queue, log = self._asked.queue, self._log
        room = min(self._asked.limit, log.limits.verdict_on(queue, self._ts).room)
        if room:
            for bucket in log.queues.ring(queue, self._ts, ALARMS_PER_CLAIM):
                log.queues.wake_first(queue, bucket, self._next_position)
        taken: list[Job] = []
        while len(taken) < room and self._looks and (job := self._next()):
            if self._is_taken(job):
                taken.append(self._start(job))
        return taken, Served(self._floors(room), self._wait())

    def _next(self) -> Work | None:
        """Return the next ready job and step over it."""
        index = bisect_left(self._ready, self._cursor)
        while index < len(self._ready):
            negative, place, number = self._ready[index]
            floor = self._given[PRIORITY_MAX + negative]
            if place >= floor:
                self._cursor = (negative, place, number + 1)
                return self._log.jobs[number]
            index = bisect_left(self._ready, (negative, floor, 0))
        self._is_done = True
        return None

    def _is_taken(self, job: Work) -> bool:
        """Return whether ``job`` can be leased; else its lane is parked or stands for others."""
        row = job.row
        is_known = (row.flow, row.step) in self._targets
        if not row.limits:
            return is_known
        asked = job.asked
        if not is_known:
            self._pass_on(asked)
            return False
        for bucket in asked:
            verdict = self._log.limits.verdict(bucket, self._ts)
            if not verdict.room:
                self._looks -= 1
                self._log.queues.park(job, bucket, verdict.due)
                self._pass_on(tuple(other for other in asked if other != bucket))
                return False
        return True

    def _start(self, job: Work) -> Job:
        row = job.row
        attempt = (row.step, row.activation, row.attempt, row.key, None)
        event = tuple.__new__(Encoded, (StepStarted.TOPIC, self._asked.state, *attempt))
        self._log.append(job.stream, (event,), self._ts)
        started = self._log.events[-1]
        self._log.lease(job, self._asked.token, started)
        if row.limits:
            self._pass_on(job.asked)
        return leased_job(self._log, job, started.position, started.version, self._ts)

    def _pass_on(self, buckets: tuple[str, ...]) -> None:
        """Let another lane try what is left of ``buckets``."""
        for bucket in buckets:
            verdict = self._log.limits.verdict(bucket, self._ts)
            if not verdict.room:
                self._log.queues.expect(self._asked.queue, bucket, verdict.due)
                continue
            place = self._next_position
            for head in self._log.queues.wake_first(self._asked.queue, bucket, place):
                self._cursor = min(self._cursor, (-head.row.priority, place, 0))

    def _floors(self, room: int) -> tuple[int, ...]:
        """Return the floors of the next claim: places below which nothing was left behind."""
        if not room:
            return self._given
        if self._is_done:
            return (self._first,) * PRIORITY_MAX
        reached = PRIORITY_MAX + self._cursor[0]
        return (
            *(self._first,) * reached,
            max(self._given[reached], self._cursor[1]),
            *self._given[reached + 1 :],
        )

    def _wait(self) -> float | None:
        """Return the seconds until time alone may let one more job of the queue be ready."""
        if not self._looks:
            return 0.0
        queues, queue = self._log.queues, self._asked.queue
        verdict = self._log.limits.verdict_on(queue, self._ts)
        if not verdict.room:
            is_waiting = bool(self._ready) or any(lane.queue == queue for lane in queues.parked)
            return _until(self._ts, verdict.due) if is_waiting else None
        return _until(self._ts, min(queues.alarms[queue].values(), default=None))

    @property
    def _next_position(self) -> int:
        return len(self._log.events) + 1


def _until(ts: datetime, due: datetime | None) -> float | None:
    return None if due is None else max(0.0, (due - ts).total_seconds())


def leased_job(log: Log, job: Work, position: int, version: int, ts: datetime) -> Job:
    """Return ``job`` as the worker that leases it gets it."""
    row: Row = job.row
    return Job(
        job.id, job.stream, log.streams[job.stream].id,
        row.flow, row.step, row.activation, row.attempt,
        row.queue, row.priority, row.key, row.inputs,
        position, version, ts,
    )  # fmt: skip
