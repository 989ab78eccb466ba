"""Failing, cancelling and draining: one end, and everything in order before it."""

from __future__ import annotations

import pytest

from runfold.flow.decide import decide
from runfold.flow.events import FlowDraining, FlowFailed, FlowStart, StepCancelled
from runfold.flow.work import Gate
from runfold.testing.building import after, failed, flow, step
from runfold.testing.driver import BROKEN, Driver

TWO = flow(step("start", emits="go"), step("a", "go"), step("b", "go"), step("c", after("b")))


def leased(definition: object = TWO, *names: str) -> Driver:
    driver = Driver(definition)  # type: ignore[arg-type]
    driver.do("start", 1, "go")
    for name in names or ("a", "b"):
        driver.claim(name)
    return driver


def broken(driver: Driver, name: str = "a") -> Driver:
    driver.fail(name, error=BROKEN)
    driver.settle()
    return driver


def test_an_unhandled_failure_stops_the_run_and_names_the_step() -> None:
    driver = broken(leased())
    assert driver.run.status == "failing"
    assert driver.gate == Gate.CLOSED
    driver.complete("b", result=1)
    driver.settle()
    end = driver.history[-1].event
    assert isinstance(end, FlowFailed)
    assert (end.failed_step, end.error) == ("a", BROKEN)
    assert driver.scheduled("c") == 0


def test_what_completes_while_it_drains_stays_completed() -> None:
    driver = broken(leased())
    driver.complete("b")
    driver.settle()
    assert [act.status for act in driver.run.steps] == ["completed", "failed", "completed"]


def test_what_errs_while_it_drains_is_cancelled_and_never_retried() -> None:
    driver = broken(leased())
    driver.fail("b")
    driver.settle()
    assert driver.topics()[-3:] == ["step.errored", "step.cancelled", "flow.failed"]


@pytest.mark.parametrize("way", ["stall", "release"])
def test_what_is_lost_while_it_drains_is_cancelled(way: str) -> None:
    driver = broken(leased())
    getattr(driver, way)("b")
    driver.settle()
    assert driver.run.status == "failed"
    assert "step.retry" not in driver.topics()


def test_what_is_queued_never_runs() -> None:
    driver = broken(leased(TWO, "a"))
    assert driver.topics()[-3:] == ["step.failed", "step.cancelled", "flow.failed"]
    assert driver.jobs == {}


def test_finish_lets_the_others_go_on_and_then_fails() -> None:
    driver = broken(leased(TWO.model_copy(update={"failure": "finish"})))
    driver.complete("b")
    driver.settle()
    assert driver.scheduled("c") == 1
    driver.do("c")
    end = driver.history[-1].event
    assert isinstance(end, FlowFailed)
    assert end.failed_step == "a"


def test_ignore_lets_the_run_complete() -> None:
    driver = broken(leased(TWO.model_copy(update={"failure": "ignore"})))
    driver.complete("b")
    driver.settle()
    driver.do("c", 1, result="c")
    assert driver.run.status == "completed"
    assert driver.run.result == {"c": "c"}


HANDLED = flow(
    step("start", emits="go"), step("a", "go"), step("mend", failed("a"), emits="go"), step("z")
    .model_copy(update={"subscription": step("", after("mend")).subscription}),
)  # fmt: skip


def test_a_handled_failure_does_not_fail_the_run() -> None:
    driver = broken(leased(HANDLED, "a"))
    driver.do("mend")
    driver.do("z")
    assert driver.run.status == "completed"


def test_a_failing_handler_is_unhandled() -> None:
    driver = broken(leased(HANDLED, "a"))
    driver.claim("mend")
    broken(driver, "mend")
    assert driver.run.status == "failed"
    assert driver.run.failed_step == "mend"


# Cancel --------------------------------------------------------------------------------------


def test_a_cancelled_run_ends_once_its_attempts_have() -> None:
    driver = leased(TWO, "a")
    assert driver.cancel("no longer needed")
    assert driver.run.status == "cancelling"
    driver.settle()
    assert driver.run.status == "cancelling"
    driver.complete("a")
    driver.settle()
    end = driver.history[-1].event
    assert (end.TOPIC, end.reason) == ("flow.cancelled", "no longer needed")


def test_cancel_of_a_run_that_drains_or_has_ended_is_refused() -> None:
    driver = leased()
    assert driver.cancel()
    before = len(driver.history)
    assert not driver.cancel()
    assert len(driver.history) == before


def test_a_queued_run_is_cancelled_without_ever_running() -> None:
    driver = Driver(TWO)
    driver.cancel()
    driver.settle()
    assert driver.topics()[2:] == ["flow.cancel_requested", "step.cancelled", "flow.cancelled"]


def test_an_attempt_that_fails_after_the_cancel_is_not_retried() -> None:
    driver = leased(TWO, "a")
    driver.cancel()
    driver.fail("a")
    driver.settle()
    assert "step.retry" not in driver.topics()
    assert driver.topics().count("flow.cancelled") == 1


def test_a_retry_that_waits_for_its_time_is_dropped() -> None:
    driver = leased(TWO, "a", "b")
    driver.complete("b")
    driver.fail("a")
    driver.settle()
    assert driver.timers
    driver.cancel()
    driver.settle()
    driver.complete("c") if driver.leased else None
    assert driver.timers == []
    assert driver.run.status == "cancelled"


def test_an_attempt_undecided_when_the_cancel_comes_is_cancelled() -> None:
    driver = leased(TWO, "a", "b")
    driver.complete("b")
    driver.fail("a", error=BROKEN)
    driver.cancel()
    driver.settle()
    assert driver.run.status == "cancelled"
    assert "step.failed" not in driver.topics()


