"""Stores with one error each about rates, limits of steps, or who was told to slow down."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from runfold.ports import Batch, Committed
from runfold.store.memory import MemoryStore
from testing.planted import Altered, Rebuilt


def is_step(bucket: str) -> bool:
    """Whether this is a limit of a step."""
    return bucket.startswith("step:")


def is_held(bucket: str) -> bool:
    """Whether this is what is closed by being told to slow down."""
    return "#" in bucket


class ForgetsStarts(MemoryStore):
    """Counts nothing for a rate."""

    async def commit(self, batch: Batch) -> Committed:
        self._log.limits.starts.clear()
        return await super().commit(batch)


class CountsForEver(MemoryStore):
    """Has windows that never end."""

    async def commit(self, batch: Batch) -> Committed:
        done = await super().commit(batch)
        for starts in self._log.limits.starts.values():
            starts[:] = [(at + timedelta(days=1), over + timedelta(days=1)) for at, over in starts]
        return done


class CountsTooShort(MemoryStore):
    """Has windows that end a second too soon."""

    async def commit(self, batch: Batch) -> Committed:
        count = {bucket: len(starts) for bucket, starts in self._log.limits.starts.items()}
        done = await super().commit(batch)
        early = timedelta(seconds=-1)
        for bucket, starts in self._log.limits.starts.items():
            new = starts[count.get(bucket, 0) :]
            starts[len(starts) - len(new) :] = [(at + early, over + early) for at, over in new]
        return done


class CountsUsersTogether(MemoryStore):
    """Has one rate for all users of a queue."""

    async def commit(self, batch: Batch) -> Committed:
        starts = self._log.limits.starts
        of_users = [bucket for bucket in starts if "=" in bucket]
        together = sorted({start for bucket in of_users for start in starts[bucket]})
        for bucket in {*of_users, *(f"queue:mail#1:user={user}" for user in ("ann", "null"))}:
            starts[bucket] = together
        return await super().commit(batch)


class ForgetsStartsWhenOpened(MemoryStore):
    """Does not know, when it is opened again, how many were started."""

    async def open(self, *, migrate: bool = False) -> None:
        await super().open(migrate=migrate)
        self._log.limits.starts.clear()


class RebuildsNoStarts(Rebuilt):
    """Counts anew for each rate."""

    def forget(self) -> None:
        self._log.limits.starts.clear()


class ForgetsStepLimits(Altered):
    """Never has a limit of a step."""

    def item(self, item: Any) -> Any:
        return replace(item, limits=[one for one in item.limits if not is_step(one[0])])


class KeepsTheFirstStepLimits(Altered):
    """Takes no other limits for a step than those that it has."""

    def item(self, item: Any) -> Any:
        known = self._log.limits.scopes
        new = [(scope, of) for scope, of in item.limits if not (is_step(scope) and scope in known)]
        return replace(item, limits=new)


class RetriesWithoutLimits(Altered):
    """Asks no limit of a step about an attempt after the first."""

    def item(self, item: Any) -> Any:
        rows = [row if row.attempt == 1 else self._without(row) for row in item.rows]
        return replace(item, rows=rows)

    def _without(self, row: Any) -> Any:
        return row._replace(limits=tuple(one for one in row.limits if not is_step(one)))


class CountsStepsTwice(MemoryStore):
    """Counts each start of a step as two."""

    async def commit(self, batch: Batch) -> Committed:
        starts = self._log.limits.starts
        count = {bucket: len(of) for bucket, of in starts.items()}
        done = await super().commit(batch)
        if not done.repeated:
            for bucket in filter(is_step, starts):
                if len(starts[bucket]) > count.get(bucket, 0):
                    starts[bucket].append(starts[bucket][-1])
        return done


class NeverHolds(Altered):
    """Goes on where a handler was told to slow down."""

    def item(self, item: Any) -> Any:
        return replace(item, holds=None)


class HoldsTooLong(Altered):
    """Holds a second longer than was asked for."""

    def item(self, item: Any) -> Any:
        if item.holds is None:
            return item
        more = timedelta(seconds=1) if isinstance(item.holds, datetime) else 1.0
        return replace(item, holds=item.holds + more)


class HoldsAsTheLastSaid(Altered):
    """Forgets who was told to slow down for longer."""

    def item(self, item: Any) -> Any:
        if item.holds is not None and item.lease is not None:
            row = self._log.jobs[item.lease[0]].row
            limits = self._log.limits
            for bucket in (*row.limits, *(one.id for one in limits.whole(row.queue))):
                limits.closures.pop(bucket, None)
        return item


class ForgetsHoldsWhenOpened(MemoryStore):
    """Does not know, when it is opened again, who was told to slow down."""

    async def open(self, *, migrate: bool = False) -> None:
        await super().open(migrate=migrate)
        for bucket in [one for one in self._log.limits.closures if is_held(one)]:
            del self._log.limits.closures[bucket]


class RebuildsNoHolds(Rebuilt):
    """Has open whatever was told to slow down."""

    def forget(self) -> None:
        for bucket in [one for one in self._log.limits.closures if is_held(one)]:
            del self._log.limits.closures[bucket]


class RebuildsNoStartsOfSteps(Rebuilt):
    """Counts anew for each rate of a step."""

    def forget(self) -> None:
        for bucket in [one for one in self._log.limits.starts if is_step(one)]:
            del self._log.limits.starts[bucket]


PLANTED_LIMITS = (
    ForgetsStarts, CountsForEver, CountsTooShort, CountsUsersTogether, ForgetsStartsWhenOpened,
    RebuildsNoStarts, ForgetsStepLimits, KeepsTheFirstStepLimits, RetriesWithoutLimits,
    CountsStepsTwice, RebuildsNoStartsOfSteps, NeverHolds, HoldsTooLong, HoldsAsTheLastSaid,
    ForgetsHoldsWhenOpened, RebuildsNoHolds,
)  # fmt: skip
