"""Ended runs that are tried again: what is kept, and what runs once more."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flow.branching import MOST, SEEDS, TWO_SIDES, half_way, retried
from flow.test_properties import told
from runfold.errors import InvalidInput, Unforkable
from runfold.flow.definition import FlowDefinition
from runfold.testing.building import collect, failed, flow, join, step
from runfold.testing.driver import BROKEN, Driver, play
from runfold.testing.strategies import definitions, script


def test_a_retry_keeps_the_siblings_of_what_failed() -> None:
    origin = half_way()
    origin.complete("b", 1, "b")
    origin.settle()
    origin.claim("end")
    origin.fail("end", error=BROKEN)
    origin.settle()
    new = retried(origin)
    assert new.ready() == [("end", 1)]
    assert new.do("end") == {"a": "a", "b": "b"}
    assert new.run.status == "completed"


def test_what_completed_while_its_run_failed_is_kept_and_leads_on() -> None:
    origin = Driver(TWO_SIDES)
    origin.do("start", 1, "go")
    origin.claim("b")
    origin.claim("a")
    origin.fail("a", error=BROKEN)
    origin.settle()
    origin.complete("b", 1, "b", result="kept")
    origin.settle()
    assert origin.run.status == "failed"
    new = retried(origin)
    assert new.ready() == [("a", 1)]
    new.do("a", 1, "a")
    assert new.do("end") == {"a": "a", "b": "b"}


def test_what_was_cancelled_runs_again() -> None:
    origin = half_way()
    origin.cancel()
    origin.release("b")
    origin.settle()
    new = retried(origin)
    assert new.ready() == [("b", 1)]
    assert new.run.cancelling is False


def test_a_retry_from_a_step_drops_what_came_of_it() -> None:
    origin = half_way()
    origin.complete("b", 1, "b")
    origin.settle()
    origin.do("end")
    new = retried(origin, "a")
    assert new.ready() == [("a", 1)]
    assert [act.step for act in new.run.steps] == ["start", "b", "a"]


def test_what_was_compensated_runs_again() -> None:
    saga = flow(
        step("start", emits="go"),
        step("book", "go", emits="booked", compensated=True),
        step("pay", "booked", retry=1),
    )
    origin = Driver(saga)
    origin.do("start", 1, "go")
    origin.do("book", 1, "booked")
    origin.claim("pay")
    origin.fail("pay", error=BROKEN)
    origin.settle()
    origin.do("book.compensate")
    assert origin.run.status == "failed"
    new = retried(origin)
    assert new.ready() == [("book", 1)]  # The booking is undone: it cannot be paid.


def test_a_handled_failure_is_kept() -> None:
    handled = flow(
        step("start", emits="go", retry=1),
        step("rescue", failed("start"), retry=1),
    )
    origin = Driver(handled)
    origin.claim("start")
    origin.fail("start", error=BROKEN)
    origin.settle()
    origin.claim("rescue")
    origin.fail("rescue", error=BROKEN)
    origin.settle()
    assert retried(origin).ready() == [("rescue", 1)]


def test_a_collect_runs_again_when_what_it_gathers_does() -> None:
    gathering = flow(
        step("start", emits="go"),
        step("map", "go", emits="done"),
        step("sum", collect("done"), returns=True),
    )
    origin = Driver(gathering)
    origin.do("start", 1, "go", "go")
    origin.do("map", 1, "done")
    origin.do("map", 2, "done")
    origin.do("sum")
    new = retried(origin, "map")
    assert sorted(new.ready()) == [("map", 1), ("map", 2)]
    assert "sum" not in new.run.counts


@pytest.mark.parametrize(
    ("from_step", "said"), [("end", "never ran.*\\['a', 'b', 'start'\\]"), ("zzz", "is no step")]
)
def test_a_step_that_never_ran_is_refused(from_step: str, said: str) -> None:
    origin = half_way()
    origin.cancel()
    origin.release("b")
    origin.settle()
    with pytest.raises(InvalidInput, match=said):
        retried(origin, from_step)


def test_what_goes_on_or_has_completed_is_not_retried() -> None:
    origin = half_way()
    with pytest.raises(Unforkable, match="'running': only what has ended"):
        retried(origin)
    origin.complete("b", 1, "b")
    origin.settle()
    origin.do("end")
    with pytest.raises(Unforkable, match=r"has completed.*from_step"):
        retried(origin)


def test_a_retry_that_is_refused_says_what_to_do() -> None:
    origin = half_way()
    with pytest.raises(Unforkable) as goes_on:
        retried(origin)
    assert str(goes_on.value) == (
        "the run is 'running': only what has ended can be tried again; wait for it or cancel it, "
        "or fork it"
    )
    origin.complete("b", 1, "b")
    origin.settle()
    origin.do("end")
    with pytest.raises(Unforkable) as completed:
        retried(origin)
    assert str(completed.value) == (
        "the run has completed, so no step of it is to be tried again; name one with from_step=, "
        "or use fork() or restart()"
    )
    with pytest.raises(InvalidInput) as strange:
        retried(origin, "strange")
    said = "step 'strange' is no step of its flow; those that ran are ['a', 'b', 'end', 'start']"
    assert (str(strange.value), strange.value.details) == (
        said, [{"loc": "from_step", "msg": said}],
    )  # fmt: skip
    cancelled = half_way()
    cancelled.cancel()
    cancelled.complete("b")
    cancelled.settle()
    with pytest.raises(InvalidInput) as never:
        retried(cancelled, "end")
    assert str(never.value) == (
        "step 'end' never ran in this run; those that ran are ['a', 'b', 'start']"
    )


def test_a_run_that_could_only_fail_again_is_refused() -> None:
    twice = flow(
        step("start", emits="go"),
        step("one", "go", emits="x"),
        step("two", "go", emits="x y"),
        step("end", join("x", "y")),
    )
    origin = Driver(twice)
    origin.do("start", 1, "go")
    origin.do("one", 1, "x")
    origin.do("two", 1, "x", "y")
    assert origin.run.error is not None
    assert origin.run.error.code == "JOIN_AMBIGUOUS"
    with pytest.raises(Unforkable) as caught:
        retried(origin)
    assert str(caught.value) == (
        f"what begins there could only fail, as the run did: {origin.run.error.message}; begin "
        "before that, at a step that leads there, or with a definition that allows it"
    )
    assert retried(origin, "two").ready() == [("two", 1)]


@given(definitions(), SEEDS, SEEDS, SEEDS)
@MOST
def test_a_retry_of_repaired_code_ends_as_if_nothing_had_failed(
    definition: FlowDefinition, seed: int, order: int, other: int
) -> None:
    origin = play(definition, script(definition, seed), order)
    assume(origin.run.status == "failed" and not origin.run.fault)
    assume(not any(act.status == "failed" and act.node.handled for act in origin.run.steps))
    repaired = script(definition, seed, failing=False)
    try:
        new = retried(origin)
    except Unforkable:
        assume(False)
    assert told(play(definition, repaired, other, driver=new)) == told(
        play(definition, repaired, order)
    )


@given(definitions(), SEEDS, SEEDS, st.data())
@MOST
def test_a_retry_from_any_step_ends_as_its_origin(
    definition: FlowDefinition, seed: int, order: int, data: st.DataObject
) -> None:
    handlers = script(definition, seed, failing=False)
    origin = play(definition, handlers, order)
    assume(origin.run.status == "completed")
    steps = sorted({act.step for act in origin.run.steps})
    new = retried(origin, data.draw(st.sampled_from(steps)))
    assert told(play(definition, handlers, order, driver=new)) == told(origin)
