"""What an arrival leaves with the steps that take it: order, lanes, keys, and what is ambiguous."""

from __future__ import annotations

from typing import Any

import pytest

from runfold.flow import events as ev
from runfold.flow.activation import NO_LANES
from runfold.flow.definition import FlowDefinition, LimitDefinition
from runfold.flow.names import activation_name
from runfold.testing.building import after, collect, flow, join, step
from runfold.testing.driver import Driver

WRITERS = (step("start", emits="go y"), step("a", "go", emits="x"), step("b", "go", emits="x"))


def ambiguous(definition: FlowDefinition, *emits: Any) -> ev.ErrorInfo | None:
    driver = Driver(definition)
    driver.do("start", 1, *emits)
    for name in ("a", "b"):
        driver.do(name, 1, ("x", {"id": 7}))
    return driver.run.error


def names(definition: FlowDefinition, *emits: Any) -> list[str]:
    driver = Driver(definition)
    driver.do("start", 1, *emits)
    return [f"{driver.run.open[name, 1].name}/0" for name in ("a", "b")]


@pytest.mark.parametrize(
    ("both", "where", "cure"),
    [
        (join("x", "y"), "in the lane of the entry", "pair them by value with by=, or collect()"),
        (join("x", "y", by="id"), "with by='id' equal to 7", "collect() them"),
    ],
)
def test_what_is_ambiguous_is_said_with_its_place_and_cure(
    both: Any, where: str, cure: str
) -> None:
    definition = flow(*WRITERS, step("both", both))
    one, other = names(definition, "go")
    assert ambiguous(definition, "go") == ev.ErrorInfo(
        type="JoinAmbiguous",
        code="JOIN_AMBIGUOUS",
        message=f"step 'both' joins 'x', but {where} there are two of which neither caused the "
        f"other: {one} and {other}; {cure}",
        retryable=False,
        details={"step": "both", "emits": [one, other]},
    )


def test_what_is_ambiguous_within_a_lane_names_the_lane() -> None:
    definition = flow(
        step("start", emits="item"), step("a", "item", emits="x y"), step("both", join("x", "y")),
    )  # fmt: skip
    driver = Driver(definition)
    driver.do("start", 1, "item")
    driver.do("a", 1, "x", "x")
    assert driver.run.error is not None
    assert "but in the lane of 'start/0' there are two of which" in driver.run.error.message


def test_what_is_joined_by_value_begins_new_lanes() -> None:
    definition = flow(
        step("start", emits="item"), step("a", "item", emits="x y"),
        step("both", join("x", "y", by="id")), step("lane", join("x", "y")),
    )  # fmt: skip
    driver = Driver(definition)
    driver.do("start", 1, "item")
    driver.do("a", 1, ("x", {"id": 1}), ("y", {"id": 1}))
    assert driver.run.open["both", 1].lanes == NO_LANES
    assert driver.run.open["lane", 1].lanes != NO_LANES


def test_a_join_with_a_limit_that_has_no_key_takes_no_values() -> None:
    at_once = LimitDefinition(kind="concurrency", max=1)
    driver = Driver(flow(step("start", emits="x y"), step("a", join("x", "y"), limits=(at_once,))))
    driver.do("start", 1, "x", "y")
    assert driver.run.open["a", 1].keys == ()
    assert driver.jobs["a", 1].limits == ("step:flow/a#concurrency",)


def test_a_step_without_limits_hides_no_key_of_one_behind_it() -> None:
    by_user = LimitDefinition(kind="concurrency", max=1, key="user")
    driver = Driver(
        flow(
            step("start", emits="x"), step("free", "x"), step("a", "x", limits=(by_user,)),
            step("last", "x"),
        )
    )  # fmt: skip
    driver.do("start", 1, ("x", {"user": "zoe"}))
    assert (driver.jobs["free", 1].key, driver.jobs["a", 1].key) == (None, "zoe")


def test_the_entry_is_caused_by_the_start() -> None:
    (scheduled,) = Driver(flow(step("start"))).found(ev.StepScheduled)
    assert scheduled.cause == 1


def test_what_siblings_gave_is_collected_in_the_order_of_their_steps() -> None:
    definition = flow(
        step("start", emits="go"), step("a", "go", emits="x"), step("b", "go", emits="x"),
        step("c", "go", emits="x"), step("all", collect("x")),
    )  # fmt: skip
    driver = Driver(definition)
    driver.do("start", 1, "go")
    for name in "bca":
        driver.do(name, 1, ("x", name))
    assert driver.do("all") == ["a", "b", "c"]


GATHER = flow(
    step("start", emits="go"), step("a", "go", emits="x"), step("b", "go", emits="x"),
    step("sum", collect("x", at_least=0)), step("last", after("sum")),
)  # fmt: skip


def test_a_collect_is_named_and_caused_by_what_it_gathered() -> None:
    driver = Driver(GATHER)
    driver.do("start", 1, "go")
    driver.do("b", 1, "x")
    driver.do("a", 1, "x")
    scheduled = driver.found(ev.StepScheduled)[-1]
    refs = tuple(f"{act.name}/0" for act in driver.run.steps if act.step in {"a", "b"})
    assert scheduled.event == ev.StepScheduled(
        queue="default", name=activation_name("sum", refs), input_refs=refs
    )
    (last,) = (one for one in driver.found(ev.StepCompleted) if one.step == "a")
    assert scheduled.cause == last.version - 1, "the last of what it gathered"
    assert [link.step for link in driver.run.open["sum", 1].past] == [1, 2]
    driver.do("sum")
    driver.do("last")
    end = driver.history[-1].event
    assert isinstance(end, ev.FlowCompleted)
    assert end.unfired == ()


def test_a_collect_of_nothing_has_a_name_of_its_own_and_what_ended_the_wait_as_its_cause() -> None:
    driver = Driver(GATHER)
    driver.do("start", 1)
    scheduled = driver.found(ev.StepScheduled)[-1]
    assert scheduled.event == ev.StepScheduled(queue="default", name="sum~")
    (completed,) = driver.found(ev.StepCompleted)
    assert scheduled.cause == completed.version


def test_a_collect_with_a_limit_that_has_no_key_takes_no_values() -> None:
    at_once = LimitDefinition(kind="concurrency", max=1)
    driver = Driver(flow(step("start", emits="x"), step("sum", collect("x"), limits=(at_once,))))
    driver.do("start", 1, "x", "x")
    assert driver.jobs["sum", 1].limits == ("step:flow/sum#concurrency",)
