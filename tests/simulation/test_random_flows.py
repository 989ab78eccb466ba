"""Any flow, under anything that may go wrong, ends as the pure driver says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from runfold import RunFinished
from runfold.flow.definition import FlowDefinition
from runfold.testing import Faults, SimulatedRun, Simulation
from runfold.testing.driver import Script
from runfold.testing.strategies import definitions, faults, script
from simulation.compiled import by_input, expected, flow_of, outcome, patient
from simulation.invariants import broken
from simulation.test_faults import EVERYTHING

FEW = settings(
    max_examples=50, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
)  # fmt: skip
MANY = settings(FEW, max_examples=4000, derandomize=False, phases=[Phase.explicit, Phase.generate])
SEEDS = st.integers(0, 2**32 - 1)
PLANS = st.just(EVERYTHING) | faults()
ASKS = st.sampled_from(["", "", "pause", "cancel"])


def check(definition: FlowDefinition, handlers: Script, plan: Faults, seed: int, asks: str) -> None:
    """Run it twice side by side; it ends as it should, and its history is whole."""
    definition = patient(definition)
    wanted = expected(definition, handlers)
    flow = flow_of(definition, handlers)
    with Simulation(flow, seed=seed, faults=plan, processes=1 + seed % 3) as sim:
        runs = [sim.start(flow) for _ in range(2)]
        if asks:
            sim.advance(seconds=(seed % 30) / 10)
            taken = [run for run in runs if _ask(run, asks)]
            sim.advance(seconds=60)
            for run in taken if asks == "pause" else ():
                _ask(run, "resume")
        sim.run_until_idle()
        for run in runs:
            assert broken(run) == [], sim.faults
            found = outcome(run)
            if asks == "cancel" and found == {"status": "cancelled"}:
                continue
            assert found == wanted, sim.faults


def _ask(run: SimulatedRun[Any], what: str) -> bool:
    try:
        getattr(run, what)()
    except RunFinished:
        return False
    return True


@given(definitions(steps_max=5), SEEDS, PLANS, SEEDS, ASKS, st.booleans())
@FEW
def test_a_flow_ends_as_the_driver_says(
    definition: FlowDefinition, doings: int, plan: Faults, seed: int, asks: str, failing: bool
) -> None:
    check(definition, by_input(script(definition, doings, failing=failing)), plan, seed, asks)


@pytest.mark.slow
@given(definitions(steps_max=8), SEEDS, PLANS, SEEDS, ASKS, st.booleans())
@MANY
def test_a_flow_ends_as_the_driver_says_under_many_seeds(
    definition: FlowDefinition, doings: int, plan: Faults, seed: int, asks: str, failing: bool
) -> None:
    check(definition, by_input(script(definition, doings, failing=failing)), plan, seed, asks)
