"""A plain model of queues with limits: lists and loops, and no idea of lanes that are parked.

``contract_machine`` does the same to a store and to this, and compares. The model knows which
jobs *may* be started and which *must* have been; in which order equals are served is the
store's business, within what the contract says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runfold.ports import Job, Limit, Row
from runfold.testing.contract_scene import NOON
from runfold.testing.contract_words import NEVER

Target = tuple[str, str]


@dataclass
class Known:
    """A job as the model knows it."""

    id: int
    stream: int
    row: Row
    holder: int | None = None
    was_paused: bool = False

    @property
    def asked(self) -> tuple[str, ...]:
        """The buckets that must admit it, those of its whole queue included."""
        row = self.row
        key = () if row.key is None else (f"queue:{row.queue}={row.key}",)
        return (*row.limits, *key)


@dataclass
class Model:
    """What ought to be so in a store."""

    now: datetime = NOON
    jobs: dict[int, Known] = field(default_factory=dict)
    timers: dict[int, Known] = field(default_factory=dict)
    shut: set[int] = field(default_factory=set)
    limits: dict[str, tuple[Limit, ...]] = field(default_factory=dict)
    starts: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    closures: dict[str, datetime] = field(default_factory=dict)

    def is_open(self, job: Known) -> bool:
        """Return whether ``job`` could be claimed if nothing but limits were asked."""
        return job.holder is None and job.stream not in self.shut

    def leased(self) -> list[Known]:
        """Return the leased jobs."""
        return [job for job in self.jobs.values() if job.holder is not None]

    def opens_at(self, job: Known) -> datetime | None:
        """Return when time alone lets ``job`` start (now: at once); None: time does not."""
        moments = [self._admits_at(bucket) for bucket in (*job.asked, *self.whole(job.row.queue))]
        latest = NOON
        for moment in moments:
            if moment is None:
                return None
            latest = max(latest, moment)
        return latest

    def whole(self, queue: str) -> list[str]:
        """Return what is asked for all of ``queue``."""
        ids = [limit.id for limit in self.limits.get(f"queue:{queue}", ()) if not limit.keyed]
        return [f"queue:{queue}", *ids]

    def must(self, queue: str, targets: Iterable[Target]) -> Iterator[Known]:
        """Yield the first job of each lane and priority where it is sure that it can be claimed,
        and every job without a lane: of these, none that is admitted may be left behind."""
        lanes: dict[tuple[tuple[str, ...], int], list[Known]] = defaultdict(list)
        for job in self.jobs.values():
            if job.row.queue != queue or not self.is_open(job):
                continue
            lane = job.row.limits or (f"alone {job.id}",)
            lanes[lane, job.row.priority].append(job)
        for jobs in lanes.values():
            if all((job.row.flow, job.row.step) in targets for job in jobs):
                yield min(jobs, key=lambda job: job.id)

    def start(self, job: Job, queue: str, targets: Iterable[Target], holder: int) -> None:
        """Lease what a store leased, if it may."""
        known = self.jobs[job.id]
        assert known.row.queue == queue
        assert self.is_open(known), "leased, or its run is paused"
        assert (known.row.flow, known.row.step) in targets
        opens = self.opens_at(known)
        assert opens is not None, "a limit or a closure forbids it"
        assert opens <= self.now, "a rate or a closure forbids it for now"
        self._check_order(known, targets)
        known.holder = holder
        for bucket in (*known.asked, *self.whole(queue)):
            limit = self._limit(bucket)
            if limit is not None and limit.per is not None:
                self.starts[bucket].append(self.now)

    def _check_order(self, taken: Known, targets: Iterable[Target]) -> None:
        row = taken.row
        for other in self.jobs.values():
            if (
                row.limits
                and (other.row.queue, other.row.limits, other.row.priority)
                == (row.queue, row.limits, row.priority)
                and self.is_open(other)
                and not other.was_paused
            ):
                assert other.id >= taken.id, "not the first of its lane"
        for other in self.must(row.queue, targets):
            opens = self.opens_at(other)
            if other.row.priority > row.priority:
                assert opens is None or opens > self.now, f"{other} is better"

    def _limit(self, bucket: str) -> Limit | None:
        for limits in self.limits.values():
            for limit in limits:
                if limit.id == bucket.partition("=")[0]:
                    return limit
        return None

    def _admits_at(self, bucket: str) -> datetime | None:
        until = self.closures.get(bucket, NOON)
        if until == NEVER:
            return None
        limit = self._limit(bucket)
        if limit is None:
            return until
        if limit.per is None:
            held = [job for job in self.leased() if self._counts(job, bucket)]
            return until if len(held) < limit.max else None
        per = timedelta(seconds=limit.per)
        counted = sorted(at for at in self.starts[bucket] if at > self.now - per)
        if len(counted) < limit.max:
            return until
        return max(until, counted[len(counted) - limit.max] + per) if limit.max else None

    def _counts(self, job: Known, bucket: str) -> bool:
        return bucket in job.row.limits or bucket in self.whole(job.row.queue)
