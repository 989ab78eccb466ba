"""Simulation: attempts of handlers in virtual time, without and with faults, per real second."""

from __future__ import annotations

import time

from benchmarks.places import Place
from benchmarks.shapes import Count, four_steps
from runfold.testing import Faults, Simulation

RUNS = 1_000
RUNS_WITH_FAULTS = 20
"""How many runs one simulation with faults has; there are several, each with its own seed."""

NEEDS_NO_DATABASE = True
"""It is measured once, whatever databases there are."""


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return attempts per second of one long simulation, and of many short ones."""
    del place
    runs = max(3, int(RUNS * scale))
    return {
        "simulation": _steps_each_second(1, runs, None),
        "simulation: with faults": _steps_each_second(
            max(1, runs // 100), RUNS_WITH_FAULTS, Faults.default()
        ),
        "simulation: one run": _small(max(3, runs // 10)),
    }


def _steps_each_second(simulations: int, runs: int, faults: Faults | None) -> float:
    flow, steps = four_steps(Count(runs)), 0
    began = time.perf_counter()
    for seed in range(simulations):
        with Simulation(flow, seed=seed, faults=faults) as sim:
            for number in range(runs):
                sim.start(flow, {"number": number})
            sim.run_until_idle()
            steps += len(sim.calls())
    return steps / (time.perf_counter() - began)


def _small(simulations: int) -> float:
    """Return milliseconds for a simulation of one run, from its beginning to its end."""
    flow = four_steps(Count(1))
    began = time.perf_counter()
    for seed in range(simulations):
        with Simulation(flow, seed=seed) as sim:
            run = sim.start(flow, {"number": seed})
            sim.run_until_idle()
            assert run.status == "completed"
    return (time.perf_counter() - began) / simulations * 1000
