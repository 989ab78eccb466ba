"""Stores with one error each, which the machine of the whole engine must find."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from runfold.ports import Batch, Committed, Due, Job, Stalled
from runfold.store.memory import MemoryStore
from runfold.store.memory_rebuild import MemoryRebuilding


def is_key(bucket: str) -> bool:
    """Whether this is what is closed by pausing one key of a queue."""
    return "=" in bucket and "#" not in bucket


class Altered(MemoryStore):
    """A store that does something else with what is committed."""

    def item(self, item: Any) -> Any:
        return item

    async def commit(self, batch: Batch) -> Committed:
        items = [self.item(item) for item in batch.items]
        return await super().commit(replace(batch, items=items))


class LosesDrops(Altered):
    """Leaves the rows of what is over."""

    def item(self, item: Any) -> Any:
        return replace(item, drops=(), clears=False)


class ForgetsLimits(Altered):
    """Never has a limit."""

    def item(self, item: Any) -> Any:
        return replace(item, limits=())


class ForgetsPauses(Altered):
    """Never closes a queue."""

    def item(self, item: Any) -> Any:
        return replace(item, closures=())


class LosesJobs(Altered):
    """Loses the job of every retry."""

    def item(self, item: Any) -> Any:
        return replace(item, rows=[row for row in item.rows if row.attempt == 1])


class BelievesAnybody(Altered):
    """Records the answer of who has a job no longer."""

    def item(self, item: Any) -> Any:
        return replace(item, lease=None)


class IgnoresPriorities(Altered):
    """Serves who came first."""

    def item(self, item: Any) -> Any:
        return replace(item, rows=[row._replace(priority=5) for row in item.rows])


class DeliversTwice(MemoryStore):
    """Gives a leased job to whoever asks next as well."""

    _given: Sequence[Job] = ()

    async def commit(self, batch: Batch) -> Committed:
        done = await super().commit(batch)
        if not batch.claims:
            return done
        again, self._given = self._given, done.jobs
        return replace(done, jobs=[*done.jobs, *again][: batch.claims[0].limit])


class MakesBatchesTwice(MemoryStore):
    """Does not remember what it has committed."""

    async def commit(self, batch: Batch) -> Committed:
        self._log.batches.clear()
        return await super().commit(batch)


class FiresNothing(MemoryStore):
    """Has no timer that is ever due."""

    async def due(self, limit: int, *, now: datetime | None = None) -> list[Due]:
        return []


class MissesTheDead(MemoryStore):
    """Never tells whose holder is gone."""

    async def stalled(self, limit: int, *, now: datetime | None = None) -> list[Stalled]:
        return []


class IgnoresGates(MemoryStore):
    """Gives jobs of paused runs away."""

    async def commit(self, batch: Batch) -> Committed:
        done = await super().commit(batch)
        for stream in self._log.streams:
            self._log.set_gate(stream, 0, len(self._log.events) + 1)
        return done


class ForgetsDeadlines(Altered):
    """Has no timers for deadlines."""

    def item(self, item: Any) -> Any:
        return replace(item, rows=[row for row in item.rows if row.kind != "deadline"])


class ForgetsUsers(Altered):
    """Counts nobody's jobs for a limit with a key."""

    def item(self, item: Any) -> Any:
        return replace(item, rows=[row._replace(limits=(), key=None) for row in item.rows])


class HurriesForks(Altered):
    """Has what was put off for a moment, as forks and retries do, begin at once."""

    def item(self, item: Any) -> Any:
        return replace(
            item,
            rows=[
                row._replace(due_at=None, delay=0) if row.due_at and row.step else row
                for row in item.rows
            ],
        )


class ChargesForks(Altered):
    """Counts the attempt that a fork has given back."""

    def item(self, item: Any) -> Any:
        is_fork = item.id is not None and "step.released" in [one.topic for one in item.events]
        rows = [row._replace(attempt=row.attempt + is_fork) for row in item.rows]
        return replace(item, rows=rows)


class ServesTheLast(MemoryStore):
    """Has who comes last go before all others of the same priority."""

    async def commit(self, batch: Batch) -> Committed:
        done = await super().commit(batch)
        for ready in self._log.queues.ready.values():
            jobs = [self._log.jobs[id] for _, _, id in ready]
            for job in jobs:
                if not job.row.limits:
                    job.place = 10**9 - job.id
                    job.key = (-job.row.priority, job.place, job.id)
            ready[:] = sorted(job.key for job in jobs)
        return done