def test_grace_starts_once_and_only_for_what_is_leased() -> None:
    driver = leased()
    driver.cancel()
    driver.settle()
    driver.settle()
    assert [row.kind for _, row in driver.timers] == ["grace"]
    assert len(driver.found(FlowDraining)) == 1


def test_after_grace_the_leases_are_taken() -> None:
    driver = leased()
    driver.cancel()
    driver.settle()
    driver.wait(30)
    driver.settle()
    assert driver.leased == {}
    assert len(driver.found(StepCancelled)) == 2
    assert driver.run.status == "cancelled"


def test_nothing_leased_needs_no_grace() -> None:
    driver = Driver(TWO)
    driver.do("start", 1, "go")
    driver.cancel()
    driver.settle()
    assert driver.found(FlowDraining) == []
    assert driver.timers == []


def test_a_large_drain_goes_in_bounded_batches() -> None:
    driver = Driver(flow(step("start", emits="go"), step("a", "go")))
    driver.do("start", 1, *["go"] * 25)
    driver.cancel()
    driver.settle(limit=10)
    assert [len(decision.drafts) for decision in driver.decisions[-4:]] == [10, 10, 5, 1]


# Deadline ------------------------------------------------------------------------------------

LATE = TWO.model_copy(update={"deadline": 60.0})


def test_a_run_that_is_too_late_fails() -> None:
    driver = leased(LATE, "a")
    driver.wait(60)
    driver.settle()
    assert driver.run.status == "failing"
    driver.complete("a")
    driver.settle()
    end = driver.history[-1].event
    assert isinstance(end, FlowFailed)
    assert end.error.code == "DEADLINE_EXCEEDED"


def test_a_deadline_does_not_turn_a_cancelled_run_into_a_failed_one() -> None:
    driver = leased(LATE)
    driver.cancel()
    driver.wait(60)
    driver.settle()
    driver.wait(30)
    driver.settle()
    assert driver.run.status == "cancelled"


def test_a_run_that_ended_has_no_deadline() -> None:
    driver = Driver(flow(step("start"), deadline=60))
    driver.do("start")
    driver.wait(60)
    assert driver.run.status == "completed"


# Pause ---------------------------------------------------------------------------------------


def test_decisions_go_on_while_the_run_is_paused() -> None:
    driver = leased(TWO, "b")
    driver.pause()
    assert driver.run.status == "paused"
    driver.complete("b")
    driver.settle()
    assert driver.scheduled("c") == 1
    assert driver.ready() == []
    driver.resume()
    assert driver.run.status == "running"
    assert ("c", 1) in driver.ready()


def test_a_paused_run_can_be_cancelled() -> None:
    driver = leased(TWO, "a")
    driver.pause()
    assert driver.cancel()
    driver.complete("a")
    driver.settle()
    assert driver.run.status == "cancelled"


def test_a_paused_run_in_which_all_is_done_completes() -> None:
    driver = Driver(flow(step("start")))
    driver.claim("start")
    driver.pause()
    driver.complete("start")
    driver.settle()
    assert driver.run.status == "completed"


# Bounds --------------------------------------------------------------------------------------


def test_an_endless_loop_ends_at_activations_max() -> None:
    driver = Driver(flow(step("start", emits="x"), step("a", "x", emits="x"), activations_max=5))
    driver.do("start", 1, "x")
    for number in (1, 2, 3, 4):
        driver.do("a", number, "x")
    end = driver.history[-1].event
    assert isinstance(end, FlowFailed)
    assert (end.error.code, end.failed_step) == ("ACTIVATIONS_EXCEEDED", "a")
    assert driver.scheduled("a") == 4


def test_the_limit_on_activations_admits_what_fits() -> None:
    driver = Driver(flow(step("start", emits="x"), step("a", "x"), activations_max=3))
    driver.do("start", 1, "x", "x", "x")
    assert driver.scheduled("a") == 2
    assert driver.run.status == "failed"


def test_what_was_answered_goes_before_a_limit_on_activations() -> None:
    looped = flow(
        step("start", emits="x y"), step("a", "x", emits="x"), step("b", "y", retry=2),
        activations_max=3,
    )  # fmt: skip
    driver = Driver(looped)
    driver.do("start", 1, "x", "y")
    driver.claim("a")
    driver.claim("b")
    driver.stall("b")
    driver.complete("a", 1, "x")
    first = driver.decide()
    assert [draft.event.TOPIC for draft in first.drafts] == ["step.retry"]
    second = driver.decide()
    assert [draft.event.TOPIC for draft in second.drafts] == ["flow.draining"]


def test_a_decision_is_of_five_hundred_unless_it_is_told_otherwise() -> None:
    driver = Driver(flow(step("start", emits="x"), step("a", "x")))
    driver.decide()
    driver.claim("start")
    driver.complete("start", 1, *["x"] * 501)
    assert len(decide(driver.run).drafts) == 500
    assert len(decide(driver.run, limit=501).drafts) == 501


def test_an_end_expects_the_version_that_was_seen() -> None:
    driver = Driver(flow(step("start")))
    driver.do("start")
    assert driver.decisions[-1].expected_version == len(driver.history) - 1
    assert len(driver.decisions[-1].drafts) == 1


def test_a_run_may_be_cancelled_before_it_was_due() -> None:
    driver = Driver(TWO, FlowStart(run_id="r", flow="f", definition="h", delay=60.0))
    driver.cancel()
    driver.settle()
    assert driver.timers == []
    assert driver.run.status == "cancelled"
