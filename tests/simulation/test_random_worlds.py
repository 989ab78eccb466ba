"""Any application, whatever is asked of it and whatever goes wrong, keeps every promise."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import lru_cache
from random import Random
from typing import Any

import pytest

from runfold import Concurrency, InvalidInput, MinDelay, RateLimit, RunFinished, Unforkable
from runfold.testing import Faults, SimulatedRun, Simulation
from simulation.invariants import broken
from simulation.soundness import unsound
from simulation.test_faults import EVERYTHING
from simulation.worlds import World

PLANS = (None, Faults.default(), EVERYTHING)
MOVES_MAX = 7
LIMITS: tuple[list[Any], ...] = (
    [], [Concurrency(1)], [Concurrency(3), RateLimit(1, per=2)], [MinDelay(1.5)],
)  # fmt: skip
DONE = {"completed", "failed", "cancelled"}
SHARDS = 6
PLAYS = 9
"""How often an application is played: with each plan of faults and number of processes."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Play:
    """One application in a simulation, and what is asked of it."""

    def __init__(self, sim: Simulation, world: World, processes: int) -> None:
        self.sim, self.world, self.processes = sim, world, processes
        self.dice = Random(f"asked {sim.seed}")
        self.runs: list[SimulatedRun[Any]] = []
        self.asked: list[str] = []

    def move(self) -> None:
        """Ask or break something, and let some time pass or none."""
        moves = [self.start, self.start, self.start_many, self.cancel, self.pause, self.resume,
                 self.again, self.pause_queue, self.resume_queue, self.limit, self.crash,
                 self.freeze, self.end_lease, self.jump, self.restart]  # fmt: skip
        deed: Callable[[], None] = self.dice.choice(moves)
        self.asked.append(deed.__name__)
        deed()
        self.sim.advance(seconds=self.dice.choice([0, 0, 0.3, 1, 4, 20]))

    def start(self) -> None:
        target, given, options = self.world.start()
        self.runs.append(self.sim.start(target, given, **options))

    def start_many(self) -> None:
        inputs = [self.world.input() for _ in range(self.dice.randint(2, 3))]
        self.runs += self.sim.start_many(self.dice.choice(self.world.jobs), inputs)

    def cancel(self) -> None:
        self._ask(SimulatedRun.cancel)

    def pause(self) -> None:
        self._ask(SimulatedRun.pause)

    def resume(self) -> None:
        self._ask(SimulatedRun.resume)

    def again(self) -> None:
        """Begin a run with the past of another."""
        run = self._one()
        if run is not None:
            version = self.dice.randint(1, len(run.events))
            deeds: list[Callable[[], Any]] = [
                run.retry, run.restart, lambda: run.fork(at=version),
                lambda: run.restart(deadline=3.0),
            ]  # fmt: skip
            with contextlib.suppress(Unforkable):
                self.runs.append(self.dice.choice(deeds)())

    def pause_queue(self) -> None:
        until = self.dice.choice([None, self.sim.now + timedelta(seconds=3)])
        key = self.dice.choice([None, None, 1])
        queue = self.dice.choice(["whole", "keyed", "other"])
        with contextlib.suppress(InvalidInput):  # It has no limit with a key.
            self.sim.queues.pause(queue, key=key, until=until)

    def resume_queue(self) -> None:
        for queue in ("whole", "keyed", "other"):
            for key in (None, 1):
                self.sim.queues.resume(queue, key=key)

    def limit(self) -> None:
        self.sim.queues.limit(self.dice.choice(["whole", "other"]), self.dice.choice(LIMITS))

    def crash(self) -> None:
        if self._spares(0):
            self.sim.crash(self._process(), restart_after=self.dice.choice([0.1, 5, 40]))

    def freeze(self) -> None:
        if self._spares(1):
            self.sim.freeze(self._process(), seconds=self.dice.choice([0.5, 10, 50]))

    def end_lease(self) -> None:
        if self._spares(1):
            self.sim.end_lease(self._process())

    def jump(self) -> None:
        self.sim.jump_clock(self.dice.choice([-60, -1, 2, 300]))

    def restart(self) -> None:
        if self._spares(0):
            self.sim.restart(after=self.dice.choice([0.1, 5]))

    def finish(self) -> None:
        """Undo what holds anything back; everything ends."""
        self.resume_queue()
        for run in self.runs:
            if run.status == "paused":
                run.resume()
        self.sim.advance(days=1)
        self.sim.run_until_idle()

    def _ask(self, what: Callable[[SimulatedRun[Any]], None]) -> None:
        run = self._one()
        if run is not None:
            with contextlib.suppress(RunFinished):
                what(run)

    def _one(self) -> SimulatedRun[Any] | None:
        return self.dice.choice(self.runs) if self.runs else None

    def _process(self) -> int:
        return self.dice.randint(1, self.processes)

    def _spares(self, more: int) -> bool:
        return not self.sim._world.all_spared(more)


@lru_cache(maxsize=1)
def world_of(seed: int) -> World:
    """Return a world that is played more than once: to make one costs as much as to play it."""
    return World(seed)


def play(seed: int) -> list[str]:
    """Play the application of ``seed``; return what was wrong, with what was asked before."""
    world = world_of(seed // PLAYS)
    world.begin(seed)
    processes, plan = 1 + seed % 3, PLANS[seed // 3 % 3]
    with Simulation(world.flow, *world.queues, seed=seed, faults=plan, processes=processes) as sim:
        playing = Play(sim, world, processes)
        playing.start()
        for _ in range(playing.dice.randint(2, MOVES_MAX)):
            playing.move()
        found = unsound(sim)
        playing.finish()
        found += unsound(sim)
        for run in playing.runs:
            found += [f"run {run.id}: {what}" for what in broken(run)]
        found += [f"run {run.id} is {run.status}" for run in playing.runs if run.status not in DONE]
        return [f"{found} after {playing.asked}"] if found else []


def faults_of(seeds: range) -> dict[int, list[str]]:
    """Return what was wrong, by seed."""
    return {seed: found for seed in seeds if (found := play(seed))}


@pytest.mark.parametrize("shard", range(SHARDS))
def test_an_application_keeps_every_promise(shard: int) -> None:
    assert faults_of(range(shard * 200, shard * 200 + 200)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_an_application_keeps_every_promise_under_many_seeds(shard: int) -> None:
    assert faults_of(range(10_000 + shard * 5000, 10_000 + shard * 5000 + 5000)) == {}
