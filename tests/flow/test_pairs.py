"""What joins keep count of: who is still alone at the end, and in which lanes pairs go on."""

from __future__ import annotations

import pytest

from runfold.flow import events as ev
from runfold.flow.definition import LimitDefinition
from runfold.testing.building import flow, join, step
from runfold.testing.driver import BROKEN, Driver

SIDES = flow(
    step("start", emits="item"), step("a", "item", emits="x"), step("b", "item", emits="y"),
    step("c", "item", emits="z"), step("both", join("x", "y", "z")),
)  # fmt: skip


@pytest.mark.parametrize(
    ("alone", "unfired"), [("", ()), ("a", ("both",)), ("ab", ("both",)), ("abc", ())]
)
def test_a_run_names_the_joins_that_had_something_and_not_all(
    alone: str, unfired: tuple[str, ...]
) -> None:
    driver = Driver(SIDES)
    driver.do("start", 1, "item", "item")
    for name, event in zip("abc", "xyz", strict=True):
        driver.do(name, 1, event)
        driver.do(name, 2, *([event] if name in alone else []))
    for _, number in driver.ready():
        driver.do("both", number)
    end = driver.history[-1].event
    assert isinstance(end, ev.FlowCompleted)
    assert end.unfired == unfired


def test_a_join_of_inner_and_outer_lanes_goes_on_in_the_lane_that_both_share() -> None:
    graph = flow(
        step("start", emits="item"), step("split", "item", emits="part"),
        step("left", "part", emits="x"), step("right", "part", emits="y"),
        step("inner", join("x", "y"), emits="p"), step("other", "item", emits="o"),
        step("outer", join("p", "o"), emits="q"), step("third", "item", emits="t"),
        step("end", join("q", "t")),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, ("item", "one"), ("item", "two"))
    names = {1: "one", 2: "two"}
    for name, event in (("split", "part"), ("left", "x"), ("right", "y"), ("inner", "p"),
                        ("other", "o")):  # fmt: skip
        for number in (1, 2):
            driver.do(name, number, (event, names[number]))
    for number in (2, 1):
        driver.do("third", number, ("t", names[number]))
    for number in (1, 2):
        assert driver.do("outer", number, ("q", names[number])) == {
            "p": names[number], "o": names[number],
        }  # fmt: skip
    assert [driver.do("end", number) for number in (1, 2)] == [
        {"q": name, "t": name} for name in ("one", "two")
    ]
    assert driver.run.status == "completed"


def test_a_pair_that_nothing_tells_apart_says_between_which_and_what_to_do() -> None:
    driver = Driver(flow(step("start", emits="x y"), step("both", join("x", "y"))))
    driver.do("start", 1, "x", "x", "y")
    assert driver.run.error is not None
    assert driver.run.error.message == (
        "step 'both' joins 'x', but in the lane of the entry there are two of which neither caused "
        "the other: start/0 and start/1; pair them by value with by=, or collect()"
    )


def test_an_event_of_a_step_that_is_limited_by_run_has_the_run_as_its_key() -> None:
    by_run = LimitDefinition(kind="concurrency", max=1, key="@run")
    driver = Driver(flow(step("start", limits=(by_run,))))
    driver.claim("start")
    driver.fail("start", error=BROKEN)
    driver.settle()
    (failed,) = driver.found(ev.StepFailed)
    assert failed.key == "r"
