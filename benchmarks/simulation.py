"""Simulation: attempts of handlers in virtual time, without and with faults, per real second."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.places import Place
from benchmarks.shapes import Count, four_steps
from runfold.testing import Faults, Simulation

RUNS = 1_000
STEPS = 4

NEEDS_NO_DATABASE = True
"""It is measured once, whatever databases there are."""


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return attempts per second of one long simulation, and of many short ones."""
    del place
    runs = max(3, int(RUNS * scale))
    return {
        "simulation": _steps_each_second(runs, None),
        "simulation: with faults": _steps_each_second(runs, Faults.default()),
        "simulation: one run": _small(max(3, runs // 10)),
    }


def _steps_each_second(runs: int, faults: Any) -> float:
    flow = four_steps(Count(runs))
    with Simulation(flow, faults=faults) as sim:
        began = time.perf_counter()
        for number in range(runs):
            sim.start(flow, {"number": number})
        sim.run_until_idle()
        took = time.perf_counter() - began
        return len(sim.calls()) / took


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
