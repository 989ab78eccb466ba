"""What is folded of histories that no engine would write: remembered as far as it makes sense."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition
from runfold.flow.run import Run, evolve, new
from runfold.flow.seal import erased
from runfold.flow.work import Gate
from runfold.kernel.event import Draft, Recorded
from runfold.testing.building import after, collect, each, failed, flow, step
from runfold.testing.driver import BROKEN, NOON, Driver

THREE = flow(
    step("start", emits="x"), step("a", "x", emits="y", compensated=True), step("sum", collect("y"))
)  # fmt: skip


def scheduled(name: str = "odd") -> ev.StepScheduled:
    return ev.StepScheduled(queue="default", name=name)


def folded(*drafts: Draft, definition: FlowDefinition = THREE, **said: object) -> Run:
    """Return a run that has begun, after these."""
    run = new(definition)
    start = ev.FlowStart(run_id="r", flow="flow", definition=definition.hash, **said)
    for number, draft in enumerate([Draft(start), *drafts], start=1):
        evolve(run, Recorded(number, 1, number, NOON + timedelta(seconds=number), *draft))
    return run


# What a start and a schedule say.


def test_a_run_has_what_its_start_says() -> None:
    run = folded(
        input=[1], tags=("a",), key="k", priority=3, deadline=9.0, retry={"max_attempts": 2},
        timeout=4.0, parent_run_id="p", delay=60.0,
    )  # fmt: skip
    assert (run.input, run.tags, run.key, run.priority) == ([1], ("a",), "k", 3)
    assert (run.deadline, run.retry, run.timeout, run.parent) == (
        9.0, {"max_attempts": 2}, 4.0, "p",
    )  # fmt: skip
    assert (run.delay, run.waits) == (60.0, True)
    assert run.due_at == NOON + timedelta(seconds=61)
    assert run.created_at == run.began_at == NOON + timedelta(seconds=1)


def test_a_run_is_erased_when_its_start_is() -> None:
    start = ev.FlowStart(run_id="r", flow="flow", definition=THREE.hash)
    for state, is_erased in ((erased(b"0" * 32, b"{}"), True), (b"{}", False), (None, False)):
        run = new(THREE)
        evolve(run, Recorded(1, 1, 1, NOON, start, state=state))
        assert run.erased is is_erased


@pytest.mark.parametrize("step", ["a", "strange", "a.compensate"])
def test_what_no_attempt_of_a_step_emitted_leads_to_nothing(step: str) -> None:
    emitted = Draft(ev.Emit(name="y", payload=1), step, 1, 1)
    assert folded(emitted).collected == {}
    assert folded(Draft(scheduled(), "a.compensate", 1, 1), emitted).collected == {}


def test_only_the_first_start_counts() -> None:
    again = ev.FlowStart(run_id="other", flow="flow", definition=THREE.hash, input=2)
    assert folded(Draft(again), input=1).input == 1


def test_an_activation_is_at_the_attempt_and_version_of_its_schedule() -> None:
    run = folded(Draft(scheduled("one"), "a", 1, 3), Draft(scheduled("two"), "a", 2))
    one, two = run.steps
    assert (one.name, one.attempt, one.version, one.compensates) == ("one", 3, 2, False)
    assert (two.name, two.attempt, two.version, two.number) == ("two", 1, 3, 2)


@pytest.mark.parametrize("place", [("a", None), (None, 1), (None, None), ("strange", 1)])
def test_a_schedule_of_nothing_changes_nothing(place: tuple[str | None, int | None]) -> None:
    run = folded(Draft(scheduled(), *place))
    assert (run.steps, run.open, run.counts, run.activations) == ([], {}, {}, 0)


def test_the_next_number_of_a_step_is_above_all_that_it_had() -> None:
    run = folded(Draft(scheduled("b"), "a", 3), Draft(scheduled("c"), "a", 2))
    assert run.counts == {"a": 3}


def test_an_activation_that_nothing_asked_for_is_waited_for() -> None:
    def waiting(*drafts: Draft) -> int:
        return folded(*drafts).pressure[2]

    assert waiting(Draft(scheduled(), "a", 1)) == waiting() + 1
    assert waiting(Draft(scheduled(), "a.compensate", 1)) == waiting()


# Another input.


def test_a_moment_goes_before_a_span() -> None:
    later = NOON + timedelta(hours=1)
    replaced = ev.FlowInputReplaced(input=2, due_at=later, delay=5.0)
    run = folded(Draft(scheduled("start"), "start", 1, 1), Draft(replaced))
    assert (run.due_at, run.delay, run.waits) == (later, 5.0, True)


def test_a_flow_without_entry_has_no_input_to_replace() -> None:
    run = folded(
        Draft(ev.FlowInputReplaced(input=2)), definition=flow(step("a", each("x"))), input=1
    )
    assert (run.input, run.input_version) == (1, 1)


# What attempts leave.


def two_claimed() -> Driver:
    driver = Driver(flow(step("start", emits="x"), step("a", "x"), step("b", after("a"))))
    driver.do("start", 1, "x", "x")
    driver.claim("a", 1)
    driver.claim("a", 2)
    return driver


@pytest.mark.parametrize("way", ["complete", "fail", "stall", "release"])
def test_what_executes_is_counted_until_it_is_answered(way: str) -> None:
    driver = two_claimed()
    assert driver.run.leased == 2
    getattr(driver, way)("a", 1)
    assert driver.run.leased == 1
    getattr(driver, way)("a", 2)
    assert driver.run.leased == 0


def test_an_activation_has_begun_with_its_first_attempt() -> None:
    driver = two_claimed()
    driver.now += timedelta(seconds=5)
    driver.release("a", 1)
    driver.settle()
    driver.claim("a", 1)
    (act,) = (act for act in driver.run.steps if (act.step, act.number) == ("a", 1))
    assert (act.started_at, driver.run.started_at) == (NOON, NOON)
    assert (act.status, act.waits, driver.run.waits) == ("running", False, False)


def test_what_is_decided_about_an_activation_is_the_last_that_is_known_of_it() -> None:
    driver = two_claimed()
    driver.fail("a", 1)
    (act,) = (act for act in driver.run.steps if (act.step, act.number) == ("a", 1))
    assert (act.version, act.answer) == (len(driver.history), "errored")
    assert act.status == "retrying"
    driver.decide()
    assert (act.version, act.answer) == (len(driver.history), None)
    assert driver.run.answered == {}


def test_an_attempt_begins_once() -> None:
    driver = two_claimed()
    again = Draft(ev.StepStarted(queue="default", worker="other"), "a", 1, 1)
    driver.append([again])
    assert driver.run.leased == 2
    driver.stall("a", 1)
    driver.append([again])
    assert driver.run.leased == 1
    assert driver.run.open["a", 1].status == "retrying"


@pytest.mark.parametrize("number", [1, 7])
def test_what_was_not_answered_is_not_tried_again(number: int) -> None:
    driver = two_claimed()
    retry = ev.StepRetry(queue="default", next_attempt=2, delay=0, reason="errored")
    driver.append([Draft(retry, "a", number, 1)])
    assert {act.attempt for act in driver.run.open.values()} == {1}
    assert driver.run.leased == 2


def test_what_is_given_behind_a_closed_gate_leads_to_nothing() -> None:
    driver = Driver(
        flow(step("start", emits="x"), step("a", "x"), step("b", after("start"), returns=True))
    )
    driver.claim("start")
    driver.cancel()
    driver.complete("start", 1, "x")
    assert driver.run.due == {}


def test_a_collect_behind_a_closed_gate_waits_for_nothing_and_never_runs() -> None:
    driver = Driver(
        flow(step("start", emits="x"), step("a", "x", emits="y", compensated=True),
             step("b", "x", emits="y", retry=1), step("sum", collect("y")))
    )  # fmt: skip
    driver.do("start", 1, "x")
    driver.do("a", 1, "y")
    driver.claim("b")
    driver.fail("b")
    driver.settle()
    assert (driver.run.gate, driver.run.due) == (Gate.COMPENSATING, {})
    driver.claim("a.compensate")
    driver.complete("a.compensate")
    assert driver.run.due == {}
    driver.settle()
    assert driver.topics()[-1] == "flow.failed"


def test_what_failed_behind_a_closed_gate_asks_nobody_for_help() -> None:
    graph = flow(step("start", emits="x"), step("a", "x", compensated=True), step("b", "x"),
                 step("mend", failed("a")))  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "x", "x")
    driver.do("a", 1)
    driver.claim("a", 2)
    driver.cancel()
    failed_late = ev.StepFailed(queue="default", error=BROKEN, attempts=1)
    driver.append([Draft(failed_late, "a", 2, 1)])
    assert (driver.run.due, driver.run.error) == ({}, None)
    driver.settle()
    assert driver.run.gate == Gate.COMPENSATING
    driver.claim("a.compensate")
    driver.fail("a.compensate", error=BROKEN)
    driver.settle()
    assert driver.run.status == "cancelled"


def test_what_takes_a_failure_is_caused_by_it() -> None:
    driver = Driver(flow(step("start"), step("mend", failed("start"))))
    driver.claim("start")
    driver.fail("start", error=BROKEN)
    driver.settle()
    scheduled = driver.found(ev.StepScheduled)[-1]
    assert isinstance(scheduled.event, ev.StepScheduled)
    assert (scheduled.step, scheduled.event.input_refs) == ("mend", ("start/failed",))


def test_the_least_delay_is_waited_for() -> None:
    driver = Driver(flow(step("start", retry=2)))
    driver.claim("start")
    driver.fail("start", retry_after=0.0005)
    driver.settle()
    (act,) = driver.run.steps
    assert (act.status, act.waits) == ("retrying", True)


def test_progress_says_who_made_it_and_when() -> None:
    said = ev.StepProgress(queue="cpu", percent=5.0, message="m", details={"n": 1})
    run = folded(Draft(scheduled(), "a", 7, 1), Draft(said, "a", 7, 2))
    assert run.progress == (5.0, "m", {"n": 1}, "a", 7, 2, NOON + timedelta(seconds=3))
    assert folded(Draft(said, "a")).progress == (
        5.0, "m", {"n": 1}, "a", 1, 1, NOON + timedelta(seconds=2),
    )  # fmt: skip


# How it ends.


def test_a_run_that_fails_already_is_not_cancelled() -> None:
    late = Draft(ev.FlowCancelRequested(reason="late"))
    for event in (ev.FlowDraining(), ev.TimerDue(kind="deadline")):
        run = folded(Draft(event), late)
        assert (run.status, run.cancelling, run.reason) == ("failing", False, None)
        assert run.closed_version == 2


def test_a_run_that_was_cancelled_keeps_the_reason_and_the_moment() -> None:
    run = folded(Draft(ev.FlowCancelled(reason="enough", duration=1)))
    assert (run.status, run.reason) == ("cancelled", "enough")
    assert run.finished_at == run.updated_at == NOON + timedelta(seconds=2)


def test_what_waits_for_its_time_waits_no_more_when_it_has_come() -> None:
    driver = Driver(THREE, ev.FlowStart(run_id="r", flow="flow", definition=THREE.hash, delay=60))
    (act,) = driver.run.steps
    assert (act.waits, driver.run.waits) == (True, True)
    driver.wait(60)
    assert (act.waits, driver.run.waits) == (False, False)
    assert driver.run.began_at == NOON + timedelta(seconds=60)
