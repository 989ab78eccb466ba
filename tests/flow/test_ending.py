"""The one end of a run: what it is bound to, what it carries, and when the run may leave."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from runfold.flow import events as ev
from runfold.flow.decide import decide
from runfold.flow.definition import FlowDefinition
from runfold.flow.drain import CLOSED
from runfold.flow.ending import duration
from runfold.flow.run import new
from runfold.flow.seal import Chain
from runfold.flow.work import ACCEPTING, Decision, Gate, Ready
from runfold.kernel.event import Draft
from runfold.testing.building import flow, step
from runfold.testing.driver import BROKEN, NOON, Driver

ONE = flow(step("start"), keep=60, keep_failed=600)
SAGA = flow(
    step("start", emits="x y"), step("pay", "x", compensated=True, queue="money"),
    step("ship", "y", queue="road"),
)  # fmt: skip


def over(how: str, definition: FlowDefinition = ONE) -> Driver:
    """Return a run of which only the end is left to be decided."""
    driver = Driver(definition)
    driver.claim("start")
    if how == "completed":
        driver.complete("start")
    else:
        driver.fail("start", error=BROKEN)
        driver.decide()
    return driver


def cancelled(definition: FlowDefinition = ONE) -> Driver:
    driver = Driver(definition)
    driver.cancel("too late")
    driver.decide()
    return driver


WAYS = [
    (lambda: over("completed"), "flow.completed", 60),
    (lambda: over("failed"), "flow.failed", 600),
    (cancelled, "flow.cancelled", 600),
]


@pytest.mark.parametrize(("made", "topic", "keep"), WAYS, ids=[topic for _, topic, _ in WAYS])
def test_an_end_follows_from_the_last_event_and_says_when_the_run_leaves(
    made: Callable[[], Driver], topic: str, keep: float
) -> None:
    driver = made()
    decision = decide(driver.run)
    (end,) = decision.drafts
    assert (end.event.TOPIC, end.cause) == (topic, len(driver.history))
    assert decision.ready == [Ready(draft=0, kind="archive", delay=keep)]


@pytest.mark.parametrize(("made", "topic", "keep"), WAYS, ids=[topic for _, topic, _ in WAYS])
def test_an_end_carries_the_chain_of_all_that_was_before_it(
    made: Callable[[], Driver], topic: str, keep: float
) -> None:
    driver = made()
    driver.run.chain = Chain()
    driver.run.chain.add("topic", b"all of it", None, "start", 1, 1, None)
    (end,) = decide(driver.run).drafts
    assert getattr(end.event, "chain", None) == driver.run.chain.root()
    driver.run.chain = None
    (end,) = decide(driver.run).drafts
    assert getattr(end.event, "chain", "") is None


def test_a_run_that_nothing_sends_away_stays() -> None:
    driver = over("completed", flow(step("start"), keep_failed=600))
    assert decide(driver.run).ready == []
    driver = over("failed", flow(step("start"), keep=60))
    assert decide(driver.run).ready == []


def test_a_history_that_fails_for_no_reason_ends_and_says_no_more() -> None:
    driver = Driver(SAGA)
    compensation = ev.StepScheduled(queue="money", name="pay.compensate~1")
    driver.append([Draft(compensation, "pay.compensate", 1, 1)])
    assert driver.run.gate == Gate.COMPENSATING
    (cancelling, *_) = decide(driver.run).drafts
    assert cancelling.event == ev.StepCancelled(queue="default", reason=None)
    driver.append(
        [Draft(ev.StepCancelled(queue="q"), name, 1, 1) for name in ("start", "pay.compensate")]
    )
    (end,) = decide(driver.run).drafts
    assert isinstance(end.event, ev.FlowFailed)
    assert (end.event.error, end.event.failed_step) == (
        ev.ErrorInfo(type="Error", code="EXECUTION_ERROR", message="the run failed"), None,
    )  # fmt: skip


def test_a_run_lasts_from_when_it_was_due_to_its_last_event() -> None:
    assert duration(new(ONE)) == 0.0
    driver = over("completed")
    assert duration(driver.run) == 0.0
    late = Driver(ONE, ev.FlowStart(run_id="r", flow="flow", definition=ONE.hash, delay=60))
    late.wait(60)
    late.now += timedelta(seconds=1.5)
    late.claim("start")
    late.settle()
    assert duration(late.run) == 1500.0
    unbegun = new(ONE)
    unbegun.updated_at = NOON
    assert duration(unbegun) == 0.0
    late.run.updated_at = NOON
    assert duration(late.run) == 0.0


# Before it.


def shipping() -> Driver:
    driver = Driver(SAGA)
    driver.do("start", 1, "x", "y")
    driver.do("pay", result="paid")
    driver.claim("ship")
    driver.release("ship")
    driver.settle()
    return driver


def test_what_is_cancelled_says_why_and_names_what_closed_the_gate() -> None:
    driver = shipping()
    driver.cancel("too late")
    asked = len(driver.history)
    (cancelled,) = decide(driver.run).drafts
    event = ev.StepCancelled(queue="road", reason="too late")
    assert cancelled == Draft(event, "ship", 1, 1, None, asked)


def test_what_a_failure_cancels_has_its_code_as_the_reason() -> None:
    driver = Driver(SAGA)
    driver.do("start", 1, "x", "y")
    driver.claim("pay")
    driver.fail("pay", error=BROKEN)
    driver.decide()
    (cancelled,) = decide(driver.run).drafts
    event = ev.StepCancelled(queue="road", reason="EXECUTION_ERROR")
    assert cancelled == Draft(event, "ship", 1, 1, None, len(driver.history))


def test_a_compensation_names_what_it_undoes_and_is_its_first_attempt() -> None:
    driver = shipping()
    driver.cancel()
    driver.decide()
    decision = decide(driver.run)
    (undone,) = (one for one in driver.found(ev.StepCompleted) if one.step == "pay")
    (scheduled,) = decision.drafts
    assert isinstance(scheduled.event, ev.StepScheduled)
    result = f"{driver.run.steps[1].name}/result"
    assert (scheduled.event.queue, scheduled.event.input_refs) == ("money", (result,))
    assert scheduled[1:] == ("pay.compensate", 1, 1, None, undone.version)
    assert (decision.gate, decision.gates) == (Gate.COMPENSATING, CLOSED)


def test_a_run_that_breaks_a_rule_leaves_as_much_grace_as_it_is_told() -> None:
    loops = flow(step("start", emits="x"), step("a", "x", emits="x"), activations_max=2)
    driver = Driver(loops)
    driver.do("start", 1, "x")
    driver.claim("a")
    driver.complete("a", 1, "x")
    decision: Decision = decide(driver.run, grace=7)
    (draining,) = decision.drafts
    assert isinstance(draining.event, ev.FlowDraining)
    assert (draining.event.grace, draining.event.failed_step) == (7, "a")
    assert decision.ready == [Ready(draft=0, kind="grace", delay=7)]
    assert (decision.gate, decision.gates) == (Gate.CLOSED, ACCEPTING)
