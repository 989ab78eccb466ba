"""What holds for every flow and every order of events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold.flow.activation import Activation
from runfold.flow.decide import decide
from runfold.flow.definition import COMPENSATION_SUFFIX, FlowDefinition
from runfold.flow.events import ENDS, StepRetry
from runfold.flow.graph import validate
from runfold.flow.run import Run, evolve, fold, new
from runfold.kernel.event import Recorded
from runfold.testing.driver import Driver, play
from runfold.testing.strategies import broken_histories, definitions, script

MOST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
SEEDS = st.integers(0, 1_000)


def words(run: Run) -> dict[str, Any]:
    """Return everything that a run says about itself."""
    plain = (
        "id", "status", "gate", "version", "position", "created_at", "started_at", "finished_at",
        "result", "error", "failed_step", "reason", "counts", "leased", "fault", "unpaired",
        "pressure", "untaken", "announced", "grace_over", "compensations",
    )  # fmt: skip
    said: dict[str, Any] = {name: getattr(run, name) for name in plain}
    return {
        **said,
        "data": run.values(),
        "due": list(run.due),
        "open": list(run.open),
        "answered": list(run.answered),
        "steps": [_summary(act) for act in run.steps],
    }


def _summary(act: Activation) -> tuple[Any, ...]:
    return (act.step, act.number, act.name, act.status, act.attempt, act.ended_version, act.plan)


@given(broken_histories(), definitions(steps_max=3))
@settings(MOST, max_examples=150)
def test_evolve_and_decide_are_total(history: list[Recorded], definition: FlowDefinition) -> None:
    run = new(definition)
    for recorded in history:
        evolve(run, recorded)
        decide(run)
        assert run.version == recorded.version
    assert words(fold(definition, history)) == words(run)


@given(definitions())
@MOST
def test_generated_definitions_are_valid(definition: FlowDefinition) -> None:
    assert validate(definition) == []
    assert FlowDefinition.model_validate(definition.data()).hash == definition.hash


@given(definitions(), SEEDS, SEEDS)
@MOST
def test_every_run_ends_once_and_nothing_follows(
    definition: FlowDefinition, seed: int, order: int
) -> None:
    driver = play(definition, script(definition, seed), order, chaos=0.2)
    assert [topic for topic in driver.topics() if topic in ENDS] == [driver.topics()[-1]]
    assert not decide(driver.run)
    assert (driver.jobs, driver.leased) == ({}, {})
    assert all(not act.is_open for act in driver.run.steps)


@given(definitions(), SEEDS, SEEDS)
@MOST
def test_deciding_over_what_was_decided_decides_nothing(
    definition: FlowDefinition, seed: int, order: int
) -> None:
    driver = play(definition, script(definition, seed), order)
    state = new(definition)
    for recorded in driver.history:
        evolve(state, recorded)
        assert decide(state) == decide(state)
    names = [act.name for act in driver.run.steps]
    assert len(names) == len(set(names))


@given(definitions(steps_max=4), SEEDS, SEEDS, st.data())
@MOST
def test_the_fold_of_a_prefix_and_the_rest_is_the_fold_of_all(
    definition: FlowDefinition, seed: int, order: int, data: st.DataObject
) -> None:
    history = play(definition, script(definition, seed), order, chaos=0.1).history
    cut = data.draw(st.integers(0, len(history)))
    run = fold(definition, history[:cut])
    for recorded in history[cut:]:
        evolve(run, recorded)
    assert words(run) == words(fold(definition, history))


def told(driver: Driver) -> dict[str, Any]:
    """Return what no interleaving may change."""
    run = driver.run
    ends: dict[str, Any] = {"status": run.status, "fault": bool(run.fault)}
    if run.status == "completed":
        ends |= {
            "result": run.result,
            "data": run.values(),
            "names": driver.names(),
            "untaken": driver.history[-1].event.untaken,  # type: ignore[attr-defined]
            "unfired": driver.history[-1].event.unfired,  # type: ignore[attr-defined]
            "statuses": {act.name: act.status for act in run.steps},
        }
    return ends


@pytest.mark.parametrize("failing", [False, True])
@given(definitions(), SEEDS, st.lists(SEEDS, min_size=3, max_size=3, unique=True))
@MOST
def test_no_interleaving_changes_the_outcome(
    failing: bool, definition: FlowDefinition, seed: int, orders: list[int]
) -> None:
    handlers = script(definition, seed, failing=failing)
    first, *others = (
        told(play(definition, handlers, order, chaos=0.3 * index))
        for index, order in enumerate(orders)
    )
    assert all(other == first for other in others)


@given(definitions(failures=("stop", "finish")), SEEDS, SEEDS, st.integers(0, 40))
@MOST
def test_an_accepted_cancel_always_ends_as_cancelled(
    definition: FlowDefinition, seed: int, order: int, moment: int
) -> None:
    driver = Driver(definition)
    handlers = script(definition, seed)
    accepted = False
    for turn in range(500):
        if driver.ended:
            break
        if turn == moment:
            accepted = driver.cancel()
        if (turn + order) % 3 == 0:
            driver.decide(limit=3)
        elif driver.ready():
            place = driver.ready()[order % len(driver.ready())]
            work = driver.claim(*place)
            outcome = handlers(work)
            if outcome.error is not None:
                driver.fail(*place, error=outcome.error)
            else:
                driver.complete(*place, *outcome.emits)
        if not driver.jobs and not driver.ended:
            driver.decide()
    driver.settle()
    assert driver.ended
    assert (driver.run.status == "cancelled") == accepted
    if accepted:
        asked = driver.topics().index("flow.cancel_requested")
        after = driver.history[asked:]
        # Compensations are tried again; nothing else is.
        retried = {one.step or "" for one in after if isinstance(one.event, StepRetry)}
        assert all(step.endswith(COMPENSATION_SUFFIX) for step in retried)
        assert "flow.completed" not in {one.event.TOPIC for one in after}
