"""Recorded histories against the definition of today."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold.flow.definition import FlowDefinition
from runfold.flow.replay import Diverges, Same, replay
from runfold.testing.building import after, collect, each, flow, join, on, step
from runfold.testing.driver import Driver, play
from runfold.testing.strategies import definitions, script

MOST = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
SEEDS = st.integers(0, 1_000)


def diamond(**more: Any) -> FlowDefinition:
    return flow(
        step("start", emits="go"),
        step("left", on("go"), emits="x"),
        step("right", on("go"), emits="y"),
        step("both", join("x", "y"), returns=True),
        **more,
    )


def played(definition: FlowDefinition) -> Driver:
    driver = Driver(definition)
    driver.do("start", 1, "go")
    driver.do("right", 1, "y")
    driver.do("left", 1, "x")
    driver.do("both", 1, result="done")
    assert driver.ended
    return driver


@given(definitions(), SEEDS, SEEDS, st.data())
@MOST
def test_what_was_decided_by_a_definition_is_the_same_under_it(
    definition: FlowDefinition, seed: int, order: int, data: st.DataObject
) -> None:
    history = play(definition, script(definition, seed), order, chaos=0.2).history
    assert replay(history, definition) == Same()
    cut = data.draw(st.integers(0, len(history)))
    assert replay(history[:cut], definition) == Same()


@given(definitions(failures=("stop", "finish")), SEEDS, SEEDS, st.integers(0, 30))
@MOST
def test_a_cancelled_run_is_the_same(
    definition: FlowDefinition, seed: int, order: int, moment: int
) -> None:
    driver = Driver(definition)
    for turn in range(60):
        if driver.ended:
            break
        if turn == moment:
            driver.cancel()
        elif (turn + order) % 2 or not driver.ready():
            driver.decide(limit=2)
        else:
            driver.claim(*driver.ready()[0])
            driver.complete(*next(iter(driver.leased)))
    assert replay(driver.history, definition) == Same()


def test_the_order_of_steps_in_the_code_does_not_matter() -> None:
    history = played(diamond()).history
    steps = diamond().steps
    other = flow(steps[0], steps[2], steps[1], steps[3])
    assert other.hash != diamond().hash
    assert replay(history, other) == Same()


def test_a_step_that_is_gone() -> None:
    history = played(diamond()).history
    steps = diamond().steps
    verdict = replay(history, flow(steps[0], steps[1], step("both", on("x"), returns=True)))
    assert isinstance(verdict, Diverges)
    assert (verdict.type, verdict.step) == ("step.scheduled", "right")
    assert "would decide step.scheduled left~" in str(verdict) or "nothing" in str(verdict)


def test_a_step_that_is_new_shows_at_the_end() -> None:
    history = played(diamond()).history
    verdict = replay(history, flow(*diamond().steps, step("more", after("both"))))
    assert isinstance(verdict, Diverges)
    assert verdict.type == "flow.completed"
    assert "it would decide step.scheduled more~" in verdict.what


def test_a_new_step_does_not_show_in_a_run_that_has_not_come_so_far() -> None:
    driver = Driver(diamond())
    driver.do("start", 1, "go")
    longer = flow(*diamond().steps, step("more", after("both")))
    assert replay(driver.history, longer) == Same()


def test_fewer_attempts() -> None:
    def retrying(attempts: int) -> FlowDefinition:
        return flow(step("a", retry=attempts))

    driver = Driver(retrying(3))
    driver.claim("a")
    driver.fail("a")
    driver.settle()
    verdict = replay(driver.history, retrying(1))
    assert isinstance(verdict, Diverges)
    assert verdict.what == "recorded was step.retry, today's code decides step.failed"
    assert replay(driver.history, retrying(2)) == Same()


def test_another_result() -> None:
    history = played(diamond()).history
    steps = [one.model_copy(update={"returns": one.name == "left"}) for one in diamond().steps]
    verdict = replay(history, flow(*steps))
    assert verdict == Diverges(
        len(history), "flow.completed", None, "another result: recorded 'done', today None"
    )
    assert verdict.group == "flow.completed: another result"


def test_a_join_that_became_a_collect_of_more() -> None:
    history = played(diamond()).history
    steps = diamond().steps
    verdict = replay(history, flow(*steps[:3], step("both", collect(on("x"), on("y"), at_least=3))))
    assert isinstance(verdict, Diverges)
    assert (verdict.type, verdict.step) == ("step.scheduled", "both")


@pytest.mark.parametrize(
    ("kind", "step_name", "emit"),
    [("input", "start", ""), ("emit", "left", "x"), ("result", "both", ""), ("input", "both", "")],
)
def test_values_that_no_longer_fit(kind: str, step_name: str, emit: str) -> None:
    asked: list[tuple[str, str, str]] = []

    def check(*about: Any) -> str | None:
        asked.append(about[:3])
        return "field 'n' is missing" if about[:3] == (kind, step_name, emit) else None

    verdict = replay(played(diamond()).history, diamond(), check)
    assert isinstance(verdict, Diverges)
    assert verdict.step == step_name
    assert verdict.what.endswith("does not fit: field 'n' is missing")
    assert asked[-1] == (kind, step_name, emit)


def test_inputs_are_put_together_as_a_worker_would() -> None:
    given_to: dict[str, Any] = {}

    def check(kind: str, step: str, emit: str, value: Any) -> None:
        if kind == "input":
            given_to[step] = value

    assert replay(played(diamond()).history, diamond(), check) == Same()
    assert given_to["both"] == {"x": "x", "y": "y"}
    assert given_to["left"] == "go"


def test_what_replaced_an_input_has_to_fit_and_is_what_the_entry_was_given() -> None:
    asked: list[tuple[str, str, str, Any]] = []

    def check(*about: Any) -> str | None:
        asked.append(about)
        return None if about[3] != "bad" else "is bad"

    driver = Driver(diamond())
    assert driver.replace("good")
    driver.claim("start")
    assert replay(driver.history, diamond(), check) == Same()
    assert asked == [("input", "start", "", value) for value in (None, "good", "good")]
    again = Driver(diamond())
    assert again.replace("bad")
    assert replay(again.history, diamond(), check) == Diverges(
        3, "flow.input_replaced", "start", "the recorded input does not fit: is bad"
    )


def test_each_is_each() -> None:
    definition = flow(step("a", emits="x"), step("b", each(on("x"))))
    driver = Driver(definition)
    driver.do("a", 1, "x", "x", "x")
    for number in (3, 1, 2):
        driver.do("b", number)
    assert replay(driver.history, definition) == Same()
