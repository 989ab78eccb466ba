"""Compensations: what completed is undone, last first, before a run ends badly."""

from __future__ import annotations

import pytest

from runfold.flow.events import (
    FlowCancelRequested,
    FlowDraining,
    FlowFailed,
    StepCompleted,
    StepFailed,
    StepScheduled,
)
from runfold.flow.work import Gate
from runfold.testing.building import flow, step
from runfold.testing.driver import BROKEN, Driver

SAGA = flow(
    step("start", emits="one"),
    step("one", "one", emits="two", compensated=True),
    step("two", "two", emits="three", compensated=True, retry=2),
    step("three", "three"),
)


def failing_saga(**update: object) -> Driver:
    driver = Driver(SAGA.model_copy(update=update))
    driver.do("start", 1, "one")
    driver.do("one", 1, "two", result="first")
    driver.do("two", 1, "three", result="second")
    driver.claim("three")
    return driver


def failed_saga(**update: object) -> Driver:
    driver = failing_saga(**update)
    driver.fail("three", error=BROKEN)
    driver.settle()
    return driver


@pytest.mark.parametrize("failure", ["stop", "finish"])
def test_compensations_run_last_first_one_after_another(failure: str) -> None:
    driver = failed_saga(failure=failure)
    assert list(driver.jobs) == [("two.compensate", 1)]
    assert driver.gate == Gate.COMPENSATING
    assert driver.do("two.compensate") == "second"
    assert driver.do("one.compensate") == "first"
    end = driver.history[-1].event
    assert isinstance(end, FlowFailed)
    assert (end.failed_step, end.error) == ("three", BROKEN)


def test_a_cancelled_run_is_compensated() -> None:
    driver = failing_saga()
    driver.cancel()
    driver.complete("three")
    driver.settle()
    driver.do("two.compensate")
    driver.do("one.compensate")
    assert driver.run.status == "cancelled"


def test_a_completed_run_is_not_compensated() -> None:
    driver = failing_saga()
    driver.complete("three")
    driver.settle()
    assert driver.run.status == "completed"
    assert driver.scheduled("one.compensate") == 0


def test_what_completes_while_it_drains_is_compensated_too() -> None:
    driver = Driver(SAGA)
    driver.do("start", 1, "one")
    driver.claim("one")
    driver.cancel()
    driver.complete("one", 1, "two", result="late")
    driver.settle()
    assert driver.do("one.compensate") == "late"
    assert driver.run.status == "cancelled"


def test_a_compensation_is_retried_like_its_step() -> None:
    driver = failed_saga()
    driver.claim("two.compensate")
    driver.fail("two.compensate")
    driver.settle()
    driver.wait(60)
    assert driver.claim("two.compensate").attempt == 2
    driver.stall("two.compensate")
    driver.settle()
    failure = driver.history[-2].event
    assert (failure.TOPIC, failure.error.code) == ("step.failed", "COMPENSATION_FAILED")
    assert list(driver.jobs) == [("one.compensate", 1)]
    driver.do("one.compensate")
    assert driver.history[-1].event.error == BROKEN


def test_every_activation_has_a_compensation_of_its_own() -> None:
    driver = Driver(flow(step("start", emits="x"), step("a", "x", compensated=True)))
    driver.do("start", 1, "x", "x", "x")
    driver.do("a", 2, result="second")
    driver.do("a", 1, result="first")
    driver.cancel()
    driver.settle()
    assert driver.do("a.compensate", 1) == "first"
    assert driver.do("a.compensate", 2) == "second"
    names = [recorded.event.name for recorded in driver.found(StepScheduled)]
    assert len(set(names)) == len(names)
    assert driver.run.status == "cancelled"


def test_a_compensation_is_decided_under_the_gate_that_was_closed_for_it() -> None:
    driver = failed_saga(failure="stop")
    (first,) = [one for one in driver.decisions if one.gate == Gate.COMPENSATING]
    assert first.gates == 1 << Gate.CLOSED | 1 << Gate.COMPENSATING
    scheduled = driver.found(StepScheduled)[-1]
    (undone,) = [one for one in driver.found(StepCompleted) if one.step == "two"]
    assert (scheduled.step, scheduled.cause) == ("two.compensate", undone.version)


def test_a_drain_names_the_event_that_closed_the_gate() -> None:
    driver = failing_saga()
    driver.cancel()
    (asked,) = driver.found(FlowCancelRequested)
    driver.settle()
    (draining,) = driver.found(FlowDraining)
    assert draining.cause == asked.version
    endless = flow(step("start", emits="x"), step("loop", "x", emits="x"), activations_max=2)
    driver = Driver(endless)
    driver.do("start", 1, "x")
    driver.do("loop", 1, "x")
    (draining,) = driver.found(FlowDraining)
    (last,) = [one for one in driver.found(StepCompleted) if one.step == "loop"]
    assert draining.cause == last.version


def test_a_compensation_that_fails_says_what_failed_and_why() -> None:
    driver = failed_saga()
    driver.claim("two.compensate")
    driver.fail("two.compensate", error=BROKEN)
    driver.settle()
    (failed,) = (one for one in driver.found(StepFailed) if one.step == "two.compensate")
    assert isinstance(failed.event, StepFailed)
    assert failed.event.error.code == "COMPENSATION_FAILED"
    assert failed.event.error.message == "the compensation of step 'two' failed: oops"
