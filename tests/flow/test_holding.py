"""What a hold says beside its text: a kind, a place, limits, and the steps that it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flow.branching import TWO_SIDES, half_way
from flow.test_why_texts import (
    answered,
    collecting,
    delayed,
    draining,
    due,
    joining_by_key,
    paused,
    queued,
    retrying,
    running,
)
from runfold.flow.definition import LimitDefinition
from runfold.flow.holding import Hold
from runfold.flow.why import why
from runfold.testing.building import after, collect, flow, join, step
from runfold.testing.driver import NOON, Driver


def held(driver: Driver, step: str | None = None) -> list[Hold]:
    return list(why(driver.definition, driver.history, step, now=driver.now).holds)


@pytest.mark.parametrize(
    ("scene", "kinds"),
    [
        (queued, ["queued"]), (running, ["running"]), (paused, ["paused"]),
        (delayed, ["delayed"]), (retrying, ["retrying"]), (due, ["undecided", "undecided"]),
        (answered, ["undecided"]), (draining, ["draining"]), (joining_by_key, ["queued", "join"]),
        (collecting, ["queued", "collect"]),
    ],
)  # fmt: skip
def test_each_kind_of_hold(scene: Any, kinds: list[str]) -> None:
    driver, step = scene()
    assert [hold.kind for hold in held(driver, step)] == kinds


def test_what_waits_for_a_time_says_when_it_comes() -> None:
    assert [hold.until for hold in held(delayed()[0])] == [NOON + timedelta(seconds=60)]
    assert [hold.until for hold in held(retrying()[0])] == [NOON + timedelta(seconds=31)]


def test_what_executes_or_is_queued_says_where() -> None:
    (hold,) = held(*running())
    assert (hold.step, hold.number, hold.queue, hold.worker) == ("start", 1, "default", "w")
    by_user = LimitDefinition(kind="concurrency", max=1, key="user")
    in_slow = flow(step("start", emits="x"), step("work", "x", queue="slow", limits=(by_user,)))
    driver = Driver(in_slow)
    driver.do("start", 1, ("x", {"user": "zoe"}))
    (hold,) = held(driver)
    assert (hold.queue, hold.key, hold.buckets) == ("slow", "zoe", ("step:flow/work#1:user=zoe",))


def test_a_join_says_what_is_there_what_is_missing_and_who_gives_it() -> None:
    (join,) = [hold for hold in held(half_way()) if hold.kind == "join"]
    assert (join.there, join.missing, join.by, join.lane) == (("a",), ("b",), ("b",), "start/0")


def test_who_gives_an_event_is_who_emits_it_not_who_is_called_so() -> None:
    graph = flow(
        step("start", emits="go"), step("a", "go", emits="b"), step("b", "go", emits="a"),
        step("end", join("a", "b")),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "go")
    driver.do("b", 1, "a")
    (hold,) = [hold for hold in held(driver) if hold.kind == "join"]
    assert (hold.missing, hold.by) == (("b",), ("a",))
    assert hold.text.endswith("lacks b in the lane of start/0: a is still under way")


def test_what_waited_for_more_than_came_is_the_reason_of_what_is_behind_it() -> None:
    graph = flow(
        step("start", emits="x"), step("sum", collect("x", at_least=2)), step("end", after("sum"))
    )
    driver = Driver(graph)
    driver.do("start", 1, "x")
    assert [str(hold) for hold in held(driver, "end")] == [
        "end: was skipped: sum never ran: everything that it takes has gone elsewhere"
    ]


def test_a_deadline_is_the_last_line() -> None:
    answer = why(TWO_SIDES, Driver(TWO_SIDES).history, None, now=NOON)
    told = str(replace(answer, deadline=NOON + timedelta(seconds=1.5)))
    assert told == f"{answer}\n  deadline: 2026-01-01T12:00:01.500+00:00"


def test_a_chain_says_how_long_its_decisions_took_and_who_worked() -> None:
    driver = Driver(TWO_SIDES)
    driver.claim("start")
    driver.complete("start", 1, "go")
    driver.now += timedelta(seconds=3)
    driver.settle()
    driver.cancel()
    driver.settle()
    answer = why(driver.definition, driver.history, "a", now=driver.now)
    assert [(link.step, link.deciding, link.worker) for link in answer.chain] == [
        ("start", 0.0, "w"), ("a", 3.0, None),
    ]  # fmt: skip


def test_a_limit_of_each_run_has_the_run_as_its_key() -> None:
    by_run = LimitDefinition(kind="concurrency", max=1, key="@run")
    (hold,) = held(Driver(flow(step("start", limits=(by_run,)))))
    assert (hold.key, hold.buckets) == ("r", ("step:flow/start#1:@run=r",))


def test_nothing_is_due_in_a_run_that_drains() -> None:
    driver = due()[0]
    driver.cancel()
    assert held(driver) == []


def test_a_collect_is_held_by_what_leads_to_it_scheduled_or_due() -> None:
    (_, hold) = held(collecting()[0])
    assert (hold.step, hold.by) == ("sum", ("map",))
    graph = flow(
        step("start", emits="x go"), step("other", "go", emits="x"), step("sum", collect("x")),
        step("last", collect("y")), step("never", "sum", emits="y"),
    )  # fmt: skip
    driver = Driver(graph)
    driver.claim("start")
    driver.complete("start", 1, "x", "go")
    assert [(hold.step, hold.kind, hold.by) for hold in held(driver)] == [
        ("other", "undecided", ()), ("sum", "collect", ("other",)),
    ]  # fmt: skip


def test_each_join_says_what_it_lacks_itself() -> None:
    graph = flow(
        step("start", emits="go"), step("a", "go", emits="x"), step("b", "go", emits="y"),
        step("one", join("x", "y")), step("other", join(left=after("a"), right=after("b"))),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "go")
    driver.do("a", 1, "x")
    assert [(hold.step, hold.missing) for hold in held(driver) if hold.kind == "join"] == [
        ("one", ("y",)), ("other", ("right",)),
    ]  # fmt: skip


def test_a_join_names_all_that_it_lacks() -> None:
    graph = flow(
        step("start", emits="x"), step("a", "x", emits="p"), step("b", "x", emits="q"),
        step("c", "x", emits="r"), step("all", join("p", "q", "r")),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "x")
    driver.do("a", 1, "p")
    (hold,) = [hold for hold in held(driver) if hold.kind == "join"]
    assert hold.text == (
        "has p and lacks q, r in the lane of start/0: b is still under way; c is still under way"
    )
