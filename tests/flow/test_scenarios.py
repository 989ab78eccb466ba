"""The facts that this field asks of any engine, told without a store."""

from __future__ import annotations

import random

import pytest

from runfold.flow import events as ev
from runfold.flow.names import step_id
from runfold.kernel.event import Draft
from runfold.testing.building import collect, flow, join, step
from runfold.testing.driver import BROKEN, Driver, Outcome, Work, play


def test_an_entry_emits_and_the_subscriber_runs_exactly_once() -> None:
    driver = Driver(flow(step("start", emits="start"), step("next", "start")))
    driver.do("start", 1, "start", result="hello")
    driver.do("next")
    assert driver.topics() == [
        "flow.start",
        "step.scheduled", "step.started", "emit", "step.completed",
        "step.scheduled", "step.started", "step.completed",
        "flow.completed",
    ]  # fmt: skip
    assert driver.history[4].event.result == "hello"
    started, completed = driver.history[5 + 1], driver.history[5 + 2]
    assert step_id("r", "next", 1, 1) == "r__next__attempt-1"
    assert started[5:8] == completed[5:8] == ("next", 1, 1)


GATHER = flow(
    step("start", emits="start.task-a start.task-b"),
    step("a", "start.task-a", emits="a"),
    step("b", "start.task-b", emits="b"),
    step("gather", join("a", "b")),
)


def test_two_branches_overlap_and_are_gathered_once() -> None:
    driver = Driver(GATHER)
    driver.do("start", 1, "start.task-a", "start.task-b")
    driver.claim("a")
    driver.claim("b")
    driver.complete("b", 1, ("b", 2), states=[ev.State(operation="set", key="b", value=2)])
    driver.settle()
    assert driver.run.status == "running"
    assert driver.scheduled("gather") == 0
    driver.complete("a", 1, ("a", 1), states=[ev.State(operation="set", key="a", value=1)])
    driver.settle()
    assert driver.run.values() == {"a": 1, "b": 2}
    assert driver.do("gather") == {"a": 1, "b": 2}
    assert driver.topics().count("flow.completed") == 1


def test_a_failed_branch_fails_the_run_and_the_join_never_starts() -> None:
    driver = Driver(GATHER)
    driver.do("start", 1, "start.task-a", "start.task-b")
    driver.do("b", 1, "b")
    driver.claim("a")
    driver.fail("a", error=BROKEN)
    driver.settle()
    assert (driver.run.status, driver.run.failed_step) == ("failed", "a")
    assert driver.scheduled("gather") == 0


@pytest.mark.parametrize(
    ("failure", "status"), [("stop", "failed"), ("finish", "failed"), ("ignore", "completed")]
)
def test_one_of_two_leaves_fails(failure: str, status: str) -> None:
    driver = Driver(flow(step("start", emits="x"), step("a", "x"), step("b", "x"), failure=failure))
    driver.do("start", 1, "x")
    driver.claim("a")
    driver.claim("b")
    driver.complete("a")
    driver.fail("b", error=BROKEN)
    driver.settle()
    assert driver.run.status == status


def test_the_way_not_taken_is_skipped() -> None:
    driver = Driver(flow(step("start", emits="x.ok x.no"), step("ok", "x.ok"), step("no", "x.no")))
    driver.do("start", 1, "x.ok")
    driver.do("ok")
    assert driver.run.status == "completed"
    assert driver.scheduled("no") == 0


def test_an_entry_fails_twice_and_five_steps_follow_with_a_join_at_the_end() -> None:
    driver = Driver(
        flow(
            step("start", emits="x", retry=5),
            step("a", "x", emits="a"),
            step("b", "x", emits="b"),
            step("c", "a", emits="c"),
            step("end", join("c", "b")),
        )
    )
    for _ in range(2):
        driver.claim("start")
        driver.fail("start")
        driver.settle()
        driver.wait(60)
    driver.do("start", 1, "x")
    for name, emit in (("a", "a"), ("c", "c"), ("b", "b")):
        driver.do(name, 1, emit)
    driver.do("end")
    assert driver.run.status == "completed"
    assert driver.topics().count("step.retry") == 2
    assert "step.failed" not in driver.topics()
    assert driver.scheduled("end") == 1


