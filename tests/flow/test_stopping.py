"""What stops a run: it stands alone, leaves time, and says in full what has happened."""

from __future__ import annotations

from datetime import timedelta

from runfold.flow import events as ev
from runfold.flow.decide import decide
from runfold.testing.building import flow, step
from runfold.testing.driver import BROKEN, NOON, Driver

THREE = flow(
    step("start", emits="x"), step("a", "x"), step("b", "x", retry=1), step("c", "x")
)  # fmt: skip


def test_what_was_answered_after_a_failure_that_stops_the_run_is_not_tried_again() -> None:
    driver = Driver(THREE)
    driver.do("start", 1, "x")
    for name in "abc":
        driver.claim(name)
    driver.release("a")
    driver.fail("b", error=BROKEN)
    driver.fail("c")
    first = decide(driver.run)
    assert [(draft.event.TOPIC, draft.step) for draft in first.drafts] == [("step.retry", "a")]
    driver.settle()
    assert [one.step for one in driver.found(ev.StepRetry)] == ["a"]
    assert [one.step for one in driver.found(ev.StepCancelled)] == ["a", "c"]


def test_a_failure_names_what_it_follows() -> None:
    driver = Driver(flow(step("start")))
    driver.claim("start")
    driver.fail("start", error=BROKEN)
    driver.settle()
    (errored,), (failed,) = driver.found(ev.StepErrored), driver.found(ev.StepFailed)
    assert failed.cause == errored.version
    assert (failed.step, failed.activation, failed.attempt) == ("start", 1, 1)


def test_a_rule_that_is_broken_leaves_what_executes_its_time() -> None:
    loops = flow(step("start", emits="x y"), step("a", "x", emits="x"), step("b", "y"),
                 activations_max=3)  # fmt: skip
    driver = Driver(loops)
    driver.do("start", 1, "x", "y")
    driver.claim("b")
    driver.now += timedelta(seconds=10)
    driver.do("a", 1, "x")
    assert driver.run.status == "failing"
    assert [(due, row.kind) for due, row in driver.timers] == [
        (NOON + timedelta(seconds=40), "grace")
    ]
    (draining,) = driver.found(ev.FlowDraining)
    assert isinstance(draining.event, ev.FlowDraining)
    assert draining.event.failed_step == "a"
    assert draining.event.error == ev.ErrorInfo(
        type="ActivationsExceeded",
        code="ACTIVATIONS_EXCEEDED",
        message="the run has had 3 activations, as many as its flow allows, and 'a' is due again; "
        "break the loop, or raise activations_max",
        retryable=False,
        details={"step": "a"},
    )
