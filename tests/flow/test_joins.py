"""Who is paired with whom, and when nobody can tell."""

from __future__ import annotations

import pytest

from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowFailed
from runfold.testing.building import after, each, failed, flow, join, step
from runfold.testing.driver import BROKEN, Driver, Outcome, Work, play

DIAMOND = flow(
    step("start", emits="go"),
    step("a", "go", emits="x"),
    step("b", "go", emits="y"),
    step("both", join("x", "y")),
)


def started(definition: FlowDefinition, *emits: object) -> Driver:
    driver = Driver(definition)
    driver.do("start", 1, *emits)
    return driver


def test_a_join_waits_for_every_part() -> None:
    driver = started(DIAMOND, "go")
    driver.do("a", 1, ("x", 1))
    assert driver.scheduled("both") == 0
    assert driver.run.status == "running"
    driver.do("b", 1, ("y", 2))
    assert driver.claim("both").input == {"x": 1, "y": 2}


def test_the_keys_of_the_input_are_in_the_order_of_the_definition() -> None:
    driver = started(DIAMOND, "go")
    driver.do("b", 1, ("y", 2))
    driver.do("a", 1, ("x", 1))
    assert list(driver.claim("both").input) == ["x", "y"]


def test_behind_a_fan_out_each_item_is_joined_with_itself() -> None:
    driver = started(DIAMOND, *[("go", item) for item in range(4)])
    for number in (1, 2, 3, 4):
        driver.do("a", number, ("x", number))
    for number in (3, 1, 4, 2):
        driver.do("b", number, ("y", number))
    found = [driver.claim("both", number).input for number in (1, 2, 3, 4)]
    assert found == [{"x": number, "y": number} for number in (3, 1, 4, 2)]


def test_a_join_can_pair_an_emit_with_what_it_led_to() -> None:
    driver = started(
        flow(
            step("start", emits="order"),
            step("price", "order", emits="price"),
            step("bill", join("order", "price")),
        ),
        ("order", 1),
        ("order", 2),
    )
    driver.do("price", 2, ("price", 20))
    driver.do("price", 1, ("price", 10))
    assert driver.claim("bill", 1).input == {"order": 2, "price": 20}
    assert driver.claim("bill", 2).input == {"order": 1, "price": 10}


def test_labels_and_completions_make_up_the_input() -> None:
    driver = started(
        flow(
            step("start", emits="go"),
            step("a", "go"),
            step("b", "go", emits="y"),
            step("both", join(left=after("a"), right="y")),
        ),
        "go",
    )
    driver.do("a", 1, result="done")
    driver.do("b", 1, ("y", 5))
    assert driver.claim("both").input == {"left": "done", "right": 5}


LOOP = flow(
    step("start", emits="again"),
    step("a", "again", emits="x"),
    step("b", "again", emits="y"),
    step("both", join("x", "y"), emits="again"),
)


def test_a_loop_through_a_join_pairs_turn_by_turn() -> None:
    driver = started(LOOP, "again")
    for turn in (1, 2, 3):
        driver.do("a", turn, ("x", turn))
        driver.do("b", turn, ("y", turn))
        emits = ["again"] if turn < 3 else []
        assert driver.do("both", turn, *emits) == {"x": turn, "y": turn}
    assert driver.run.status == "completed"


CHAIN = flow(
    step("start", emits="x y"),
    step("more_x", "x", emits="x"),
    step("more_y", "y", emits="y"),
    step("both", join("x", "y")),
)


def test_in_one_lane_the_second_of_a_chain_pairs_with_the_second() -> None:
    driver = started(CHAIN, ("x", 1), ("y", 1))
    driver.do("more_x", 1, ("x", 2))
    driver.do("more_y", 1, ("y", 2))
    assert driver.claim("both", 1).input == {"x": 1, "y": 1}
    assert driver.claim("both", 2).input == {"x": 2, "y": 2}


TWO_WRITERS = flow(
    step("start", emits="go y"),
    step("a", "go", emits="x"),
    step("b", "go", emits="x"),
    step("both", join("x", "y")),
)


def test_two_emits_of_which_neither_caused_the_other_fail_the_run() -> None:
    driver = started(TWO_WRITERS, "go", "y")
    driver.do("a", 1, "x")
    driver.do("b", 1, "x")
    error = driver.run.error
    assert error is not None
    assert error.code == "JOIN_AMBIGUOUS"
    assert "a~" in error.message
    assert "b~" in error.message
    assert "by=" in error.message
    assert "collect" in error.message
    assert driver.run.failed_step == "both"


def test_a_pair_that_was_made_before_does_not_hide_the_ambiguity() -> None:
    driver = started(TWO_WRITERS, "go", "y")
    driver.do("a", 1, "x")
    assert driver.scheduled("both") == 1
    driver.claim("both")
    driver.do("b", 1, "x")
    assert driver.run.status == "failing"
    driver.complete("both")
    driver.settle()
    assert driver.run.status == "failed"


def test_two_emits_of_one_attempt_are_ambiguous_too() -> None:
    driver = started(CHAIN, "x", "x", "y")
    assert driver.run.error is not None
    assert driver.run.error.details["emits"] == ["start/0", "start/1"]


