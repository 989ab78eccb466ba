"""Flows under everything that may go wrong end as they do when nothing goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runfold import RunFinished
from runfold.testing import SimulatedRun, Simulation
from simulation.flows import FLOWS
from simulation.invariants import broken, outcome
from simulation.test_faults import EVERYTHING

Runs = list[SimulatedRun[Any]]
Meddling = Callable[[Simulation, Runs, int], None]
SEEDS, MANY_SEEDS = range(1, 6), range(100, 200)
INPUT = 3


def nothing(sim: Simulation, runs: Runs, seed: int) -> None:
    del sim, runs, seed


def ask(runs: Runs, request: Callable[[SimulatedRun[Any]], None]) -> Runs:
    """Return the runs that took the request; the others had ended, or were ending."""
    taken = []
    for run in runs:
        try:
            request(run)
            taken.append(run)
        except RunFinished:
            assert run.state.finished_at is not None or run.status == "failing"
    return taken


def cancel(sim: Simulation, runs: Runs, seed: int) -> None:
    sim.advance(seconds=(seed % 40) / 8)
    for run in ask(runs, SimulatedRun.cancel):
        assert run.status in {"cancelling", "cancelled"}


def pause(sim: Simulation, runs: Runs, seed: int) -> None:
    sim.advance(seconds=(seed % 40) / 8)
    paused = ask(runs, SimulatedRun.pause)
    sim.advance(seconds=100)
    ask(paused, SimulatedRun.resume)  # What ran when it was paused may have ended the run.


def play(name: str, seed: int, meddle: Meddling = nothing, **options: Any) -> list[Any]:
    """Return the outcomes of two runs; what must always hold has held."""
    flow = FLOWS[name]()
    with Simulation(flow, seed=seed, **options) as sim:
        runs = [sim.start(flow, INPUT) for _ in range(2)]
        meddle(sim, runs, seed)
        sim.run_until_idle()
        assert [broken(run) for run in runs] == [[], []], sim.faults
        return [outcome(run) for run in runs]


def expected(name: str) -> Any:
    (first, second) = play(name, 0)
    assert first == second
    return first


def check(name: str, seed: int) -> None:
    plain = expected(name)
    for meddle in (nothing, pause):
        outcomes = play(name, seed, meddle, faults=EVERYTHING, processes=1 + seed % 3)
        assert outcomes == [plain, plain], meddle.__name__
    for found in play(name, seed, cancel, faults=EVERYTHING, processes=1 + seed % 3):
        assert found[0] == "cancelled" or found == plain


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_ends_as_without_faults(name: str, seed: int) -> None:
    check(name, seed)


@pytest.mark.parametrize(
    ("name", "seed"),
    [("chain", 18), ("chain", 100), ("compensated", 110), ("fan", 10), ("fan", 303)],
)
def test_what_was_found_stays_found(name: str, seed: int) -> None:
    check(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", MANY_SEEDS)
@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_ends_as_without_faults_under_many_seeds(name: str, seed: int) -> None:
    check(name, seed)


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_order_and_processes_change_no_outcome(name: str, processes: int) -> None:
    plain = expected(name)
    for seed in range(1, 6):
        assert play(name, seed, processes=processes) == [plain, plain]
