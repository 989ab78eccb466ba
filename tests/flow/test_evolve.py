"""What is folded of histories that no engine would write: remembered as far as it makes sense."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition
from runfold.flow.run import Run, evolve, new
from runfold.kernel.event import Draft, Recorded
from runfold.testing.building import collect, each, flow, step
from runfold.testing.driver import NOON

THREE = flow(
    step("start", emits="x"), step("a", "x", emits="y", compensated=True), step("sum", collect("y"))
)  # fmt: skip


def scheduled(name: str = "odd") -> ev.StepScheduled:
    return ev.StepScheduled(queue="default", name=name)


def folded(*drafts: Draft, definition: FlowDefinition = THREE, **said: object) -> Run:
    """Return a run that has begun, after these."""
    run = new(definition)
    start = ev.FlowStart(run_id="r", flow="flow", definition=definition.hash, **said)
    for number, draft in enumerate([Draft(start), *drafts], start=1):
        evolve(run, Recorded(number, 1, number, NOON + timedelta(seconds=number), *draft))
    return run


# What a start and a schedule say.


def test_a_run_has_what_its_start_says() -> None:
    run = folded(
        input=[1], tags=("a",), key="k", priority=3, deadline=9.0, retry={"max_attempts": 2},
        timeout=4.0, parent_run_id="p", delay=60.0,
    )  # fmt: skip
    assert (run.input, run.tags, run.key, run.priority) == ([1], ("a",), "k", 3)
    assert (run.deadline, run.retry, run.timeout, run.parent) == (
        9.0, {"max_attempts": 2}, 4.0, "p",
    )  # fmt: skip
    assert (run.delay, run.waits) == (60.0, True)
    assert run.due_at == NOON + timedelta(seconds=61)
    assert run.created_at == run.began_at == NOON + timedelta(seconds=1)


def test_only_the_first_start_counts() -> None:
    again = ev.FlowStart(run_id="other", flow="flow", definition=THREE.hash, input=2)
    assert folded(Draft(again), input=1).input == 1


def test_an_activation_is_at_the_attempt_and_version_of_its_schedule() -> None:
    run = folded(Draft(scheduled("one"), "a", 1, 3), Draft(scheduled("two"), "a", 2))
    one, two = run.steps
    assert (one.name, one.attempt, one.version, one.compensates) == ("one", 3, 2, False)
    assert (two.name, two.attempt, two.version, two.number) == ("two", 1, 3, 2)


@pytest.mark.parametrize("place", [("a", None), (None, 1), (None, None), ("strange", 1)])
def test_a_schedule_of_nothing_changes_nothing(place: tuple[str | None, int | None]) -> None:
    run = folded(Draft(scheduled(), *place))
    assert (run.steps, run.open, run.counts, run.activations) == ([], {}, {}, 0)


def test_the_next_number_of_a_step_is_above_all_that_it_had() -> None:
    run = folded(Draft(scheduled("b"), "a", 3), Draft(scheduled("c"), "a", 2))
    assert run.counts == {"a": 3}


def test_an_activation_that_nothing_asked_for_is_waited_for() -> None:
    def waiting(*drafts: Draft) -> int:
        return folded(*drafts).pressure[2]

    assert waiting(Draft(scheduled(), "a", 1)) == waiting() + 1
    assert waiting(Draft(scheduled(), "a.compensate", 1)) == waiting()


# Another input.


def test_a_moment_goes_before_a_span() -> None:
    later = NOON + timedelta(hours=1)
    replaced = ev.FlowInputReplaced(input=2, due_at=later, delay=5.0)
    run = folded(Draft(scheduled("start"), "start", 1, 1), Draft(replaced))
    assert (run.due_at, run.delay, run.waits) == (later, 5.0, True)


def test_a_flow_without_entry_has_no_input_to_replace() -> None:
    run = folded(
        Draft(ev.FlowInputReplaced(input=2)), definition=flow(step("a", each("x"))), input=1
    )
    assert (run.input, run.input_version) == (1, 1)
