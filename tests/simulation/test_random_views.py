"""The built-in views, kept by processes that crash, freeze and lose answers, are what folds are."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from runfold.projections.views import BUILT_IN
from runfold.runtime.view_build import ViewBuild
from runfold.store.codec import JsonCodec
from runfold.store.memory import MemoryStore
from runfold.testing import Simulation
from runfold.testing.simulation import process
from simulation import test_random_worlds as worlds
from simulation.test_random_worlds import quiet

__all__ = ["quiet"]

SEEDS, MANY_SEEDS = range(1, 100, 3), range(3001, 6000, 3)
"""Those with two processes: one alone looks at nothing without a ring, and rings are lost."""


pytestmark = pytest.mark.usefixtures("projectors")


@pytest.fixture
def projectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every simulated process keep the views, and look at them at the end of each play."""
    monkeypatch.setattr(process, "Work", partial(process.Work, projections=BUILT_IN))
    monkeypatch.setattr(worlds, "unsound", lambda sim: asyncio.run(wrong_views(sim)))


async def wrong_views(sim: Simulation) -> list[str]:
    """Return which views are not what a fold of the log would be, once time has passed."""
    sim.advance(seconds=300)  # Whoever kept a view and died has lost it by now.
    store, head = MemoryStore(database=sim._database, clock=sim._clock), sim._view.head
    found = [
        f"{part.at.name} is at {part.position} of {head}"
        for part in await store.views.parts()
        if part.position < head
    ]
    for projection in BUILT_IN:
        build = ViewBuild(
            store, store.views, JsonCodec(), sim._clock, projection, token=9, lease=3600
        )
        if not (await build.verify()).is_equal:
            found.append(f"{projection.name} is not what a fold of the log is")
    return found


def test_views_are_what_the_log_says() -> None:
    assert worlds.faults_of(SEEDS) == {}


@pytest.mark.slow
def test_views_are_what_the_log_says_under_many_seeds() -> None:
    assert worlds.faults_of(MANY_SEEDS) == {}
