"""What a run returns."""

from __future__ import annotations

from runfold.testing.building import after, failed, flow, step
from runfold.testing.driver import BROKEN, Driver


def test_the_step_with_returns_says_it() -> None:
    driver = Driver(flow(step("start", emits="x", returns=True), step("next", "x")))
    driver.do("start", 1, "x", result="mine")
    driver.do("next", 1, result="not mine")
    assert driver.run.result == "mine"


def test_the_only_leaf_says_it() -> None:
    driver = Driver(flow(step("start", emits="x"), step("next", "x")))
    driver.do("start", 1, "x", result="no")
    driver.do("next", 1, result="yes")
    assert driver.run.result == "yes"


def test_a_leaf_that_ran_more_than_once_gives_a_list_in_causal_order() -> None:
    driver = Driver(flow(step("start", emits="x"), step("next", "x")))
    driver.do("start", 1, "x", "x", "x")
    for number in (3, 1, 2):
        driver.do("next", number, result=number)
    assert driver.run.result == [1, 2, 3]


def test_two_results_are_a_list_already() -> None:
    driver = Driver(flow(step("start", emits="x"), step("next", "x")))
    driver.do("start", 1, "x", "x")
    for number in (2, 1):
        driver.do("next", number, result=number)
    assert driver.run.result == [1, 2]


def test_a_leaf_that_never_ran_gives_none() -> None:
    driver = Driver(flow(step("start", emits="x"), step("next", "x")))
    driver.do("start", 1, result="no")
    assert driver.run.result is None


def test_several_leaves_give_a_dict_of_those_that_ran() -> None:
    driver = Driver(flow(step("start", emits="ok no"), step("yes", "ok"), step("other", "no")))
    driver.do("start", 1, "ok")
    driver.do("yes", 1, result=1)
    assert driver.run.result == {"yes": 1}


def test_a_step_followed_by_after_is_no_leaf() -> None:
    driver = Driver(flow(step("start"), step("next", after("start"))))
    driver.do("start", 1, result=1)
    driver.do("next", 1, result=2)
    assert driver.run.result == 2


def test_a_handler_of_failures_does_not_change_whose_result_it_is() -> None:
    driver = Driver(flow(step("start", emits="x"), step("a", "x"), step("mend", failed("a"))))
    driver.do("start", 1, "x", "x")
    driver.claim("a", 2)
    driver.fail("a", 2, error=BROKEN)
    driver.settle()
    driver.do("mend", 1, result="mended")
    driver.do("a", 1, result="kept")
    assert driver.run.result == "kept"
