"""Who is activated by what, and with which input."""

from __future__ import annotations

from runfold.flow.events import FlowStart, StepScheduled
from runfold.flow.inputs import trigger
from runfold.testing.building import after, collect, each, failed, flow, join, step
from runfold.testing.driver import BROKEN, Driver


def test_the_entry_is_activated_once_with_the_input_of_the_run() -> None:
    driver = Driver(flow(step("start")), FlowStart(run_id="r", flow="f", definition="h", input=7))
    assert driver.topics() == ["flow.start", "step.scheduled"]
    assert driver.claim("start").input == 7


def test_an_emit_activates_its_subscriber_with_the_payload() -> None:
    driver = Driver(flow(step("start", emits="x"), step("next", "x")))
    driver.do("start", 1, ("x", {"n": 1}))
    assert driver.claim("next").input == {"n": 1}


def test_every_emit_of_an_event_activates_its_subscriber_once() -> None:
    driver = Driver(flow(step("start", emits="x"), step("next", "x")))
    driver.do("start", 1, ("x", 1), ("x", 2), ("x", 3))
    assert [driver.claim("next", number).input for number in (1, 2, 3)] == [1, 2, 3]


def test_one_emit_activates_all_its_subscribers_in_order_of_steps() -> None:
    driver = Driver(flow(step("start", emits="x"), step("b", "x"), step("a", "x")))
    driver.do("start", 1, "x")
    assert list(driver.jobs) == [("b", 1), ("a", 1)]


def test_any_of_takes_each_emit_and_names_it_as_the_trigger() -> None:
    driver = Driver(flow(step("start", emits="x y"), step("next", each("x", "y"))))
    driver.do("start", 1, ("y", 1), ("x", 2))
    assert trigger(driver.jobs["next", 1].inputs) == "y"
    assert trigger(driver.jobs["next", 2].inputs) == "x"


def test_an_event_name_is_opaque() -> None:
    driver = Driver(
        flow(step("start", emits="order order.paid"), step("a", "order"), step("b", "order.paid"))
    )
    driver.do("start", 1, "order.paid")
    assert list(driver.jobs) == [("b", 1)]


def test_after_gives_the_result_of_the_completion() -> None:
    driver = Driver(flow(step("start"), step("next", after("start"))))
    driver.do("start", 1, result={"sum": 3})
    assert driver.claim("next").input == {"sum": 3}


def test_after_comes_behind_the_emits_of_the_same_attempt() -> None:
    driver = Driver(flow(step("start", emits="x"), step("end", after("start")), step("a", "x")))
    driver.do("start", 1, "x")
    assert list(driver.jobs) == [("a", 1), ("end", 1)]


def test_failed_gives_step_input_error_and_attempts() -> None:
    driver = Driver(
        flow(step("start", emits="x"), step("work", "x", retry=1), step("mend", failed("work")))
    )
    driver.do("start", 1, ("x", {"doc": 1}))
    driver.claim("work")
    driver.fail("work", error=BROKEN)
    driver.settle()
    failure = driver.claim("mend").input
    assert failure["step"] == "work"
    assert failure["input"] == {"doc": 1}
    assert failure["error"]["message"] == "oops"
    assert failure["attempts"] == 1


def test_a_failure_keeps_the_inputs_of_a_join() -> None:
    driver = Driver(
        flow(
            step("start", emits="x y"),
            step("both", join("x", "y"), retry=1),
            step("mend", failed("both")),
        )
    )
    driver.do("start", 1, ("x", 1), ("y", 2))
    driver.claim("both")
    driver.fail("both")
    driver.settle()
    assert driver.claim("mend").input["input"] == {"x": 1, "y": 2}


def test_parsed_or_failed_are_collected_all_or_nothing() -> None:
    driver = Driver(
        flow(
            step("start", emits="doc"),
            step("parse", "doc", retry=1),
            step("gather", collect(after("parse"), failed("parse"))),
        )
    )
    driver.do("start", 1, ("doc", "a"), ("doc", "b"), ("doc", "c"))
    driver.do("parse", 3, result="C")
    driver.claim("parse", 2)
    driver.fail("parse", 2)
    driver.settle()
    driver.do("parse", 1, result="A")
    first, second, third = driver.claim("gather").input
    assert (first, second["input"], third) == ("A", "b", "C")


def test_a_schedule_names_what_caused_it() -> None:
    driver = Driver(flow(step("start", emits="x"), step("next", "x")))
    driver.do("start", 1, "x")
    scheduled = driver.found(StepScheduled)[-1]
    assert scheduled.event == StepScheduled(
        queue="default", name=driver.run.open["next", 1].name, trigger="x", input_refs=("start/0",)
    )
    assert (scheduled.attempt, scheduled.key) == (1, None)
    assert scheduled.cause == driver.history[3].version


def test_an_emit_that_nobody_takes_changes_nothing_and_is_named_at_the_end() -> None:
    driver = Driver(flow(step("start", emits="x lost"), step("next", "x")))
    driver.do("start", 1, "x", "lost")
    driver.do("next")
    assert driver.history[-1].event.untaken == ("lost",)


def test_a_loop_counts_its_activations() -> None:
    driver = Driver(flow(step("start", emits="again"), step("work", "again", emits="again")))
    driver.do("start", 1, "again")
    driver.do("work", 1, "again")
    driver.do("work", 2, "again")
    driver.do("work", 3)
    assert driver.run.status == "completed"
    assert driver.scheduled("work") == 3
