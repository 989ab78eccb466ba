"""Strategies draw what they say, and all of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold.flow.definition import FlowDefinition
from runfold.flow.events import ENDS, FlowStart
from runfold.flow.graph import validate
from runfold.flow.run import fold
from runfold.kernel.event import Recorded
from runfold.testing import Faults
from runfold.testing.building import flow, step
from runfold.testing.driver import Work
from runfold.testing.simulation.faults import KINDS
from runfold.testing.strategies import broken_histories, definitions, faults, histories, scripts
from testing.drawing import SOME, first

TINY = flow(step("s0", emits="e0"), step("s1", "e0"))


@given(histories())
@SOME
def test_a_history_could_have_happened(history: list[Recorded]) -> None:
    start = history[0].event
    assert isinstance(start, FlowStart)
    assert [recorded.version for recorded in history] == list(range(1, len(history) + 1))
    ends = [recorded for recorded in history if recorded.event.TOPIC in ENDS]
    assert ends in ([], [history[-1]])


@given(st.data(), definitions(steps_max=3))
@SOME
def test_a_history_follows_the_definition_that_is_given(
    data: st.DataObject, definition: FlowDefinition
) -> None:
    history = data.draw(histories(definition))
    start = history[0].event
    assert isinstance(start, FlowStart)
    assert start.definition == definition.hash
    assert {recorded.step for recorded in history if recorded.step} <= {
        *definition.by_name, *(f"{name}.compensate" for name in definition.by_name),
    }  # fmt: skip


def test_whole_and_unfinished_histories_are_drawn_and_what_callers_ask() -> None:
    def topics(history: list[Recorded]) -> set[str]:
        return {recorded.event.TOPIC for recorded in history}

    for topic in ("flow.completed", "flow.cancelled", "flow.failed", "flow.paused", "step.stalled"):
        assert first(histories(TINY), lambda history, t=topic: t in topics(history))
    unfinished = first(histories(TINY), lambda h: not topics(h) & ENDS and len(h) > 2)
    assert not fold(TINY, unfinished).finished_at


def test_a_script_does_the_same_again() -> None:
    @given(scripts(TINY), st.integers(1, 2))
    @SOME
    def holds(script, attempt: int) -> None:  # type: ignore[no-untyped-def]
        work = Work("s0", "s0", 1, attempt, None)
        assert script(work) == script(work)
        assert {name for name, _ in script(work).emits} <= {"e0"}

    holds()
    for wanted in (lambda out: out.error, lambda out: len(out.emits) == 2, lambda out: out.emits):
        first(scripts(TINY), lambda script, w=wanted: bool(w(script(Work("s0", "s0", 1, 1, None)))))
    tame = scripts(TINY, failing=False)

    @given(tame)
    @SOME
    def never_fails(script) -> None:  # type: ignore[no-untyped-def]
        assert script(Work("s0", "s0", 1, 1, None)).error is None

    never_fails()


def test_a_definition_may_have_all_there_is() -> None:
    kinds = {"each", "all", "collect"}
    for kind in kinds:
        found = first(definitions(), lambda d, k=kind: any(_kind(s) == k for s in d.steps))
        assert validate(found) == []
    assert first(definitions(), lambda d: any(s.compensated for s in d.steps))
    assert first(definitions(failures=("ignore",)), lambda d: True).failure == "ignore"
    assert len(first(definitions(steps_max=1), lambda d: len(d.steps) > 1).steps) == 2


def _kind(one) -> str:  # type: ignore[no-untyped-def]
    return one.subscription.kind if one.subscription else "entry"


def test_a_broken_history_is_broken() -> None:
    def is_broken(history: list[Recorded]) -> bool:
        return bool(history) and not isinstance(history[0].event, FlowStart)

    history = first(broken_histories(), is_broken)
    assert fold(TINY, history).status == "running"


@given(faults(most=0.01))
@SOME
def test_a_plan_of_faults_is_as_bad_as_it_may_be(plan: Faults) -> None:
    assert all(0 <= getattr(plan, kind) <= 0.01 for kind in KINDS)


def test_a_plan_may_have_no_fault_and_every_kind() -> None:
    assert first(faults(), lambda plan: plan == Faults.none())
    for kind in KINDS:
        assert first(faults(), lambda plan, kind=kind: getattr(plan, kind) > 0)


@pytest.mark.parametrize("most", [0, -0.1, 1.5, float("nan")])
def test_what_is_no_probability_is_refused_when_it_is_asked(most: float) -> None:
    with pytest.raises(ValueError, match=f"most is {most!r}, expected a probability above 0"):
        faults(most=most)
