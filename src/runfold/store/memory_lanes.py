"""Who is ready in memory: the queues, and the lanes of which only a head stands in its queue.

Of each bucket on which lanes of a queue are parked, this is always so: the bucket refuses and
whoever frees a place of it wakes one; or an alarm says when time opens it; or a lane with the
bucket stands ready in the queue and has not been looked at.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from runfold.ports import Row
from runfold.store.buckets import PRIORITY_MAX, asked_of


class Lane(NamedTuple):
    """The jobs of one queue that ask the same buckets."""

    queue: str
    limits: tuple[str, ...]


class Parked(NamedTuple):
    """Why nothing of a lane is ready, and its turn among those with the same reason."""

    rank: int
    place: int
    head: int
    lane: Lane
    bucket: str


@dataclass(slots=True)
class Work:
    """A job or a timer: what ``row`` says, its stream, when it is due or who leases it."""

    id: int
    stream: int
    row: Row
    due: datetime | None = None
    token: int | None = None
    place: int = 0
    key: tuple[int, ...] = ()
    """Its order among the ready ones of its queue; empty until it was one of them."""

    @property
    def lane(self) -> Lane:
        return Lane(self.row.queue, self.row.limits)

    @property
    def asked(self) -> tuple[str, ...]:
        """The buckets that must admit it."""
        return asked_of(self.row.queue, self.row.limits, self.row.key)


@dataclass(slots=True)
class Queues:
    """The jobs of one log that nobody leases and no gate holds back."""

    ready: dict[str, list[tuple[int, ...]]] = field(default_factory=lambda: defaultdict(list))
    """By queue: (-priority, place, id), sorted."""
    heads: dict[tuple[Lane, int], Work] = field(default_factory=dict)
    """By lane and priority, those that are ready."""
    waiting: dict[Lane, dict[int, list[tuple[int, Work]]]] = field(default_factory=dict)
    """By lane and priority, those behind a head and all of a parked lane; by id."""
    parked: dict[Lane, Parked] = field(default_factory=dict)
    waiters: dict[str, dict[str, list[Parked]]] = field(default_factory=lambda: defaultdict(dict))
    """By bucket and queue: the parked lanes in turn."""
    alarms: dict[str, dict[str, datetime]] = field(default_factory=lambda: defaultdict(dict))
    """By queue and bucket: when time alone may open it."""

    def put(self, job: Work, place: int) -> None:
        """Put ``job`` into its queue or lane; nothing becomes ready below ``place``."""
        if not job.row.limits:
            self._make_ready(job, place)
            return
        lane = self.waiting.setdefault(job.lane, {})
        insort(lane.setdefault(job.row.priority, []), (job.id, job))
        self._settle(job.lane, job.row.priority, place)

    def take(self, job: Work, place: int) -> bool:
        """Remove ``job`` if it is here, letting the next of its lane step up; True: was ready."""
        row, key = job.row, job.key
        queue = self.ready[row.queue]
        index = bisect_left(queue, key)
        was_ready = index < len(queue) and queue[index] == key
        if was_ready:
            del queue[index]
        if row.limits:
            lane, priority = job.lane, row.priority
            if was_ready:
                del self.heads[lane, priority]
            else:
                self._forget(job)
            self._settle(lane, priority, place)
        return was_ready

    def park(self, head: Work, bucket: str, due: datetime | None) -> None:
        """Let nothing of the lane of ``head`` be ready until ``bucket`` opens, at ``due``."""
        lane = head.lane
        for priority in range(1, PRIORITY_MAX + 1):
            if job := self.heads.pop((lane, priority), None):
                ready = self.ready[lane.queue]
                del ready[bisect_left(ready, job.key)]
                waiting = self.waiting.setdefault(lane, {})
                insort(waiting.setdefault(priority, []), (job.id, job))
        best = max(self.waiting[lane])
        self._park(Parked(PRIORITY_MAX - best, head.place, head.id, lane, bucket))
        self.expect(lane.queue, bucket, due)

    def expect(self, queue: str, bucket: str, due: datetime | None) -> None:
        """Set the alarm for the lanes of ``queue`` that are parked on ``bucket``."""
        if due is not None and self.waiters.get(bucket, {}).get(queue):
            self.alarms[queue][bucket] = due

    def wake(self, bucket: str, place: int) -> None:
        """Wake the first lane of each queue that is parked on ``bucket``."""
        for queue in list(self.waiters.get(bucket, ())):
            self.wake_first(queue, bucket, place)

    def wake_scope(self, scope: str, place: int) -> None:
        """Wake every lane that is parked on a bucket of ``scope``."""
        for lane, parked in list(self.parked.items()):
            if parked.bucket.startswith(f"{scope}#"):
                self.wake_lane(lane, place)

    def wake_first(self, queue: str, bucket: str, place: int) -> list[Work]:
        """Wake the first lane of ``queue`` that is parked on ``bucket``; return its heads."""
        parked = self.waiters.get(bucket, {}).get(queue)
        return self.wake_lane(parked[0].lane, place) if parked else []

    def wake_lane(self, lane: Lane, place: int) -> list[Work]:
        """Park ``lane`` no more; return its heads."""
        self._unpark(lane)
        for priority in list(self.waiting[lane]):
            self._settle(lane, priority, place)
        heads = [self.heads.get((lane, priority)) for priority in range(1, PRIORITY_MAX + 1)]
        return [head for head in heads if head is not None]

    def ring(self, queue: str, ts: datetime, limit: int) -> list[str]:
        """Return the buckets whose time has come, at most ``limit``, without their alarms."""
        alarms = self.alarms[queue]
        rung = sorted((due, bucket) for bucket, due in alarms.items() if due <= ts)[:limit]
        for _, bucket in rung:
            del alarms[bucket]
        return [bucket for _, bucket in rung]

    def _settle(self, lane: Lane, priority: int, place: int) -> None:
        """Make up for what has come or gone: a head where one is due, or the lane's rank."""
        parked, waiting = self.parked.get(lane), self.waiting.get(lane, {})
        if parked is not None:
            if not waiting:
                self._unpark(lane)
                return
            rank = PRIORITY_MAX - max(waiting)
            if rank < parked.rank:
                self.wake_lane(lane, place)
            elif rank > parked.rank:
                self._unpark(lane, keep_alarm=True)
                self._park(parked._replace(rank=rank))
        elif (lane, priority) not in self.heads and priority in waiting:
            job = self.heads[lane, priority] = waiting[priority][0][1]
            self._forget(job)
            self._make_ready(job, place)

    def _make_ready(self, job: Work, place: int) -> None:
        row, id = job.row, job.id
        job.place = place = max(id, place)
        job.key = (-row.priority, place, id)
        insort(self.ready[row.queue], job.key)

    def _forget(self, job: Work) -> None:
        """Let ``job`` wait no more, if it does."""
        lane = self.waiting.get(job.lane, {})
        line = lane.get(job.row.priority, [])
        index = bisect_left(line, job.id, key=lambda found: found[0])
        if index < len(line) and line[index][0] == job.id:
            del line[index]
        if not line:
            lane.pop(job.row.priority, None)
        if not lane:
            self.waiting.pop(job.lane, None)

    def _park(self, parked: Parked) -> None:
        self.parked[parked.lane] = parked
        insort(self.waiters[parked.bucket].setdefault(parked.lane.queue, []), parked)

    def _unpark(self, lane: Lane, *, keep_alarm: bool = False) -> None:
        parked = self.parked.pop(lane)
        queues = self.waiters[parked.bucket]
        queues[lane.queue].remove(parked)
        if not queues[lane.queue]:
            del queues[lane.queue]
            if not keep_alarm:
                self.alarms[lane.queue].pop(parked.bucket, None)
            if not queues:
                del self.waiters[parked.bucket]
