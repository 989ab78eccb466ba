"""The machine of the whole engine: it agrees with every store, and finds what is planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from runfold.ports import Batch, Committed, Due, Job, Stalled, Store
from runfold.settings import Settings
from runfold.store import open_store
from runfold.store.memory import MemoryStore
from runfold.testing.machine import SETTINGS, EngineMachine, check_engine

UNSHRUNK = settings(
    SETTINGS, phases=[Phase.generate], max_examples=60, stateful_step_count=30
)  # fmt: skip
RUNS = {"memory": 30, "sqlite": 5, "postgres": 3}


def machine_of(make: Callable[[], Store]) -> type[EngineMachine]:
    """Return the machine over what ``make`` makes."""

    class Made(EngineMachine):
        def new_store(self) -> Store:
            return make()

    return Made


@pytest.fixture(params=RUNS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[], Store]]:
    """The name of a kind of store, and what makes an empty one."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        return "postgres", lambda: open_store(url, Settings(), f"machine {uuid4()}")
    if request.param == "sqlite":
        file = f"sqlite:///{tmp_path}/"
        return "sqlite", lambda: open_store(f"{file}{uuid4()}.db", Settings(), "default")
    return "memory", MemoryStore


def test_the_engine_does_what_the_model_says(stores: tuple[str, Callable[[], Store]]) -> None:
    kind, make = stores
    check_engine(machine_of(make), runs=RUNS[kind])


@pytest.mark.slow
def test_the_engine_does_what_the_model_says_for_long(
    stores: tuple[str, Callable[[], Store]],
) -> None:
    kind, make = stores
    check_engine(machine_of(make), runs=RUNS[kind] * 30, steps=60)


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


PLANTED = (
    LosesDrops, ForgetsLimits, ForgetsPauses, LosesJobs, BelievesAnybody, IgnoresPriorities,
    DeliversTwice, MakesBatchesTwice, FiresNothing, MissesTheDead, IgnoresGates,
)  # fmt: skip


@pytest.mark.parametrize("broken", PLANTED)
def test_a_broken_store_is_found(broken: Callable[[], Store]) -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine_of(broken), settings=UNSHRUNK)
