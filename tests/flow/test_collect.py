"""A collect waits for what can still lead to it, and knows no time."""

from __future__ import annotations

import pytest

from runfold.testing.building import after, collect, failed, flow, join, step
from runfold.testing.driver import Driver, Outcome, Work, play

FAN = flow(
    step("start", emits="item"),
    step("map", "item", emits="done"),
    step("gather", collect("done")),
)


def started(definition: object, *emits: object) -> Driver:
    driver = Driver(definition)  # type: ignore[arg-type]
    driver.do("start", 1, *emits)
    return driver


def test_a_collect_runs_once_when_nothing_leads_to_it_any_more() -> None:
    driver = started(FAN, ("item", 1), ("item", 2))
    driver.do("map", 2, ("done", "b"))
    assert driver.scheduled("gather") == 0
    driver.do("map", 1, ("done", "a"))
    assert driver.claim("gather").input == ["a", "b"]


def test_the_order_is_that_of_the_causes_and_their_ordinals() -> None:
    driver = started(FAN, *[("item", number) for number in range(5)])
    for number in (4, 2, 5, 1, 3):
        driver.do("map", number, ("done", (number, "first")), ("done", (number, "second")))
    assert driver.claim("gather").input == [
        (number, which) for number in (1, 2, 3, 4, 5) for which in ("first", "second")
    ]


def test_a_collect_of_nothing_is_skipped() -> None:
    driver = started(FAN, "item")
    driver.do("map", 1)
    assert driver.run.status == "completed"
    assert driver.scheduled("gather") == 0
    assert driver.history[-1].event.unfired == ()


def test_a_collect_of_too_few_is_skipped_and_named() -> None:
    definition = flow(
        step("start", emits="item"),
        step("map", "item", emits="done"),
        step("gather", collect("done", at_least=2)),
    )
    driver = started(definition, "item")
    driver.do("map", 1, "done")
    assert driver.run.status == "completed"
    assert driver.history[-1].event.unfired == ("gather",)


def test_a_collect_of_at_least_none_runs_with_an_empty_list() -> None:
    definition = flow(
        step("start", emits="item"),
        step("gather", collect("item", at_least=0)),
    )
    driver = started(definition)
    assert driver.claim("gather").input == []


def test_a_retry_is_waited_for() -> None:
    driver = started(FAN, "item", "item")
    driver.do("map", 1, "done")
    driver.claim("map", 2)
    driver.fail("map", 2)
    driver.settle()
    assert driver.scheduled("gather") == 0
    driver.wait(5)
    driver.do("map", 2, "done")
    assert len(driver.claim("gather").input) == 2


def test_a_handled_failure_lets_the_collect_go_on_without_it() -> None:
    definition = flow(
        step("start", emits="item"),
        step("map", "item", emits="done", retry=1),
        step("mend", failed("map")),
        step("gather", collect("done")),
    )
    driver = started(definition, "item", "item")
    driver.do("map", 2, ("done", "b"))
    driver.claim("map", 1)
    driver.fail("map", 1)
    driver.settle()
    assert driver.claim("gather").input == ["b"]


def test_a_collect_behind_a_collect_waits_for_it() -> None:
    definition = flow(
        step("start", emits="item other"),
        step("first", collect("item"), emits="sum"),
        step("second", collect("sum", "other")),
    )
    driver = started(definition, ("item", 1), ("item", 2), ("other", "o"))
    assert driver.scheduled("second") == 0
    assert driver.do("first", 1, ("sum", 3)) == [1, 2]
    assert driver.claim("second").input == ["o", 3]


def test_a_skipped_collect_releases_the_one_behind_it() -> None:
    definition = flow(
        step("start", emits="item other"),
        step("first", collect("item"), emits="sum"),
        step("second", collect("sum", "other")),
    )
    driver = started(definition, ("other", "o"))
    assert driver.claim("second").input == ["o"]


def test_a_join_that_can_still_fire_is_waited_for() -> None:
    definition = flow(
        step("start", emits="go"),
        step("a", "go", emits="x"),
        step("b", "go", emits="y"),
        step("both", join("x", "y"), emits="pair"),
        step("gather", collect("pair")),
    )
    driver = started(definition, "go", "go")
    for number in (1, 2):
        driver.do("a", number, "x")
    driver.do("b", 1, "y")
    driver.do("both", 1, ("pair", 1))
    assert driver.scheduled("gather") == 0
    driver.do("b", 2)
    assert driver.claim("gather").input == [1]


def test_a_collect_of_completions_takes_the_results() -> None:
    definition = flow(
        step("start", emits="item"), step("map", "item"), step("gather", collect(after("map")))
    )
    driver = started(definition, "item", "item")
    driver.do("map", 2, result=20)
    driver.do("map", 1, result=10)
    assert driver.claim("gather").input == [10, 20]


def test_a_loop_is_collected_in_the_order_of_its_turns() -> None:
    definition = flow(
        step("start", emits="again"),
        step("work", "again", emits="again item"),
        step("gather", collect("item")),
    )
    driver = started(definition, "again")
    for turn in range(1, 6):
        emits = ["again"] if turn < 5 else []
        driver.do("work", turn, *emits, ("item", turn))
    assert driver.claim("gather").input == [1, 2, 3, 4, 5]


def test_a_loop_through_a_join_is_collected_in_the_order_of_its_turns() -> None:
    definition = flow(
        step("start", emits="again"),
        step("a", "again", emits="x"),
        step("b", "again", emits="y item"),
        step("both", join("x", "y"), emits="again"),
        step("gather", collect("item")),
    )
    driver = started(definition, "again")
    for turn in range(1, 5):
        driver.do("a", turn, "x")
        driver.do("b", turn, "y", ("item", turn))
        driver.do("both", turn, *(["again"] if turn < 4 else []))
    assert driver.claim("gather").input == [1, 2, 3, 4]


def test_a_long_and_a_short_way_keep_the_order_of_their_items() -> None:
    definition = flow(
        step("start", emits="item"),
        step("look", "item", emits="done more"),
        step("dig", "more", emits="done"),
        step("gather", collect("done")),
    )
    driver = started(definition, *[("item", number) for number in (1, 2, 3)])
    driver.do("look", 3, ("done", 3))
    driver.do("look", 2, ("more", 2))
    driver.do("look", 1, ("done", 1))
    driver.do("dig", 1, ("done", 2))
    assert driver.claim("gather").input == [1, 2, 3]


def _mapped(work: Work) -> Outcome:
    if work.step == "start":
        return Outcome(emits=[("item", number) for number in range(6)])
    if work.step == "map":
        return Outcome(emits=[("done", work.input)] * (work.input % 3))
    return Outcome(result=work.input)


@pytest.mark.parametrize("seed", range(8))
def test_no_interleaving_changes_what_is_collected(seed: int) -> None:
    driver = play(FAN, _mapped, seed, chaos=0.2)
    assert driver.run.result == [1, 2, 2, 4, 5, 5]
