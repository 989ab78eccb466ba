"""What replays, differences and faults of limits say, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from flow.test_replay import diamond, played
from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition, LimitDefinition, StepDefinition
from runfold.flow.diff import ABSENT, DIFFERENCES_MAX, Diff, Difference
from runfold.flow.faults_limits import faults_of_limit, faults_of_limits
from runfold.flow.replay import Diverges, Same, Unknown, replay
from runfold.flow.seal import erased
from runfold.kernel.event import Event, Recorded
from runfold.kernel.registry import Registry, UnknownEvent
from runfold.testing.building import collect, each, failed, flow, join, on, step
from runfold.testing.driver import BROKEN, NOON, Driver

# Replays.


def test_a_verdict_says_where_and_what() -> None:
    assert str(Same()) == "same"
    assert str(Unknown(7, "why not")) == "unknown beyond version 7: why not"
    of_step, of_run = (
        Diverges(3, "step.failed", "pay", "another error: recorded 'A', today 'B'"),
        Diverges(4, "flow.completed", None, "another result: recorded 1, today 2"),
    )
    assert str(of_step) == (
        "diverges at version 3, step.failed of step 'pay': another error: recorded 'A', today 'B'"
    )
    assert str(of_run) == (
        "diverges at version 4, flow.completed: another result: recorded 1, today 2"
    )
    assert (of_step.group, of_run.group) == (
        "step.failed pay: another error", "flow.completed: another result",
    )  # fmt: skip


def begun(run: str = "r") -> list[Recorded]:
    start = ev.FlowStart(run_id=run, flow="flow", definition="d")
    return [Recorded(1, 1, 1, NOON, start)]


def test_a_fact_of_a_step_that_was_never_scheduled_ends_what_can_be_said() -> None:
    started = Recorded(2, 1, 2, NOON, ev.StepStarted(queue="q", worker="w"), "pay", 1, 1)
    assert replay([*begun(), started], flow(step("start"))) == Unknown(
        2, "step 'pay' was never scheduled"
    )


def fan(*names: str) -> FlowDefinition:
    return flow(step("start", emits="go"), *(step(name, on("go")) for name in names))


@pytest.mark.parametrize(
    ("today", "would"),
    [
        (fan("b"), "step.scheduled b~"),
        (fan("b", "c", "d", "e", "f"), "f~"),
        (fan("b", "c", "d", "e", "f", "g"), " and 1 more"),
        (fan("b", "c", "d", "e", "f", "g", "h"), " and 2 more"),
    ],
)
def test_what_would_be_decided_instead_is_named_up_to_five(
    today: FlowDefinition, would: str
) -> None:
    driver = Driver(fan("a"))
    driver.do("start", 1, "go")
    verdict = replay(driver.history, today)
    assert isinstance(verdict, Diverges)
    said = verdict.what.removeprefix("today's code does not decide this: it would decide ")
    assert said != verdict.what
    assert would in said
    assert said.count("step.scheduled") == min(5, len(today.steps) - 1)
    assert ("more" in said) == (" more" in would)


def test_the_end_that_would_be_decided_instead_is_named() -> None:
    driver = Driver(fan("a"))
    driver.do("start", 1, "go")
    verdict = replay(driver.history, flow(step("start", emits="go")))
    assert isinstance(verdict, Diverges)
    assert verdict.what == "today's code does not decide this: it would decide the end"


def instead(history: list[Recorded], event: Event, today: FlowDefinition) -> str:
    """Return what is said when ``event``, of the entry, is recorded behind ``history``."""
    last = history[-1]
    odd = last._replace(version=last.version + 1, event=event, step="start", activation=1)
    verdict = replay([*history, odd], today)
    assert isinstance(verdict, Diverges)
    return verdict.what.removeprefix("today's code does not decide this: it would decide ")


def test_what_would_be_decided_instead_has_its_kind_and_place() -> None:
    one = flow(step("start", retry=1))
    driver = Driver(one)
    driver.claim("start")
    cancelled = ev.StepCancelled(queue="default")
    assert instead(driver.history, cancelled, one) == "nothing"
    driver.fail("start")
    assert instead(driver.history, cancelled, one) == "step.retry or step.failed start"
    retry = ev.StepRetry(queue="default", next_attempt=2, delay=0, reason="errored")
    assert instead(driver.history, retry, one) == (
        "recorded was step.retry, today's code decides step.failed"
    )
    endless = flow(step("start", emits="x"), step("a", "x", emits="x"), activations_max=1)
    driver = Driver(endless)
    driver.claim("start")
    driver.complete("start", 1, "x")
    assert instead(driver.history, cancelled, endless) == "flow.draining"


def test_two_that_would_be_decided_instead_stand_side_by_side() -> None:
    two = fan("b", "c")
    driver = Driver(two)
    driver.claim("start")
    driver.complete("start", 1, "go")
    names = list(driver.run.due)
    assert instead(driver.history, ev.StepCancelled(queue="default"), two) == (
        f"step.scheduled {names[0]}, step.scheduled {names[1]}"
    )


def test_more_than_one_batch_may_have_been_decided_in_any_order() -> None:
    driver = Driver(fan("a"))
    driver.claim("start")
    driver.complete("start", 1, *["go"] * 501)
    before = list(driver.history)
    decided = driver.decide(limit=501)
    rest = [
        Recorded(number, 1, number, NOON, *draft)
        for number, draft in enumerate(reversed(decided.drafts), start=len(before) + 1)
    ]
    assert replay([*before, *rest], driver.definition) == Same()


def test_another_number_of_the_next_attempt_is_told() -> None:
    driver = Driver(flow(step("start", retry=2)))
    driver.claim("start")
    driver.fail("start")
    driver.settle()
    last = driver.history[-1]
    other = last._replace(event=last.event.model_copy(update={"next_attempt": 5}))
    assert replay([*driver.history[:-1], other], driver.definition) == Diverges(
        last.version, "step.retry", "start", "another attempt: recorded 5, today 2"
    )


def test_a_run_that_waited_for_its_time_is_the_same() -> None:
    one = flow(step("start"))
    driver = Driver(one, ev.FlowStart(run_id="r", flow="flow", definition="d", delay=60))
    driver.wait(60)
    driver.do("start", states=[ev.State(operation="set", key="n", value=1, ttl=5)])
    assert replay(driver.history, one) == Same()


def failing(name: str, error: ev.ErrorInfo) -> Driver:
    driver = Driver(flow(step("start", retry=1), name="flow"))
    driver.claim("start")
    driver.fail("start", error=error)
    driver.settle()
    return driver


def test_another_end_of_a_failed_run_is_told_by_its_code() -> None:
    driver = failing("start", BROKEN)
    (last,) = [one for one in driver.history if isinstance(one.event, ev.StepFailed)]
    other = ev.ErrorInfo(type="X", code="OTHER", message="m")
    changed = last._replace(event=last.event.model_copy(update={"error": other}))
    history = [changed if one is last else one for one in driver.history]
    assert replay(history, driver.definition) == Diverges(
        last.version, "step.failed", "start",
        "another error: recorded 'OTHER', today 'EXECUTION_ERROR'",
    )  # fmt: skip
    end = driver.history[-1]
    assert isinstance(end.event, ev.FlowFailed)
    elsewhere = end._replace(event=end.event.model_copy(update={"failed_step": "else"}))
    assert replay([*driver.history[:-1], elsewhere], driver.definition) == Diverges(
        end.version, "flow.failed", None, "another failed step: recorded 'else', today 'start'"
    )
    recoded = end._replace(event=end.event.model_copy(update={"error": other}))
    assert replay([*driver.history[:-1], recoded], driver.definition) == Diverges(
        end.version, "flow.failed", None,
        "another error: recorded 'OTHER', today 'EXECUTION_ERROR'",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "called"), [("input", "input"), ("emit", "emit 'go'"), ("result", "result")]
)
def test_a_value_that_does_not_fit_is_called_what_it_is(kind: str, called: str) -> None:
    def check(asked: str, *_: Any) -> str | None:
        return "too long" if asked == kind else None

    verdict = replay(played(diamond()).history, diamond(), check)
    assert isinstance(verdict, Diverges)
    assert (verdict.step, verdict.what) == (
        "start", f"the recorded {called} does not fit: too long",
    )  # fmt: skip


def test_every_value_that_a_handler_took_or_made_is_asked_about_where_it_was_recorded() -> None:
    driver = Driver(
        flow(step("start", emits="x"), step("a", "x")),
        ev.FlowStart(run_id="r", flow="flow", definition="d", input="in"),
    )
    driver.do("start", 1, ("x", "payload"), result="one")
    driver.do("a", result="two")
    asked: list[tuple[str, str, str, Any]] = []
    assert replay(driver.history, driver.definition, lambda *of: asked.append(of)) == Same()
    assert asked == [
        ("input", "start", "", "in"), ("input", "start", "", "in"),
        ("emit", "start", "x", "payload"), ("result", "start", "", "one"),
        ("input", "a", "", "payload"), ("result", "a", "", "two"),
    ]  # fmt: skip


def test_nothing_can_be_said_of_a_run_that_was_erased() -> None:
    (start,) = begun()
    left = start._replace(state=erased(b"0" * 32, b"{}"))
    assert replay([left], flow(step("start"))) == Unknown(1, "its payloads were erased")


# Differences.


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (Difference("a", 1, "a~1", "activation", "a~1", ABSENT), "a: only in the first run"),
        (Difference("a", 2, "a~2", "activation", ABSENT, "a~2"), "a #2: only in the second run"),
        (Difference(None, None, None, "status", "failed", 1), "run status: 'failed' | 1"),
        (Difference("a", 1, "a~1", "input", ABSENT, "x" * 58), f"a input: - | '{'x' * 58}'"),
        (Difference("a", 1, "a~1", "input", 0, "x" * 59), f"a input: 0 | '{'x' * 58}…"),
    ],
)
def test_a_difference_in_a_line(difference: Difference, text: str) -> None:
    assert str(difference) == text


def test_differences_are_counted_and_the_first_forty_shown() -> None:
    one = Difference(None, None, None, "status", 1, 2)
    assert str(Diff("r", "s", (one,) * 40)).splitlines() == [
        "run r | run s: 40 differences, the first first", *["  run status: 1 | 2"] * 40,
    ]  # fmt: skip
    assert str(Diff("r", "s", (one,) * 42)).splitlines()[-1] == "  ... and 2 more"
    most = Diff("r", "s", (one,) * DIFFERENCES_MAX)
    assert str(most).startswith("run r | run s: at least 1000 differences")
    assert (most.same, Diff("r", "s", ()).same) == (False, True)


# Limits.


def keyed(taken: Any, key: str) -> StepDefinition:
    return step("s", taken, limits=(LimitDefinition(kind="concurrency", max=1, key=key),))


HERE = "step 's' has a limit with key="


@pytest.mark.parametrize(
    ("taken", "key", "said"),
    [
        (None, "user", None),
        (each(on("x")), "user.id", None),
        (each(on("x")), "@run", None),
        (collect(on("x")), "0.user", None),
        (collect(on("x")), "0", None),
        (
            collect(on("x")), "user.0",
            "'user.0', but takes a list; begin the path with a place in it, such as '0.'",
        ),
        (join("a", "b"), "a.user", None),
        (join("a", "b"), "b", None),
        (
            join("a", "b"), "ab.user",
            "'ab.user', but takes a dict with 'a', 'b'; begin the path with one of these",
        ),
        (each(failed("t")), "error.code", None),
        (
            each(failed("t")), "input.user",
            ("'input.user', but subscribes to a failure, whose input is not known when the job is "
            "made; take the key from 'step' or 'error', or use '@run'"),
        ),
        (join(a=failed("t"), b=on("x")), "b.input", None),
        (join(a=failed("t"), ab=on("x")), "ab.input", None),
        (
            join(a=failed("t"), b=on("x")), "a.input.user",
            ("'a.input.user', but subscribes to a failure, whose input is not known when the job "
            "is made; take the key from 'step' or 'error', or use '@run'"),
        ),
        (
            collect(failed("t")), "0.input",
            ("'0.input', but subscribes to a failure, whose input is not known when the job is "
            "made; take the key from 'step' or 'error', or use '@run'"),
        ),
    ],
)  # fmt: skip
def test_a_key_without_a_value_is_a_fault(taken: Any, key: str, said: str | None) -> None:
    expected = [] if said is None else [HERE + said]
    assert list(faults_of_limits(keyed(taken, key))) == expected


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (LimitDefinition(kind="concurrency", max=1), None),
        (LimitDefinition(kind="rate", max=1, per=0.5), None),
        (LimitDefinition(kind="concurrency", max=0), "it has a limit of 0; admit at least 1"),
        (
            LimitDefinition(kind="rate", max=1, per=0.0),
            "it has a rate per 0.0 seconds; it must be above 0",
        ),
        (
            LimitDefinition(kind="rate", max=1, per=float("inf")),
            "it has a rate per inf seconds; it must be above 0",
        ),
        (
            LimitDefinition(kind="concurrency", max=1, key="a..b"),
            (
                "it has a limit with key='a..b'; it is '@run', '@flow' or a dotted path into the "
                "input, without '=' and '#'"
            ),
        ),
    ],
)
def test_a_limit_that_admits_nothing_is_a_fault(limit: LimitDefinition, said: str | None) -> None:
    assert list(faults_of_limit(limit, "it")) == ([] if said is None else [said])


# Event types.


def test_an_event_of_a_newer_release_says_what_to_do() -> None:
    with pytest.raises(UnknownEvent) as caught:
        Registry([ev.FlowStart])["flow.sung"]
    assert (caught.value.topic, caught.value.version) == ("flow.sung", 1)
    assert str(caught.value) == (
        "event type 'flow.sung' (class version 1) is not known to this release of runfold; it was "
        "written by a newer one: upgrade this process"
    )