def test_a_chatty_step_changes_nothing() -> None:
    driver = Driver(flow(step("start")))
    driver.claim("start")
    line = ev.Log(level="info", message="m")
    driver.append([Draft(line, "start", 1, 1) for _ in range(5000)])
    assert not driver.decide()
    driver.complete("start", result=1)
    driver.settle()
    assert driver.run.result == 1
    assert len(driver.run.steps) == 1


def test_a_loop_runs_its_work_three_times() -> None:
    driver = Driver(
        flow(
            step("check", emits="again done"),
            step("work", "again", emits="again done"),
            step("end", "done"),
        )
    )
    driver.do("check", 1, "again")
    driver.do("work", 1, "again")
    driver.do("work", 2, "again")
    driver.do("work", 3, "done")
    driver.do("end")
    assert driver.run.status == "completed"
    assert [act.number for act in driver.run.steps if act.step == "work"] == [1, 2, 3]


def _hundred(work: Work) -> Outcome:
    if work.step == "start":
        return Outcome(emits=[("item", number) for number in range(100)])
    if work.step == "map":
        return Outcome(emits=[("item.done", work.input * 2)])
    return Outcome(result=work.input)


@pytest.mark.parametrize("order", [1, 2])
def test_a_hundred_items_are_mapped_and_collected_in_order(order: int) -> None:
    driver = play(
        flow(
            step("start", emits="item"),
            step("map", "item", emits="item.done"),
            step("gather", collect("item.done")),
        ),
        _hundred,
        order,
    )
    assert driver.scheduled("map") == 100
    assert driver.run.result == [number * 2 for number in range(100)]


def test_a_hundred_items_are_joined_one_by_one_whatever_the_timing() -> None:
    driver = Driver(
        flow(
            step("start", emits="item"),
            step("a", "item", emits="x"),
            step("b", "item", emits="y"),
            step("both", join("x", "y")),
        )
    )
    driver.do("start", 1, *[("item", number) for number in range(100)])
    places = [(name, number) for name in "ab" for number in range(1, 101)]
    random.Random(7).shuffle(places)
    for name, number in places:
        work = driver.claim(name, number)
        driver.complete(name, number, ("x" if name == "a" else "y", work.input))
    driver.settle()
    pairs = [driver.claim("both", number).input for number in range(1, 101)]
    assert all(pair["x"] == pair["y"] for pair in pairs)
    assert sorted(pair["x"] for pair in pairs) == list(range(100))


def test_a_cancel_while_an_attempt_fails_leaves_no_retry_and_one_end() -> None:
    driver = Driver(flow(step("start", retry=5)))
    driver.claim("start")
    driver.fail("start")
    assert driver.cancel("enough")
    driver.settle()
    driver.wait(60)
    assert driver.topics()[3:] == [
        "step.errored",
        "flow.cancel_requested",
        "step.cancelled",
        "flow.cancelled",
    ]


def test_a_retry_decided_before_the_cancel_is_never_claimed() -> None:
    driver = Driver(flow(step("start", retry=5)))
    driver.claim("start")
    driver.fail("start")
    driver.settle()
    assert driver.cancel()
    driver.wait(60)
    assert driver.ready() == []
    driver.settle()
    assert driver.topics().count("step.started") == 1
    assert driver.topics()[-1] == "flow.cancelled"


@pytest.mark.slow
def test_a_run_of_a_hundred_thousand_activations() -> None:
    driver = play_wide(100_000)
    assert driver.run.status == "completed"
    assert len(driver.run.result) == 100_000


def test_a_run_of_two_thousand_activations() -> None:
    driver = play_wide(2_000)
    assert driver.run.status == "completed"
    assert driver.run.result == list(range(2_000))


def play_wide(count: int) -> Driver:
    """Return a fan-out of ``count``, collected: claimed and answered as scheduled."""
    driver = Driver(
        flow(
            step("start", emits="item"),
            step("map", "item", emits="done"),
            step("gather", collect("done")),
        )
    )
    driver.do("start", 1, *[("item", number) for number in range(count)])
    for number in range(1, count + 1):
        driver.claim("map", number)
        driver.complete("map", number, ("done", number - 1))
    driver.settle()
    work = driver.claim("gather")
    driver.complete("gather", result=work.input)
    driver.settle()
    return driver