def test_an_accepted_cancel_goes_before_a_fault_not_yet_decided() -> None:
    driver = started(TWO_WRITERS, "go", "y")
    for name in ("a", "b"):
        driver.claim(name)
        driver.complete(name, 1, "x")
    assert driver.cancel("stop it")
    driver.settle()
    assert driver.run.status == "cancelled"
    assert not driver.found(FlowFailed)


BY = flow(
    step("start", emits="go"),
    step("a", "go", emits="x"),
    step("b", "go", emits="y"),
    step("both", join("x", "y", by="order.id")),
)


def test_by_pairs_equal_values_whatever_came_first() -> None:
    driver = started(BY, "go", "go")
    driver.do("a", 1, ("x", {"order": {"id": 1}}))
    driver.do("b", 1, ("y", {"order": {"id": 2}}))
    driver.do("a", 2, ("x", {"order": {"id": 2}}))
    found = driver.claim("both").input
    assert (found["x"]["order"]["id"], found["y"]["order"]["id"]) == (2, 2)


def test_by_makes_two_writers_work() -> None:
    definition = TWO_WRITERS.model_copy(
        update={"steps": (*TWO_WRITERS.steps[:3], step("both", join("x", "y", by="id")))}
    )
    driver = started(definition, "go", ("y", {"id": 2}))
    driver.do("a", 1, ("x", {"id": 1}))
    driver.do("b", 1, ("x", {"id": 2}))
    assert driver.claim("both").input == {"x": {"id": 2}, "y": {"id": 2}}
    driver.complete("both")
    driver.settle()
    assert driver.history[-1].event.unfired == ("both",)


def test_by_fails_when_one_value_is_emitted_twice_side_by_side() -> None:
    driver = started(BY, "go", "go")
    driver.do("a", 1, ("x", {"order": {"id": 1}}))
    driver.do("a", 2, ("x", {"order": {"id": 1}}))
    assert driver.run.error is not None
    assert driver.run.error.code == "JOIN_AMBIGUOUS"


def test_by_pairs_equal_values_of_one_chain_in_its_order() -> None:
    driver = started(
        flow(
            step("start", emits="x y"),
            step("more_x", "x", emits="x"),
            step("more_y", "y", emits="y"),
            step("both", join("x", "y", by="id")),
        ),
        ("x", {"id": 1, "n": 1}),
        ("y", {"id": 1, "n": 1}),
    )
    driver.do("more_x", 1, ("x", {"id": 9, "n": 2}))
    driver.do("more_x", 2, ("x", {"id": 1, "n": 3}))
    driver.do("more_y", 1, ("y", {"id": 1, "n": 2}))
    assert driver.claim("both", 2).input == {"x": {"id": 1, "n": 3}, "y": {"id": 1, "n": 2}}


@pytest.mark.parametrize("missing", [None, 5, [], {}, {"order": None}, {"order": 3}])
def test_a_missing_value_is_one_shared_key(missing: object) -> None:
    driver = started(BY, "go")
    driver.do("a", 1, ("x", missing))
    driver.do("b", 1, ("y", {"order": {"id": None}}))
    assert driver.claim("both").input == {"x": missing, "y": {"order": {"id": None}}}


def test_unfired_joins_are_named_at_the_end() -> None:
    driver = started(DIAMOND, "go")
    driver.do("a", 1, "x")
    driver.do("b", 1)
    assert driver.run.status == "completed"
    assert driver.history[-1].event.unfired == ("both",)


def test_a_join_takes_failures_beside_results() -> None:
    driver = started(
        flow(
            step("start", emits="go"),
            step("a", "go", retry=1),
            step("b", "go"),
            step("both", join(a=each(after("a"), failed("a")).parts[0].sources, b=after("b"))),
        ),
        "go",
        "go",
    )
    driver.claim("a", 1)
    driver.fail("a", 1, error=BROKEN)
    driver.do("a", 2, result=2)
    driver.do("b", 2, result=20)
    driver.do("b", 1, result=10)
    assert driver.claim("both", 1).input == {"a": 2, "b": 20}
    assert driver.claim("both", 2).input["b"] == 10


def _three_deep(work: Work) -> Outcome:
    emits = {
        "start": [("item", number) for number in range(3)],
        "split": [("part", (work.input, number)) for number in range(2)],
        "left": [("l", work.input)],
        "right": [("r", work.input)],
    }
    return Outcome(emits=emits.get(work.step, []), result=work.input)


@pytest.mark.parametrize("seed", range(10))
def test_nested_fan_outs_join_in_the_innermost(seed: int) -> None:
    definition = flow(
        step("start", emits="item"),
        step("split", "item", emits="part"),
        step("left", "part", emits="l"),
        step("right", "part", emits="r"),
        step("both", join("l", "r"), returns=True),
    )
    driver = play(definition, _three_deep, seed)
    expected = [(item, part) for item in range(3) for part in range(2)]
    assert driver.run.result == [{"l": pair, "r": pair} for pair in expected]
