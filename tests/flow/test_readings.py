"""What is read out of single events and plans: retries, limits, inputs, spans of time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flow.branching import TWO_SIDES, forked, half_way
from runfold.errors import InvalidInput
from runfold.flow import events as ev
from runfold.flow.attempts import DELAY_MAX, holds
from runfold.flow.definition import LimitDefinition, RetryPolicy
from runfold.flow.inputs import (
    failure,
    gathered,
    labelled,
    one,
    replaced,
    replaced_at,
    resolve,
    trigger,
    versions,
)
from runfold.flow.retry import backoff, never_of, policy_of
from runfold.flow.start import amended, told
from runfold.flow.state import Entry
from runfold.flow.trace import Trace
from runfold.flow.values import change
from runfold.flow.why import why
from runfold.kernel.event import Draft, Recorded
from runfold.testing.building import flow, join, step
from runfold.testing.driver import BROKEN, NOON, OOPS, Driver

LATER = NOON + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("said", "until"),
    [
        ({"charged": True, "retry_after": 5.0}, None),
        ({"charged": False}, None),
        ({"charged": False, "retry_after": 5.0}, 5.0),
        ({"charged": False, "retry_after": DELAY_MAX * 2}, DELAY_MAX),
        ({"charged": False, "retry_at": LATER}, LATER),
        ({"charged": False, "retry_at": LATER, "retry_after": 5.0}, LATER),
    ],
)
def test_what_admitted_an_attempt_is_held_off_as_its_handler_was_told(
    said: dict[str, Any], until: Any
) -> None:
    assert holds(ev.StepErrored(queue="q", error=OOPS, **said)) == until


def test_a_start_may_name_what_is_not_tried_again() -> None:
    assert never_of({"never": ["ValueError", 7, "KeyError"]}) == ("ValueError", "KeyError")
    assert never_of({"never": "ValueError"}) == never_of({}) == never_of(None) == ()


def test_a_start_changes_what_it_names_of_a_policy() -> None:
    step_has = RetryPolicy(max_attempts=3, base=2.0, cap=100.0)
    assert policy_of(step_has, None) == policy_of(step_has, {}) == step_has
    changed = policy_of(step_has, {"maxAttempts": 7, "base": "no number", "cap": 5})
    assert (changed.max_attempts, changed.base, changed.cap) == (7, 2.0, 5)
    assert policy_of(step_has, {"max_attempts": 1}).max_attempts == 1


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(0, 2.0), (1, 2.0), (2, 6.0), (3, 18.0), (4, 20.0), (10_000, 20.0)]
)
def test_pauses_grow_by_a_factor_up_to_a_cap(attempt: int, seconds: float) -> None:
    policy = RetryPolicy(base=2.0, factor=3.0, cap=20.0, jitter=0.0)
    assert backoff(policy, attempt, "seed") == seconds


def test_a_pause_is_spread_by_its_seed_and_never_above_the_cap() -> None:
    policy = RetryPolicy(base=10.0, factor=1.0, cap=12.0, jitter=0.5)
    pauses = [backoff(policy, 1, f"seed {number}") for number in range(200)]
    assert 5.0 <= min(pauses) < 6.0
    assert max(pauses) == 12.0
    assert pauses == [backoff(policy, 1, f"seed {number}") for number in range(200)]
    assert round(pauses[0], 6) == 6.850008


EVENTS: dict[int, Any] = {
    1: ev.FlowStart(run_id="r", flow="f", definition="d", input="in"),
    2: ev.Emit(name="x", payload="payload"),
    3: ev.StepCompleted(queue="q", result="result", duration=1),
    4: ev.StepFailed(queue="q", error=OOPS, attempts=2),
}


def test_a_plan_says_which_events_make_an_input() -> None:
    assert versions(None) == []
    assert versions(one(3)) == [3]
    assert versions(labelled({"a": 3, "b": 2})) == [2, 3]
    assert versions(gathered([3, 2, 3, failure(4, "s", one(1))])) == [1, 2, 3, 4]


def test_a_plan_is_resolved_from_these_events() -> None:
    assert resolve(None, EVENTS) is None
    assert [resolve(one(version), EVENTS) for version in (1, 2, 3)] == ["in", "payload", "result"]
    assert resolve(labelled({"a": 3, "b": 2}), EVENTS) == {"a": "result", "b": "payload"}
    assert resolve(gathered([3, 2]), EVENTS) == ["result", "payload"]
    assert resolve(one(4), EVENTS) is None, "nobody takes a failure as if it were a result"
    failed = resolve(one(failure(4, "pay", one(2))), EVENTS)
    assert (failed["step"], failed["attempts"], failed["input"]) == ("pay", 2, "payload")
    assert failed["error"]["code"] == OOPS.code


def test_a_plan_says_what_replaced_the_input_of_its_run() -> None:
    assert replaced_at(replaced(7, one(2, "x"))) == 7
    assert replaced_at(one(7)) is replaced_at(None) is replaced_at([]) is None
    assert versions(replaced(3, labelled({"a": 2}))) == [2, 3]
    assert resolve(replaced(3, labelled({"a": 2})), EVENTS) == {"a": "payload"}


def test_only_a_single_payload_has_a_trigger() -> None:
    assert trigger(one(2, "x")) == "x"
    assert trigger(["one", 2]) is trigger(one(2)) is trigger(None) is None
    assert trigger(["of", 5, one(2, "x")]) == "x"
    assert trigger(labelled({"a": 2})) is trigger(gathered([2, 3, 4])) is None


def test_a_start_is_read_with_what_replaced_its_input() -> None:
    start = Recorded(1, 1, 1, NOON, EVENTS[1].model_copy(update={"delay": 60.0}))
    paused = Recorded(2, 1, 2, NOON, ev.FlowPaused())
    only = Recorded(3, 1, 3, LATER, ev.FlowInputReplaced(input="new"))
    with_delay = Recorded(3, 1, 3, LATER, ev.FlowInputReplaced(input="new", delay=30.0))
    read: Any = amended(start, only).event
    assert (read.input, read.due_at, read.delay) == ("new", None, 60.0)
    read = amended(start, with_delay).event
    assert (read.input, read.due_at, read.delay) == ("new", LATER + timedelta(seconds=30), None)
    at_a_moment = Recorded(
        3, 1, 3, LATER, ev.FlowInputReplaced(input="new", due_at=NOON, delay=9.0)
    )
    read = amended(start, at_a_moment).event
    assert (read.input, read.due_at, read.delay) == ("new", NOON, None)
    assert told([start, paused, with_delay]) == [amended(start, with_delay), paused]


def test_spans_of_several_attempts_add_up() -> None:
    driver = Driver(flow(step("start", retry=RetryPolicy(base=30, jitter=0, cap=30))))
    for _ in range(2):
        driver.now += timedelta(seconds=1)
        driver.claim("start")
        driver.now += timedelta(seconds=2)
        driver.fail("start")
        driver.settle()
        driver.wait(30)
    driver.now += timedelta(seconds=4)
    (deed,) = Trace(driver.definition, driver.history).deeds.values()
    assert deed.spent(driver.now) == (6.0, 4.0, 60.0)
    driver.claim("start")
    driver.now += timedelta(seconds=8)
    (deed,) = Trace(driver.definition, driver.history).deeds.values()
    assert deed.spent(driver.now) == (6.0, 12.0, 60.0)


def test_a_timer_that_is_late_is_waited_for_as_long() -> None:
    driver = Driver(flow(step("start", retry=RetryPolicy(base=30, jitter=0, cap=30))))
    driver.claim("start")
    driver.fail("start")
    driver.settle()
    driver.wait(40)
    driver.now += timedelta(seconds=2)
    (deed,) = Trace(driver.definition, driver.history).deeds.values()
    assert deed.spent(driver.now) == (2.0, 0.0, 40.0)


def test_a_moment_takes_no_time() -> None:
    driver = Driver(flow(step("start", emits="x"), step("a", "x")))
    driver.do("start", 1, "x")
    trace = Trace(driver.definition, driver.history)
    assert [deed.spent(NOON) for deed in trace.deeds.values()] == [(0.0, 0.0, 0.0)] * 2
    driver.claim("a")
    (_, deed) = Trace(driver.definition, driver.history).deeds.values()
    assert deed.spent(NOON) == (0.0, 0.0, 0.0)
    assert (deed.result, deed.tries[-1].outcome, deed.tries[-1].worker) == (None, None, "w")


def test_what_nothing_caused_is_caused_by_the_start() -> None:
    driver = Driver(flow(step("start"), step("a", "x")))
    odd = ev.StepScheduled(queue="default", name="odd")
    driver.append([Draft(odd, "a", 1, 1)])
    assert Trace(driver.definition, driver.history).deeds["odd"].cause == 1


def test_a_reader_may_change_what_it_is_told_of_the_state() -> None:
    driver = Driver(flow(step("start")))
    driver.claim("start")
    appended = [ev.State(operation="append", key="all", value=n) for n in (1, 2)]
    driver.complete("start", states=appended)
    driver.run.values()["all"].append(3)
    assert driver.run.values() == {"all": [1, 2]}


def test_an_answer_names_what_was_asked_about_and_each_link_its_moments() -> None:
    driver = half_way()
    answer = why(driver.definition, driver.history, "a#1", now=driver.now)
    assert (answer.run_id, answer.step, answer.status) == ("r", "a#1", "running")
    assert [(link.number, link.scheduled_at, link.ended_at) for link in answer.chain] == [
        (1, NOON, NOON), (1, NOON, NOON),
    ]  # fmt: skip
    with pytest.raises(InvalidInput) as caught:
        why(TWO_SIDES, driver.history, "zzz#1", now=driver.now)
    message = (
        "'zzz#1' is no step of flow 'flow'; it has ['start', 'a', 'b', 'end']"
    )  # fmt: skip
    assert (str(caught.value), caught.value.details) == (
        message, [{"loc": "step", "msg": message}],
    )  # fmt: skip


def test_a_cancelled_run_took_as_long_as_its_last_event_says() -> None:
    driver = half_way()
    driver.now += timedelta(seconds=5)
    driver.cancel("too late")
    driver.release("b")
    driver.settle()
    (end,) = driver.found(ev.FlowCancelled)
    assert end.event == ev.FlowCancelled(reason="too late", duration=5000.0)


def test_a_deadline_that_passes_while_a_run_fails_does_not_take_the_place_of_its_error() -> None:
    graph = flow(step("start", emits="x"), step("a", "x", retry=1), step("b", "x"), deadline=60.0)
    driver = Driver(graph)
    driver.do("start", 1, "x")
    driver.claim("a")
    driver.claim("b")
    driver.fail("a", error=BROKEN)
    driver.settle()
    driver.wait(60)
    assert [one.event.kind for one in driver.found(ev.TimerDue)] == ["grace", "deadline"]
    assert (driver.run.error, driver.run.failed_step) == (BROKEN, "a")


def test_a_fork_keeps_the_key_of_an_attempt_that_it_gives_back() -> None:
    by_user = LimitDefinition(kind="concurrency", max=1, key="user")
    driver = Driver(flow(step("start", emits="x"), step("work", "x", limits=(by_user,))))
    driver.do("start", 1, ("x", {"user": "zoe"}))
    driver.claim("work")
    fork = forked(driver, len(driver.history))
    (released,) = fork.found(ev.StepReleased)
    assert (released.step, released.key) == ("work", "zoe")


def test_a_retry_waits_until_its_handler_said_and_names_what_it_follows() -> None:
    driver = Driver(flow(step("start", retry=3)))
    driver.claim("start")
    driver.fail("start", retry_at=LATER)
    driver.settle()
    (errored,), (retry,) = driver.found(ev.StepErrored), driver.found(ev.StepRetry)
    assert retry.cause == errored.version
    assert [(due, row.kind, row.due_at) for due, row in driver.timers] == [(LATER, "retry", LATER)]


@pytest.mark.parametrize(("operation", "first", "value"), [("append", [1], [1, 2]), ("add", 1, 3)])
def test_what_is_changed_ends_when_it_did_unless_another_time_is_said(
    operation: Any, first: Any, value: Any
) -> None:
    data = {"n": Entry(first, LATER)}
    change(data, ev.State(operation=operation, key="n", value=2), None, NOON)
    assert (data["n"].value, data["n"].expires_at) == (value, LATER)
    soon = NOON + timedelta(seconds=5)
    change(data, ev.State(operation=operation, key="n", value=2, ttl=5), soon, NOON)
    assert data["n"].expires_at == soon
    change(data, ev.State(operation=operation, key="new", value=2, ttl=5), soon, NOON)
    assert data["new"].expires_at == soon


def test_of_two_numbers_that_cannot_be_added_the_greater_counts() -> None:
    huge = 10**400
    for first, second in ((1.5, huge), (huge, 1.5), (1.5, -huge)):
        data: dict[str, Entry] = {}
        for value in (first, second):
            change(data, ev.State(operation="add", key="sum", value=value), None, NOON)
        assert abs(data["sum"].value) == huge


def test_a_step_that_has_run_says_which_pair_it_lacks_unless_one_of_its_runs_is_meant() -> None:
    graph = flow(
        step("start", emits="item"), step("a", "item", emits="x"), step("b", "item", emits="y"),
        step("pair", join("x", "y")),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "item", "item")
    driver.do("a", 1, "x")
    driver.do("b", 1, "y")
    driver.do("pair", 1)
    driver.do("a", 2, "x")

    def holds_of(asked: str) -> list[tuple[str, tuple[str, ...]]]:
        answer = why(graph, driver.history, asked, now=driver.now)
        return [(hold.kind, hold.missing) for hold in answer.holds]

    assert holds_of("pair") == [("join", ("y",))]
    assert holds_of("pair#1") == []
    driver.cancel()
    driver.settle()
    assert holds_of("pair") == []