class ForgetsWhoHasWhat(MemoryStore):
    """Does not know, when it is opened again, who leases a job."""

    async def open(self, *, migrate: bool = False) -> None:
        await super().open(migrate=migrate)
        for job in self._log.jobs.values():
            job.token = None


class ForgetsTheTime(MemoryStore):
    """Has no timers any more when it is opened again."""

    async def open(self, *, migrate: bool = False) -> None:
        await super().open(migrate=migrate)
        self._log.agenda.clear()


class ForgetsKeyPauses(Altered):
    """Never closes a single key."""

    def item(self, item: Any) -> Any:
        return replace(item, closures=[one for one in item.closures if not is_key(one.bucket)])


class IgnoresKeyPauses(MemoryStore):
    """Tells which keys are paused, and gives their jobs away."""

    async def commit(self, batch: Batch) -> Committed:
        if not batch.claims:
            return await super().commit(batch)
        closures = self._log.limits.closures
        hidden = {bucket: until for bucket, until in closures.items() if is_key(bucket)}
        for bucket in hidden:
            del closures[bucket]
        done = await super().commit(batch)
        closures.update(hidden)
        return done


class SleepsWhenKeysAreResumed(Altered):
    """Opens a key, and wakes nobody who waits for it."""

    def item(self, item: Any) -> Any:
        opened = [one for one in item.closures if is_key(one.bucket) and one.until is None]
        for one in opened:
            self._log.limits.close(one)
        return replace(item, closures=[one for one in item.closures if one not in opened])


class KeepsTheFirstEnd(Altered):
    """Closes a key for less than before, and tells nobody who waits for it."""

    def item(self, item: Any) -> Any:
        known = self._log.limits.closures
        again = [one for one in item.closures if is_key(one.bucket) and one.bucket in known]
        sooner = [one for one in again if one.until is not None]
        for one in sooner:
            self._log.limits.close(one)
        return replace(item, closures=[one for one in item.closures if one not in sooner])


class MissesTheEndOfKeyPauses(MemoryStore):
    """Does not notice when the pause of a key is over."""

    async def commit(self, batch: Batch) -> Committed:
        for alarms in self._log.queues.alarms.values():
            for bucket in [bucket for bucket in alarms if is_key(bucket)]:
                del alarms[bucket]
        return await super().commit(batch)


class Rebuilt(MemoryStore):
    """A store that has something else after a rebuild."""

    @asynccontextmanager
    async def rebuild(self, *, now: datetime | None = None) -> AsyncIterator[MemoryRebuilding]:
        async with super().rebuild(now=now) as rebuilding:
            yield rebuilding
        self.forget()

    def forget(self) -> None:
        raise NotImplementedError


class RebuildsNoKeyPauses(Rebuilt):
    """Has every key open."""

    def forget(self) -> None:
        for bucket in [one for one in self._log.limits.closures if is_key(one)]:
            del self._log.limits.closures[bucket]


class ForgetsChanges(Altered):
    """Leaves the times of what is put off as they were."""

    def item(self, item: Any) -> Any:
        return replace(item, changes=())


class PutsOffNoDeadlines(Altered):
    """Leaves the deadline of what is put off as it was."""

    def item(self, item: Any) -> Any:
        works = {**self._log.jobs, **self._log.timers}
        kept = [one for one in item.changes if works[one.id].row.kind != "deadline"]
        return replace(item, changes=kept)


PLANTED = (
    LosesDrops, ForgetsLimits, ForgetsPauses, LosesJobs, BelievesAnybody, IgnoresPriorities,
    DeliversTwice, MakesBatchesTwice, FiresNothing, MissesTheDead, IgnoresGates, ForgetsDeadlines,
    ForgetsUsers, HurriesForks, ChargesForks, ServesTheLast, ForgetsWhoHasWhat, ForgetsTheTime,
    ForgetsKeyPauses, IgnoresKeyPauses, SleepsWhenKeysAreResumed, KeepsTheFirstEnd,
    MissesTheEndOfKeyPauses, RebuildsNoKeyPauses, ForgetsChanges, PutsOffNoDeadlines,
)  # fmt: skip
