"""How a run begins, and what its state says about it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runfold.flow.definition import StepDefinition
from runfold.flow.events import FlowStart, State, StepProgress
from runfold.flow.start import creation
from runfold.kernel.event import Draft
from runfold.testing.building import flow, step
from runfold.testing.driver import NOON, Driver

ONE = flow(step("start", queue="cpu"))


def start(**more: object) -> FlowStart:
    return FlowStart(run_id="r", flow="flow", definition=ONE.hash, **more)


def test_a_start_and_its_first_job_are_one_commit() -> None:
    drafts, rows = creation(start(), ONE)
    assert [draft.event.TOPIC for draft in drafts] == ["flow.start", "step.scheduled"]
    assert (drafts[1].step, drafts[1].activation, drafts[1].attempt) == ("start", 1, 1)
    assert [(row.draft, row.kind, row.queue, row.priority) for row in rows] == [(1, None, "cpu", 5)]
    assert [row.inputs for row in rows] == [["one", 1, None]]


def test_a_delayed_start_waits_among_the_timers() -> None:
    _, rows = creation(start(delay=60.0), ONE)
    assert [(row.draft, row.kind, row.delay) for row in rows] == [(1, "start", 60.0)]


def test_a_start_at_a_moment_waits_for_it() -> None:
    moment = NOON + timedelta(hours=1)
    drafts, rows = creation(start(due_at=moment), ONE)
    assert [(row.kind, row.due_at) for row in rows] == [("start", moment)]
    assert drafts[1].event.run_at == moment


def test_a_delay_of_nothing_is_ready_at_once() -> None:
    _, rows = creation(start(delay=0.0), ONE)
    assert rows[0].kind is None


@pytest.mark.parametrize(
    ("more", "delay", "due_at"),
    [
        ({"deadline": 5.0}, 5.0, None),
        ({"deadline": 5.0, "delay": 60.0}, 65.0, None),
        ({"deadline": 5.0, "due_at": NOON}, None, NOON + timedelta(seconds=5)),
        ({"deadline": NOON}, None, NOON),
    ],
)
def test_a_deadline_is_a_timer_of_the_start(more: dict, delay: object, due_at: object) -> None:
    _, rows = creation(start(**more), ONE)
    assert (rows[-1].draft, rows[-1].kind) == (0, "deadline")
    assert (rows[-1].delay, rows[-1].due_at) == (delay, due_at)


def priority(of_step: int | None, of_start: int | None, *more: StepDefinition) -> int:
    definition = flow(step("start", priority=of_step, emits="x"), *more)
    return creation(start(priority=of_start), definition)[1][0].priority


@pytest.mark.parametrize(
    ("of_step", "of_start", "expected"), [(9, 2, 9), (None, 2, 2), (9, None, 9), (None, None, 5)]
)
def test_the_priority_of_a_step_goes_before_that_of_its_run(
    of_step: int | None, of_start: int | None, expected: int
) -> None:
    assert priority(of_step, of_start, step("next", "x")) == expected


@pytest.mark.parametrize(
    ("of_step", "of_start", "expected"), [(9, 2, 2), (None, 2, 2), (9, None, 9), (None, None, 5)]
)
def test_the_priority_of_a_start_goes_before_that_of_its_job(
    of_step: int | None, of_start: int | None, expected: int
) -> None:
    assert priority(of_step, of_start) == expected


def test_a_run_is_scheduled_until_it_is_due() -> None:
    driver = Driver(ONE, start(delay=60.0, tags=("a",), key="k", input=1))
    run = driver.run
    assert (run.status, run.due_at) == ("scheduled", NOON + timedelta(seconds=60))
    assert (run.tags, run.key, run.input) == (("a",), "k", 1)
    driver.wait(60)
    assert run.status == "running"
    driver.now += timedelta(seconds=5)
    driver.do("start")
    assert (run.created_at, run.started_at) == (NOON, NOON + timedelta(seconds=65))
    assert driver.history[-1].event.duration == 5000


def test_progress_is_the_last_that_was_said() -> None:
    driver = Driver(ONE)
    driver.claim("start")
    for percent in (25.0, 50.0):
        driver.append(
            [Draft(StepProgress(queue="cpu", percent=percent, message="m"), "start", 1, 1)]
        )
    assert driver.run.progress is not None
    assert (driver.run.progress.percent, driver.run.progress.message) == (50.0, "m")


def changed(*states: State) -> Driver:
    driver = Driver(flow(step("start", emits="x"), step("next", "x")))
    driver.do("start", 1, "x", states=states)
    return driver


def test_state_is_set_and_deleted() -> None:
    driver = changed(
        State(operation="set", key="a", value=1),
        State(operation="set", key="b", value=2),
        State(operation="delete", key="b"),
    )
    assert driver.run.values() == {"a": 1}


def test_state_adds_and_appends() -> None:
    listed = [1]
    driver = changed(
        State(operation="add", key="n", value=2),
        State(operation="add", key="n", value=3),
        State(operation="set", key="list", value=listed),
        State(operation="append", key="list", value=2),
        State(operation="append", key="list", value=3),
        State(operation="append", key="new", value="x"),
    )
    assert driver.run.values() == {"n": 5, "list": [1, 2, 3], "new": ["x"]}
    assert listed == [1]


@pytest.mark.parametrize("odd", [None, "text", True, {"a": 1}, [1]])
def test_adding_to_no_number_starts_from_0(odd: object) -> None:
    driver = changed(
        State(operation="set", key="n", value=odd), State(operation="add", key="n", value=4)
    )
    assert driver.run.values() == {"n": 4}


def test_a_value_expires_after_its_ttl() -> None:
    driver = changed(State(operation="set", key="a", value=1, ttl=10))
    assert driver.run.values(NOON + timedelta(seconds=9)) == {"a": 1}
    assert driver.run.values(NOON + timedelta(seconds=10)) == {}


def test_an_expired_value_is_not_added_to() -> None:
    driver = changed(State(operation="set", key="n", value=1, ttl=10))
    driver.now += timedelta(seconds=11)
    driver.claim("next")
    driver.complete("next", states=[State(operation="add", key="n", value=5)])
    assert driver.run.values() == {"n": 5}


@pytest.mark.parametrize(
    ("cleanup", "left"), [("never", {"a": 1}), ("immediate", {}), ("on-complete", {})]
)
def test_state_is_cleaned_up_at_the_end(cleanup: str, left: dict[str, int]) -> None:
    driver = Driver(flow(step("start"), state_cleanup=cleanup))
    driver.do("start", states=[State(operation="set", key="a", value=1)])
    assert driver.run.values() == left


def test_state_may_stay_for_a_while_after_the_end() -> None:
    driver = Driver(flow(step("start"), state_cleanup=60.0))
    driver.do("start", states=[State(operation="set", key="a", value=1)])
    assert driver.run.values(NOON + timedelta(seconds=59)) == {"a": 1}
    assert driver.run.values(NOON + timedelta(seconds=61)) == {}
