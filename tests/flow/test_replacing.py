"""Another input for a run that has not begun: what stays in its place, what is made anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flow.branching import LATER, TWO_SIDES
from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition, LimitDefinition
from runfold.flow.fork import descend, fork
from runfold.flow.replacing import Replacement, is_replaceable, replacement
from runfold.flow.run import Run, evolve, new
from runfold.flow.start import told
from runfold.flow.working import Placed, Working
from runfold.testing.building import flow, step
from runfold.testing.driver import NOON, Driver

BY_USER = flow(step("start", limits=(LimitDefinition(kind="concurrency", max=1, key="user"),)))


def begun(definition: FlowDefinition, **said: Any) -> Driver:
    start = ev.FlowStart(run_id="r", flow="flow", definition=definition.hash, **said)
    return Driver(definition, start)


def folded(driver: Driver) -> tuple[Run, list[Placed]]:
    run, working = new(driver.definition), Working()
    for recorded in driver.history:
        evolve(run, recorded)
        working.see(recorded)
    return run, working.rows(run)


def replaced(driver: Driver, input: Any, delay: float | None = None) -> tuple[Run, Replacement]:
    run, placed = folded(driver)
    return run, replacement(run, placed, input, delay)


def test_a_queued_run_keeps_its_job_with_another_input() -> None:
    driver = begun(TWO_SIDES, input=1)
    run, found = replaced(driver, 2)
    assert found.draft.event == ev.FlowInputReplaced(input=2)
    ((place, row),) = found.changed
    assert (place, row.step, row.activation, row.inputs, row.kind, row.delay) == (
        2, "start", 1, ["of", 3, ["one", 3, None]], None, None,
    )  # fmt: skip
    assert (found.ready, found.drops) == ([], [])
    assert (run.input, run.input_version, run.version, run.updated_at) == (2, 3, 3, NOON)


def test_what_is_replaced_is_folded_as_it_will_be_recorded() -> None:
    driver = begun(BY_USER, input={"user": "zoe"})
    run, found = replaced(driver, {"user": "ann"})
    driver.append([found.draft])
    again = driver.refolded()
    for said in ("input", "input_version", "version", "updated_at", "stream", "status"):
        assert getattr(run, said) == getattr(again, said), said
    assert run.stream == 1


def test_a_job_that_other_limits_admit_is_queued_anew_at_once() -> None:
    driver = begun(BY_USER, input={"user": "zoe"})
    _, found = replaced(driver, {"user": "ann"})
    assert found.draft.event == ev.FlowInputReplaced(input={"user": "ann"}, requeued=True)
    (row,) = found.ready
    assert (row.draft, row.key, row.limits, row.due_at, row.kind) == (
        0, "ann", ("step:flow/start#1:user=ann",), None, None,
    )  # fmt: skip
    assert (found.changed, found.drops) == ([], [("start", 1)])


@pytest.mark.parametrize(("delay", "due_at"), [(None, NOON + timedelta(seconds=60)), (30.0, None)])
def test_a_timer_that_is_made_anew_keeps_its_moment_unless_another_is_said(
    delay: float | None, due_at: Any
) -> None:
    driver = begun(BY_USER, input={"user": "zoe"}, delay=60.0)
    driver.now += timedelta(seconds=10)
    _, found = replaced(driver, {"user": "ann"}, delay)
    (row,) = found.ready
    assert (row.kind, row.key, row.due_at, row.delay) == ("start", "ann", due_at, delay)
    assert found.drops == [("start", 1)]


def test_a_scheduled_run_keeps_its_timer_or_is_put_off() -> None:
    driver = begun(TWO_SIDES, delay=60.0)
    for delay in (None, 90.0):
        run, found = replaced(driver, 2, delay)
        ((place, row),) = found.changed
        assert (place, row.kind, row.delay) == (2, "start", delay)
        assert run.due_at == NOON + timedelta(seconds=delay or 60)


def test_a_job_that_is_put_off_leaves_its_queue() -> None:
    _, found = replaced(begun(TWO_SIDES), 2, 30.0)
    (row,) = found.ready
    assert (row.kind, row.due_at, row.delay) == ("start", None, 30.0)
    assert (found.changed, found.drops) == ([], [("start", 1)])


@pytest.mark.parametrize(
    ("of_flow", "of_start", "delay"),
    [(100.0, None, 130.0), (100.0, 7.0, 37.0), (None, 7.0, 37.0), (None, None, None),
     (100.0, LATER, None)],
)  # fmt: skip
def test_a_deadline_in_seconds_counts_from_when_the_run_is_due_now(
    of_flow: float | None, of_start: Any, delay: float | None
) -> None:
    driver = begun(flow(step("start"), deadline=of_flow), deadline=of_start)
    _, found = replaced(driver, 2, 30.0)
    timers = [(place, row.kind, row.due_at, row.delay) for place, row in found.changed]
    assert timers == ([] if delay is None else [(1, "deadline", None, delay)])
    _, found = replaced(driver, 2)
    assert [row.kind for _, row in found.changed] == [None], "only the job has another input"


def test_a_deadline_of_a_run_that_was_due_at_a_moment_counts_from_the_new_time() -> None:
    driver = begun(flow(step("start"), deadline=100.0), due_at=LATER)
    assert [due for due, row in driver.timers if row.kind == "deadline"] == [
        LATER + timedelta(seconds=100)
    ]
    _, found = replaced(driver, 2, 30.0)
    assert [(row.kind, row.due_at, row.delay) for _, row in found.changed] == [
        ("start", None, 30.0), ("deadline", None, 130.0),
    ]  # fmt: skip


def test_a_deadline_and_a_timer_that_stays_are_both_put_off() -> None:
    driver = begun(flow(step("start"), deadline=100.0), delay=60.0)
    _, found = replaced(driver, 2, 30.0)
    assert [(row.kind, row.delay) for _, row in found.changed] == [
        ("start", 30.0), ("deadline", 130.0),
    ]  # fmt: skip


def test_only_what_waits_for_its_first_attempt_can_be_replaced() -> None:
    driver = begun(TWO_SIDES)
    assert is_replaceable(driver.run)
    driver.pause()
    assert is_replaceable(folded(driver)[0])
    driver.resume()
    driver.claim("start")
    assert not is_replaceable(driver.run)
    driver.release("start")
    driver.settle()
    assert driver.ready() == [("start", 1)]
    assert not is_replaceable(driver.run), "an attempt has begun"
    cancelled = begun(TWO_SIDES)
    cancelled.cancel()
    assert not is_replaceable(folded(cancelled)[0])
    assert not is_replaceable(new(TWO_SIDES)), "it has not been started"


def test_a_fork_of_what_was_due_and_then_put_off_waits_for_its_new_time() -> None:
    driver = begun(TWO_SIDES, delay=10.0)
    driver.wait(10.0)
    assert driver.topics()[-1] == "timer.due"
    driver.replace(2, 30.0)
    past = told(driver.history)
    drafts, (row,) = fork(past, descend(past[0], TWO_SIDES, now=driver.now), TWO_SIDES, {})
    assert (row.kind, row.due_at) == ("start", driver.now + timedelta(seconds=30))
    assert [draft.event.TOPIC for draft in drafts] == ["flow.start", "step.scheduled"]


@pytest.mark.parametrize(
    ("said", "is_put_off"),
    [({}, False), ({"delay": 5.0}, True), ({"delay": 0.0}, True), ({"due_at": NOON}, True)],
    ids=["no time", "a delay", "no delay", "a moment"],
)
def test_only_a_new_time_undoes_that_the_old_one_had_come(
    said: dict[str, Any], is_put_off: bool
) -> None:
    driver = begun(TWO_SIDES, delay=10.0)
    driver.wait(10.0)
    last = driver.history[-1]
    replaced = ev.FlowInputReplaced(input=2, **said)
    past = told([*driver.history, last._replace(version=last.version + 1, event=replaced)])
    assert ("timer.due" not in {one.event.TOPIC for one in past}) == is_put_off
