"""The machine of the whole engine: it agrees with every store, and finds what is planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from runfold.ports import Batch, Committed, Due, Job, Stalled, Store
from runfold.settings import Settings
from runfold.store import open_store
from runfold.store.memory import MemoryStore
from runfold.store.memory_log import Database
from runfold.testing.machine import SETTINGS, EngineMachine, check_engine

FEW = settings(SETTINGS, phases=[Phase.generate], max_examples=8, stateful_step_count=30)
"""A few plays: those after them are often much like one before."""
SEEDS_MAX = 50
"""From so many beginnings: each error that is planted is found from one of the first few."""
RUNS = {"memory": 30, "sqlite": 5, "postgres": 3}
Opens = Callable[[str], Store]
"""Returns the store of a name, not open: the same, with all that it has, for the same name."""


def machine_of(opens: Opens) -> type[EngineMachine]:
    """Return the machine over what ``opens`` opens."""

    class Made(EngineMachine):
        def new_store(self) -> Store:
            self.name = f"machine {uuid4()}"
            return opens(self.name)

        def same_store(self, store: Store) -> Store:
            return opens(self.name)

    return Made


def in_memory(kind: type[MemoryStore] = MemoryStore) -> Opens:
    """Return what opens stores of ``kind``, each object anew over what is stored."""
    databases: dict[str, Database] = {}
    return lambda name: kind(database=databases.setdefault(name, Database()))


@pytest.fixture(params=RUNS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Opens]:
    """The name of a kind of store, and what opens one."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        return "postgres", lambda name: open_store(url, Settings(), name)
    if request.param == "sqlite":
        file = f"sqlite:///{tmp_path}/"
        return "sqlite", lambda name: open_store(f"{file}{name}.db", Settings(), "default")
    return "memory", in_memory()


def test_the_engine_does_what_the_model_says(stores: tuple[str, Opens]) -> None:
    kind, opens = stores
    check_engine(machine_of(opens), runs=RUNS[kind])


@pytest.mark.slow
def test_the_engine_does_what_the_model_says_for_long(stores: tuple[str, Opens]) -> None:
    kind, opens = stores
    check_engine(machine_of(opens), runs=RUNS[kind] * 30, steps=60)


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
        return item._replace(drops=(), clears=False)


class ForgetsLimits(Altered):
    """Never has a limit."""

    def item(self, item: Any) -> Any:
        return item._replace(limits=())


class ForgetsPauses(Altered):
    """Never closes a queue."""

    def item(self, item: Any) -> Any:
        return item._replace(closures=())


class LosesJobs(Altered):
    """Loses the job of every retry."""

    def item(self, item: Any) -> Any:
        return item._replace(rows=[row for row in item.rows if row.attempt == 1])


class BelievesAnybody(Altered):
    """Records the answer of who has a job no longer."""

    def item(self, item: Any) -> Any:
        return item._replace(lease=None)


class IgnoresPriorities(Altered):
    """Serves who came first."""

    def item(self, item: Any) -> Any:
        return item._replace(rows=[row._replace(priority=5) for row in item.rows])


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
        return item._replace(rows=[row for row in item.rows if row.kind != "deadline"])


class ForgetsUsers(Altered):
    """Counts nobody's jobs for a limit with a key."""

    def item(self, item: Any) -> Any:
        return item._replace(rows=[row._replace(limits=(), key=None) for row in item.rows])


class HurriesForks(Altered):
    """Has what was put off for a moment, as forks and retries do, begin at once."""

    def item(self, item: Any) -> Any:
        return item._replace(
            rows=[
                row._replace(due_at=None, delay=0) if row.due_at and row.step else row
                for row in item.rows
            ]
        )


class ChargesForks(Altered):
    """Counts the attempt that a fork has given back."""

    def item(self, item: Any) -> Any:
        is_fork = item.id is not None and "step.released" in [one.topic for one in item.events]
        rows = [row._replace(attempt=row.attempt + is_fork) for row in item.rows]
        return item._replace(rows=rows)


class ServesTheLast(MemoryStore):
    """Has who comes last go before all others of the same priority."""

    async def commit(self, batch: Batch) -> Committed:
        done = await super().commit(batch)
        for ready in self._log.queues.ready.values():
            jobs = [self._log.jobs[id] for _, _, id in ready]
            for job in jobs:
                if not job.row.limits:
                    job.place = 10**9 - job.id
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


PLANTED = (
    LosesDrops, ForgetsLimits, ForgetsPauses, LosesJobs, BelievesAnybody, IgnoresPriorities,
    DeliversTwice, MakesBatchesTwice, FiresNothing, MissesTheDead, IgnoresGates, ForgetsDeadlines,
    ForgetsUsers, HurriesForks, ChargesForks, ServesTheLast, ForgetsWhoHasWhat, ForgetsTheTime,
)  # fmt: skip


def play_from_many(machine: type[EngineMachine]) -> None:
    for number in range(SEEDS_MAX):
        run_state_machine_as_test(seed(number)(machine), settings=FEW)


@pytest.mark.parametrize("broken", PLANTED)
def test_a_broken_store_is_found(broken: type[MemoryStore]) -> None:
    with pytest.raises(AssertionError):
        play_from_many(machine_of(in_memory(broken)))
