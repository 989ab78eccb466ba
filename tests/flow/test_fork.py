"""Runs that go on from a place in the past of another."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flow.branching import LATER, MOST, SEEDS, TWO_SIDES, begun, forked, half_way, version_of
from flow.test_properties import told
from runfold.errors import InvalidInput, Unforkable
from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition, LimitDefinition, RetryPolicy
from runfold.flow.fork import descend, fork
from runfold.flow.selection import prefix
from runfold.kernel.event import Draft
from runfold.testing.building import after, flow, step
from runfold.testing.driver import NOON, OOPS, Driver, Outcome, Work, play
from runfold.testing.strategies import definitions, script


def test_a_fork_keeps_what_was_done_and_starts_again_what_was_under_way() -> None:
    origin = half_way()
    new = forked(origin, len(origin.history))
    assert new.topics()[-2:] == ["step.released", "step.retry"]
    assert new.ready() == [("b", 1)]
    assert new.claim("b").attempt == 1  # What another run's worker does is not charged here.
    new.complete("b", 1, "b")
    new.settle()
    assert new.do("end") == {"a": "a", "b": "b"}
    assert new.run.status == "completed"


def test_a_copy_has_the_versions_and_causes_of_its_origin() -> None:
    origin = half_way()
    copied = forked(origin, len(origin.history)).history[1 : len(origin.history)]
    assert [one._replace(position=0, ts=NOON) for one in copied] == [
        one._replace(position=0, ts=NOON) for one in origin.history[1:]
    ]


def test_a_fork_of_which_only_the_end_is_left_is_ended_by_who_decides_next() -> None:
    origin = Driver(flow(step("start")))
    origin.do("start")
    new = forked(origin, len(origin.history) - 1)
    assert new.topics()[-1] == "step.completed"
    new.settle()
    assert new.topics()[-1] == "flow.completed"


def test_a_queued_activation_is_queued_in_the_fork_under_its_own_event() -> None:
    origin = Driver(TWO_SIDES)
    origin.do("start", 1, "go")
    past = prefix(origin.history, TWO_SIDES, len(origin.history))
    _, rows = fork(past, descend(past[0], TWO_SIDES, now=NOON), TWO_SIDES, {})
    places = [(row.step, origin.history[row.draft].step, row.kind) for row in rows]
    assert places == [("a", "a", None), ("b", "b", None)]


def test_a_cut_inside_an_attempts_effects_is_the_version_before_them() -> None:
    origin = half_way()
    emitted = version_of(origin, ev.Emit, "a")
    new = forked(origin, emitted)
    assert [one.event.name for one in new.found(ev.Emit)] == ["go"]
    assert new.ready() == [("a", 1), ("b", 1)]
    assert len(prefix(origin.history, TWO_SIDES, emitted)) == emitted - 1
    assert origin.history[emitted - 2].event.TOPIC == "step.started"


def test_state_that_no_attempt_set_stands_by_itself() -> None:
    origin = half_way()
    origin.append([Draft(ev.State(operation="set", key="own", value=1))])
    assert origin.history[-2].step is not None
    assert len(prefix(origin.history, TWO_SIDES, len(origin.history))) == len(origin.history)


def test_a_moment_takes_all_that_was_recorded_by_then() -> None:
    origin = Driver(TWO_SIDES)
    origin.do("start", 1, "go")
    origin.now += timedelta(seconds=10)
    origin.do("a", 1, "a")
    before = forked(origin, NOON)
    assert before.names() == forked(origin, NOON + timedelta(seconds=5)).names()
    new = forked(origin, NOON + timedelta(seconds=5))
    assert [act.status for act in new.run.steps] == ["completed", "queued", "queued"]


@pytest.mark.parametrize("at", [0, -1, 1000, NOON - timedelta(seconds=1)])
def test_a_place_outside_of_the_run_is_refused(at: int | datetime) -> None:
    with pytest.raises(InvalidInput, match=r"versions 1 to|did not exist") as caught:
        forked(half_way(), at)
    assert [one["loc"] for one in caught.value.details] == ["at"]


def test_a_moment_before_the_run_is_answered_with_that_of_its_start() -> None:
    origin = Driver(TWO_SIDES)
    origin.now += timedelta(seconds=10)
    origin.do("start", 1, "go")
    before = NOON - timedelta(seconds=1)
    with pytest.raises(InvalidInput) as caught:
        forked(origin, before)
    assert str(caught.value) == f"the run did not exist at {before}; it was created {NOON}"


def test_a_place_where_the_run_drained_is_refused_and_the_last_good_one_named() -> None:
    origin = half_way()
    good = len(origin.history)
    origin.cancel()
    with pytest.raises(Unforkable, match=f"'cancelling'.*version {good} or before"):
        forked(origin, good + 1)
    origin.release("b")
    origin.settle()
    with pytest.raises(Unforkable, match=f"'cancelled'.*version {good} or before"):
        forked(origin, len(origin.history))
    assert forked(origin, good).run.status == "running"


def test_a_fork_of_a_paused_run_is_not_paused() -> None:
    origin = half_way()
    origin.pause()
    new = forked(origin, len(origin.history))
    assert (new.run.status, new.topics()[-3]) == ("running", "flow.resumed")


def test_a_new_input_is_read_by_what_has_not_completed() -> None:
    origin = Driver(TWO_SIDES)
    origin.claim("start")
    assert forked(origin, 3, input="other").claim("start").input == "other"


def test_state_is_as_it_was_with_as_much_time_left() -> None:
    origin = Driver(TWO_SIDES)
    origin.claim("start")
    states = [
        ev.State(operation="set", key="lasting", value=1),
        ev.State(operation="set", key="gone", value=2, ttl=5),
        ev.State(operation="set", key="short", value=3, ttl=60),
        ev.State(operation="set", key="counted", value=10, ttl=5),
    ]
    origin.complete("start", 1, "go", states=states)
    origin.settle()
    origin.now += timedelta(seconds=20)
    origin.claim("a")
    origin.complete("a", 1, "a", states=[ev.State(operation="add", key="counted", value=1)])
    new = forked(origin, len(origin.history), state={"own": [1], "lasting": 7})
    assert new.run.values(LATER) == {"lasting": 7, "short": 3, "counted": 1, "own": [1]}
    assert new.run.data["short"].expires_at == LATER + timedelta(seconds=40)


def test_state_that_ends_at_the_moment_of_the_cut_is_not_there_any_more() -> None:
    origin = Driver(TWO_SIDES)
    origin.claim("start")
    states = [ev.State(operation="set", key=key, value=1, ttl=20) for key in ("end", "new")]
    origin.complete("start", 1, "go", states=states)
    origin.settle()
    origin.now += timedelta(seconds=20)
    origin.claim("a")
    origin.complete("a", 1, "a", states=[ev.State(operation="add", key="new", value=1, ttl=5)])
    new = forked(origin, len(origin.history))
    assert set(new.run.data) == {"new"}
    assert [one.event for one in new.found(ev.State)[-2:]] == [
        ev.State(operation="delete", key="end"),
        ev.State(operation="set", key="new", value=1, ttl=5.0),
    ]


def test_state_that_stays_as_it_is_copied_is_not_set_again() -> None:
    origin = Driver(TWO_SIDES)
    origin.claim("start")
    origin.complete("start", 1, "go", states=[ev.State(operation="set", key="is", value=1)])
    assert len(forked(origin, len(origin.history)).found(ev.State)) == 1


def test_a_copy_keeps_the_keys_of_its_origin() -> None:
    by_user = LimitDefinition(kind="concurrency", max=1, key="user")
    origin = Driver(flow(step("start", emits="x"), step("work", "x", limits=(by_user,))))
    origin.do("start", 1, ("x", {"user": "zoe"}))
    keys = [recorded.key for recorded in origin.history]
    assert keys[-1] == "zoe"
    assert [recorded.key for recorded in forked(origin, len(keys)).history] == keys


def test_a_retry_timer_keeps_its_moment() -> None:
    slow = flow(step("start", retry=RetryPolicy(base=100, jitter=0, cap=100)))
    origin = Driver(slow)
    origin.claim("start")
    origin.fail("start")
    origin.settle()
    new = forked(origin, len(origin.history), now=NOON)
    (timer,) = new.timers
    assert (timer[0], timer[1].kind, timer[1].attempt) == (
        NOON + timedelta(seconds=100), "retry", 2,
    )  # fmt: skip
    (retry,) = new.found(ev.StepRetry)
    assert isinstance(retry.event, ev.StepRetry)
    assert retry.event.retry_at == NOON + timedelta(seconds=100)
    late = forked(origin, len(origin.history))
    late.wait(0)
    assert late.ready() == [("start", 1)]


def test_each_activation_keeps_the_moment_of_its_own_retry() -> None:
    origin = Driver(flow(step("start", emits="x"), step("a", "x")))
    origin.do("start", 1, "x", "x")
    for number, seconds in ((1, 10), (2, 20)):
        origin.claim("a", number)
        origin.fail("a", number, retry_after=seconds)
        origin.settle()
    new = forked(origin, len(origin.history), now=NOON)
    assert [(row.activation, due) for due, row in new.timers] == [
        (1, NOON + timedelta(seconds=10)), (2, NOON + timedelta(seconds=20)),
    ]  # fmt: skip


def test_a_delayed_start_keeps_its_moment_and_is_due_at_once_when_it_has_passed() -> None:
    start = ev.FlowStart(run_id="r", flow="flow", definition=TWO_SIDES.hash, delay=600)
    origin = Driver(TWO_SIDES, start)
    soon = forked(origin, 2, now=NOON)
    assert [(due, row.kind) for due, row in soon.timers] == [
        (NOON + timedelta(seconds=600), "start")
    ]
    late = forked(origin, 2)
    assert late.run.status == "scheduled"
    late.wait(0)
    assert late.ready() == [("start", 1)]
    assert late.run.due_at == NOON + timedelta(seconds=600)


def test_a_deadline_in_seconds_counts_anew_and_a_moment_stays() -> None:
    start = ev.FlowStart(run_id="r", flow="flow", definition=TWO_SIDES.hash, deadline=30.0)
    new = forked(Driver(TWO_SIDES, start), 1)
    assert [(due, row.kind) for due, row in new.timers] == [
        (LATER + timedelta(seconds=30), "deadline")
    ]
    moment = start.model_copy(update={"deadline": NOON + timedelta(minutes=90)})
    new = forked(Driver(TWO_SIDES, moment), 1)
    assert new.timers[0][0] == NOON + timedelta(minutes=90)


def test_a_deadline_that_has_passed_is_refused_unless_another_is_given() -> None:
    passed = NOON + timedelta(minutes=1)
    start = ev.FlowStart(run_id="r", flow="flow", definition=TWO_SIDES.hash, deadline=passed)
    origin = Driver(TWO_SIDES, start)
    with pytest.raises(Unforkable, match=r"deadline.*has passed; give"):
        forked(origin, 1)
    assert forked(origin, 1, deadline=None).timers == []
    with pytest.raises(Unforkable) as caught:
        descend(origin.history[0], TWO_SIDES, now=passed)
    assert str(caught.value) == (
        f"its deadline, {passed}, has passed; give the new run another with deadline=, or None for "
        "the flow's own"
    )


def test_a_descendant_is_due_when_its_origin_was_and_has_what_is_not_the_origins_alone() -> None:
    start = ev.FlowStart(
        run_id="r", flow="flow", definition="of old", input=1, key="k", parent_run_id="p",
        delay=600.0, tags=("a",), priority=3,
    )  # fmt: skip
    (first, *_) = Driver(TWO_SIDES, start).history
    due_at = NOON + timedelta(seconds=600)
    kept = ev.FlowStart(
        run_id="r", flow="flow", definition=TWO_SIDES.hash, input=1, tags=("a",), priority=3,
        due_at=due_at,
    )  # fmt: skip
    assert descend(first, TWO_SIDES, now=NOON) == kept
    moment = first._replace(event=kept)
    assert descend(moment, TWO_SIDES, now=LATER, run_id="new") == kept.model_copy(
        update={"run_id": "new"}
    )
    said = descend(first, TWO_SIDES, now=NOON, deadline=30.0)
    assert said.deadline == due_at + timedelta(seconds=30)


def test_a_deadline_of_the_flow_counts_from_when_a_delayed_run_is_due() -> None:
    late = flow(step("start"), deadline=30.0)
    start = ev.FlowStart(run_id="r", flow="flow", definition=late.hash, delay=600)
    new = forked(Driver(late, start), 2)
    kinds = {row.kind: due for due, row in new.timers}
    assert kinds["deadline"] == LATER + timedelta(seconds=30)


def test_another_definition_is_followed_where_the_past_comes_about_in_it() -> None:
    origin = half_way()
    longer = flow(*TWO_SIDES.steps, step("audit", after("a")), name="flow")
    new = begun(origin, prefix(origin.history, TWO_SIDES, len(origin.history)), longer)
    assert sorted(new.ready()) == [("audit", 1), ("b", 1)]
    assert new.run.definition == longer


def test_another_definition_in_which_the_past_does_not_come_about_is_refused() -> None:
    origin = half_way()
    other = flow(
        step("start", emits="go"), step("b", "go", emits="b"), step("a", after("b"), emits="a")
    )
    past = prefix(origin.history, TWO_SIDES, len(origin.history))
    with pytest.raises(Unforkable) as caught:
        begun(origin, past, other)
    name, version = next(
        (one.event.name, one.version)
        for one in past
        if isinstance(one.event, ev.StepScheduled) and one.step == "a"
    )
    assert str(caught.value) == (
        f"activation {name!r} of version {version} does not come about with this definition of the "
        "flow: what its step subscribes to, or what leads there, has changed; begin before that "
        "version, or keep the recorded definition"
    )
    assert begun(origin, past[:2], other).ready() == [("start", 1)]


def test_a_fork_of_a_fork_is_linked_to_the_fork_and_keeps_every_name() -> None:
    origin = half_way()
    first = forked(origin, len(origin.history), state={"n": 1})
    second = forked(first, len(first.history), origin={"runId": "new"})
    assert second.run.data["n"].value == 1
    assert second.names() == origin.names()
    assert second.ready() == [("b", 1)]
    assert second.history[0].event.origin == {"runId": "new"}  # type: ignore[attr-defined]


@given(definitions(), SEEDS, SEEDS, SEEDS, st.data())
@MOST
def test_a_fork_at_any_version_ends_as_its_origin(
    definition: FlowDefinition, seed: int, order: int, other: int, data: st.DataObject
) -> None:
    handlers = script(definition, seed)
    origin = play(definition, handlers, order, chaos=0.2)
    cut = data.draw(st.integers(1, len(origin.history)))
    try:
        new = forked(origin, cut)
    except Unforkable:
        assume(False)
    assert told(play(definition, handlers, other, driver=new)) == told(origin)


def scripted(work: Work) -> Outcome:
    return Outcome(error=OOPS if work.attempt < 3 else None)


def test_attempts_that_were_charged_stay_charged() -> None:
    origin = play(flow(step("start", retry=RetryPolicy(base=0))), scripted)
    cut = version_of(origin, ev.StepRetry)
    new = forked(origin, cut)
    assert [new.claim("start").attempt] == [2]
