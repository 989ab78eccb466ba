"""Why a run, or a step of it, is where it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow.branching import MOST, SEEDS, TWO_SIDES, half_way
from runfold.errors import InvalidInput
from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition, RetryPolicy
from runfold.flow.run import fold
from runfold.flow.why import Why, why
from runfold.flow.work import Gate
from runfold.kernel.event import Recorded
from runfold.testing.building import after, collect, failed, flow, step
from runfold.testing.driver import BROKEN, NOON, OOPS, Driver, play
from runfold.testing.strategies import definitions, script


def asked(driver: Driver, step: str | None = None) -> Why:
    return why(driver.definition, driver.history, step, now=driver.now)


def kinds(answer: Why) -> list[tuple[str, str]]:
    return [(hold.step, hold.kind) for hold in answer.holds]


def take(driver: Driver, seconds: float, step: str, *emits: Any, queued: float = 0) -> None:
    driver.now += timedelta(seconds=queued)
    driver.claim(step)
    driver.now += timedelta(seconds=seconds)
    driver.complete(step, 1, *emits)
    driver.settle()


def test_the_chain_of_an_ended_run_is_its_critical_path() -> None:
    driver = Driver(TWO_SIDES)
    take(driver, 1, "start", "go")
    take(driver, 2, "a", "a", queued=3)
    take(driver, 10, "b", "b")
    take(driver, 4, "end", queued=1)
    answer = asked(driver)
    assert [(link.step, link.queued, link.executing) for link in answer.chain] == [
        ("start", 0, 1), ("b", 5, 10), ("end", 1, 4),
    ]  # fmt: skip
    assert (answer.total, answer.queued, answer.executing) == (21, 6, 15)
    assert answer.summary == "run r completed (after 21.000 s)"
    assert str(answer).splitlines()[2] == (
        "  b on go: completed; queued 5.000 s, executed 10.000 s (version 7, position 7)"
    )


def test_waiting_for_a_retry_is_told_from_waiting_in_a_queue() -> None:
    driver = Driver(flow(step("start", retry=RetryPolicy(base=30, jitter=0, cap=30))))
    driver.claim("start")
    driver.now += timedelta(seconds=1)
    driver.fail("start", error=OOPS)
    driver.settle()
    (hold,) = asked(driver).holds
    assert (hold.kind, hold.until) == ("retrying", driver.now + timedelta(seconds=30))
    driver.wait(30)
    take(driver, 2, "start", queued=5)
    (link,) = asked(driver).chain
    assert (link.attempt, link.queued, link.executing, link.waited) == (2, 5, 3, 30)


def test_a_join_names_what_is_there_and_what_is_missing() -> None:
    answer = asked(half_way(), "end")
    (absent, hold) = answer.holds
    assert (absent.kind, absent.by) == ("waiting", ("b",))
    assert (hold.kind, hold.there, hold.missing, hold.lane) == ("join", ("a",), ("b",), "start/0")
    assert "has a and lacks b" in hold.text
    assert "b is still under way" in hold.text
    assert kinds(asked(half_way())) == [("b", "running"), ("end", "join")]


def test_a_join_that_never_starts_is_blocked_by_what_failed() -> None:
    driver = Driver(TWO_SIDES)
    driver.do("start", 1, "go")
    driver.do("b", 1, "b")
    driver.claim("a")
    driver.fail("a", error=BROKEN)
    driver.settle()
    (hold,) = asked(driver, "end").holds
    assert (hold.kind, hold.by) == ("blocked", ("a",))
    assert "blocked by a, which failed for good (EXECUTION_ERROR: oops)" in hold.text
    answer = asked(driver)
    assert answer.summary.startswith("run r failed in a: EXECUTION_ERROR: oops")
    assert [link.step for link in answer.chain] == ["start", "a"]
    assert kinds(answer) == [("end", "blocked")]


def test_what_lies_behind_a_blocked_step_names_the_first_cause() -> None:
    driver = Driver(flow(step("start", emits="x", retry=1), step("b", "x"), step("c", after("b"))))
    driver.claim("start")
    driver.fail("start", error=BROKEN)
    driver.settle()
    (hold,) = asked(driver, "c").holds
    assert (hold.kind, hold.by) == ("blocked", ("start",))


def test_a_branch_that_was_not_taken_is_skipped() -> None:
    graph = flow(
        step("start", emits="ok no"), step("yes", "ok"), step("other", "no"),
        step("rescue", failed("yes")), step("gather", collect("nothing", at_least=1)),
        step("never", emits="nothing", taken="no"),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "ok")
    driver.do("yes")
    said = {hold.step: (hold.kind, hold.text) for hold in asked(driver).holds}
    assert said["other"] == ("skipped", "was skipped: start completed without emitting no")
    assert said["rescue"] == ("skipped", "was skipped: yes did not fail")
    assert said["gather"][0] == "skipped"


def test_a_collect_names_what_can_still_lead_to_it() -> None:
    driver = Driver(
        flow(step("start", emits="go"), step("map", "go", emits="x"), step("sum", collect("x")))
    )
    driver.do("start", 1, "go", "go")
    driver.do("map", 1, "x")
    hold = asked(driver, "sum").holds[-1]
    assert (hold.kind, hold.by) == ("collect", ("map",))
    assert hold.text == "has gathered 1, and waits for map"


def test_what_is_queued_paused_delayed_or_executes_says_so() -> None:
    driver = Driver(TWO_SIDES)
    assert kinds(asked(driver)) == [("start", "queued")]
    driver.pause()
    assert kinds(asked(driver)) == [("start", "paused")]
    driver.resume()
    driver.claim("start")
    (hold,) = asked(driver).holds
    assert (hold.kind, hold.worker) == ("running", "w")
    start = ev.FlowStart(run_id="r", flow="flow", definition=TWO_SIDES.hash, delay=60)
    (hold,) = asked(Driver(TWO_SIDES, start)).holds
    assert (hold.kind, hold.until) == ("delayed", NOON + timedelta(seconds=60))


def test_what_no_dispatcher_has_decided_says_so() -> None:
    driver = Driver(TWO_SIDES)
    driver.claim("start")
    driver.complete("start", 1, "go")
    assert kinds(asked(driver)) == [("a", "undecided"), ("b", "undecided")]
    driver.settle()
    driver.claim("a")
    driver.fail("a")
    assert kinds(asked(driver))[0] == ("a", "undecided")


def test_a_cancelled_run_says_why_and_what_was_never_reached() -> None:
    driver = half_way()
    driver.cancel("too late")
    assert kinds(asked(driver))[0] == ("b", "running")
    driver.release("b")
    driver.settle()
    answer = asked(driver)
    assert answer.summary.startswith("run r cancelled: too late")
    assert kinds(answer) == [("end", "blocked")]


@pytest.mark.parametrize(
    ("step", "said"),
    [("zzz", "no step of flow"), ("a#2", "1 activations, not number 2"), ("a#x", "no step")],
)
def test_what_is_not_there_cannot_be_asked_about(step: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        asked(half_way(), step)


def test_one_of_several_activations_is_asked_for_by_its_number() -> None:
    driver = Driver(flow(step("start", emits="x"), step("work", "x")))
    driver.do("start", 1, "x", "x")
    driver.do("work", 2)
    assert [asked(driver, f"work#{n}").chain[-1].number for n in (1, 2)] == [1, 2]
    assert asked(driver, "work").chain[-1].number == 2


def test_a_long_chain_is_cut_at_its_far_end() -> None:
    driver = Driver(flow(step("start", emits="x"), step("loop", "x", emits="x")))
    driver.do("start", 1, "x")
    for n in range(1, 1101):
        driver.do("loop", n, "x")
    answer = asked(driver, "loop")
    assert (len(answer.chain), answer.earlier) == (1000, 102)
    assert "... 1072 before" in str(answer)


@given(definitions(), SEEDS, SEEDS, st.data())
@MOST
def test_every_moment_of_every_run_has_an_answer(
    definition: FlowDefinition, seed: int, order: int, data: st.DataObject
) -> None:
    driver = play(definition, script(definition, seed), order, chaos=0.2)
    history = driver.history[: data.draw(st.integers(1, len(driver.history)))]
    for name in (None, *definition.by_name):
        answer = why(definition, history, name, now=driver.now)
        assert str(answer)
        if name is None and answer.status not in {"completed", "failed", "cancelled"}:
            waits = {"undecided", "queued", "running", "retrying", "draining"}
            quiet = not any(hold.kind in waits for hold in answer.holds)
            # Nothing to wait for: the dispatcher has its end, or its drain, to record.
            assert quiet == (not driver_waits(definition, history))


def driver_waits(definition: FlowDefinition, history: list[Recorded]) -> bool:
    run = fold(definition, history)
    return bool(run.open) or (bool(run.due) and run.gate < Gate.CLOSED)


def test_a_summary_says_no_more_than_there_is() -> None:
    def summary(driver: Driver) -> str:
        return why(driver.definition, driver.history, None, now=driver.now).summary

    driver = Driver(flow(step("start"), step("next", after("start"))))
    driver.claim("start")
    driver.complete("start")
    driver.cancel()
    assert summary(driver) == "run r is cancelling (after 0.000 s)"
    driver.settle()
    assert summary(driver) == "run r cancelled (after 0.000 s)"
    late = Driver(flow(step("start"), deadline=60.0))
    late.wait(60)
    late.settle()
    assert summary(late) == (
        "run r failed: DEADLINE_EXCEEDED: the run was not finished at its deadline (after 60.000 s)"
    )


def test_the_chain_of_a_failed_run_leads_to_what_failed_it_not_to_what_ended_last() -> None:
    driver = Driver(flow(step("start", emits="x"), step("work", "x"), failure="finish"))
    driver.do("start", 1, "x", "x")
    driver.claim("work", 1)
    driver.fail("work", 1, error=BROKEN)
    driver.settle()
    driver.do("work", 2)
    driver.now += timedelta(hours=1)
    answer = asked(driver)
    assert [(link.step, link.number, link.status) for link in answer.chain] == [
        ("start", 1, "completed"), ("work", 1, "failed"),
    ]  # fmt: skip
    assert [link.name for link in answer.chain] == [act.name for act in driver.run.steps[:2]]
    assert answer.total == 0.0, "what ended took as long as it took"


def test_what_is_tried_again_has_no_error_yet() -> None:
    driver = Driver(flow(step("start", retry=2)))
    driver.claim("start")
    driver.fail("start", error=OOPS)
    driver.settle()
    assert asked(driver, "start").summary == "start retrying"
