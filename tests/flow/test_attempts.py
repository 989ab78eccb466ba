"""Retries: what is charged, what is final, and when the next attempt comes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runfold.flow.definition import RetryPolicy
from runfold.flow.events import FlowStart, StepCompleted, StepFailed, StepRetry
from runfold.kernel.event import Draft
from runfold.testing.building import flow, step
from runfold.testing.driver import BROKEN, NOON, OOPS, Driver


def claimed(**options: object) -> Driver:
    driver = Driver(flow(step("start", **options), failure="ignore"))
    driver.claim("start")
    return driver


def test_an_error_is_retried_after_its_backoff() -> None:
    driver = claimed(retry=RetryPolicy(base=2, jitter=0))
    driver.fail("start")
    driver.settle()
    retry = driver.found(StepRetry)[-1]
    assert retry.event == StepRetry(
        queue="default", error=OOPS, next_attempt=2, delay=2000, reason="errored"
    )
    assert retry.attempt == 1
    assert driver.run.open["start", 1].status == "retrying"
    assert not driver.jobs
    driver.wait(2)
    assert driver.run.open["start", 1].status == "queued"
    assert driver.claim("start").attempt == 2


def test_a_backoff_of_nothing_is_ready_at_once() -> None:
    driver = claimed(retry=RetryPolicy(base=0))
    driver.fail("start")
    driver.settle()
    assert driver.claim("start").attempt == 2


def test_max_attempts_counts_all_executions() -> None:
    driver = claimed(retry=2)
    driver.fail("start")
    driver.settle()
    driver.wait(60)
    driver.claim("start")
    driver.fail("start")
    driver.settle()
    assert driver.found(StepFailed)[0].event.attempts == 2
    assert len(driver.found(StepRetry)) == 1


def test_one_attempt_fails_at_once() -> None:
    driver = claimed(retry=1)
    driver.fail("start")
    driver.settle()
    assert driver.found(StepRetry) == []
    assert driver.found(StepFailed)[0].event.error == OOPS


def test_a_permanent_error_is_final() -> None:
    driver = claimed(retry=5)
    driver.fail("start", error=BROKEN)
    driver.settle()
    assert driver.found(StepRetry) == []
    assert len(driver.found(StepFailed)) == 1


def test_the_handler_says_when() -> None:
    driver = claimed(retry=5)
    driver.fail("start", retry_at=NOON + timedelta(hours=1))
    driver.settle()
    assert driver.timers[0][0] == NOON + timedelta(hours=1)
    assert driver.found(StepRetry)[0].event.delay == 3_600_000


def test_a_moment_in_the_past_means_at_once() -> None:
    driver = claimed(retry=5)
    driver.fail("start", retry_at=NOON - timedelta(hours=1))
    driver.settle()
    assert driver.claim("start").attempt == 2


def test_a_part_of_a_second_is_waited_for() -> None:
    driver = claimed(retry=5)
    driver.fail("start", retry_after=0.5)
    driver.settle()
    assert [(due, row.kind) for due, row in driver.timers] == [
        (NOON + timedelta(seconds=0.5), "retry")
    ]


def test_the_handler_says_in_how_long() -> None:
    driver = claimed(retry=5)
    driver.fail("start", retry_after=7)
    driver.settle()
    assert driver.timers[0][0] == NOON + timedelta(seconds=7)


def test_a_rate_limit_is_not_charged() -> None:
    driver = claimed(retry=1)
    driver.fail("start", charged=False, retry_after=3)
    driver.settle()
    assert driver.found(StepRetry)[0].event.reason == "limited"
    driver.wait(3)
    assert driver.claim("start").attempt == 1


def test_a_stalled_attempt_is_charged_and_tried_again_at_once() -> None:
    driver = claimed(retry=2)
    driver.stall("start")
    driver.settle()
    assert driver.found(StepRetry)[0].event.reason == "stalled"
    assert driver.claim("start").attempt == 2


def test_the_last_attempt_that_stalls_fails_the_step() -> None:
    driver = claimed(retry=1)
    driver.stall("start")
    driver.settle()
    assert driver.found(StepFailed)[0].event.error.code == "STALLED"


def test_a_released_attempt_is_not_charged() -> None:
    driver = claimed(retry=1)
    driver.release("start")
    driver.settle()
    assert driver.found(StepRetry)[0].event.reason == "released"
    assert driver.claim("start").attempt == 1


def test_nothing_that_a_failed_attempt_recorded_takes_effect() -> None:
    driver = Driver(flow(step("start", emits="x"), step("next", "x")))
    driver.claim("start")
    driver.fail("start")
    driver.settle()
    driver.wait(60)
    driver.do("start", 1, ("x", "second"))
    assert driver.scheduled("next") == 1
    assert driver.run.open["next", 1].name.startswith("next~")
    assert driver.claim("next").input == "second"


@pytest.mark.parametrize("said", [{"max_attempts": 2}, {"maxAttempts": 2}])
def test_the_start_overrides_the_policy_of_every_step(said: dict[str, int]) -> None:
    start = FlowStart(run_id="r", flow="f", definition="h", retry=said)
    driver = Driver(flow(step("start", retry=9), failure="ignore"), start)
    for _ in range(2):
        driver.claim("start")
        driver.fail("start")
        driver.settle()
        driver.wait(60)
    assert driver.found(StepFailed)[0].event.attempts == 2


def test_a_fact_of_another_attempt_changes_nothing() -> None:
    driver = claimed(retry=3)
    driver.stall("start")
    driver.settle()
    late = StepCompleted(queue="default", result="late", duration=1)
    driver.append([Draft(late, "start", 1, 1)])
    act = driver.run.open["start", 1]
    assert (act.status, act.attempt) == ("queued", 2)
