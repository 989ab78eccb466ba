"""Attempts of jobs: which failures are tried again, when, and what each of them costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runfold import (
    Context,
    PermanentError,
    Queue,
    RateLimited,
    Retry,
    RetryableError,
    Run,
    RunFailed,
    Runfold,
)
from scenarios.scene import finished, history, scenario, story

FAST = Retry(4, base=0.01, jitter=0)


async def failure(run: Run[Any]) -> RunFailed:
    """Return how a run failed."""
    with pytest.raises(RunFailed) as caught:
        await run.result(timeout=10)
    return caught.value


def raising(raises: Callable[[Context], None], retry: Retry | int = FAST) -> Queue:
    """Return a queue whose one job, ``q/work``, does what ``raises`` does, then ends well."""
    queue = Queue("q")

    @queue.job(retry=retry)
    async def work(data: Any, ctx: Context) -> int:
        raises(ctx)
        return ctx.attempt

    return queue


def fail_until(attempt: int) -> Callable[[Context], None]:
    def raises(ctx: Context) -> None:
        if ctx.attempt < attempt:
            raise OSError(f"attempt {ctx.attempt}")

    return raises


@scenario
async def test_a_job_that_fails_twice_completes_with_its_third_attempt(url: str) -> None:
    async with Runfold(url, queues=[raising(fail_until(3))]) as rf:
        run = await finished(rf, "q/work")
        assert await run.result() == 3
        retries = await history(run, "step.retry")
        started = await history(run, "step.started")
        state = await run.state()
    assert [event.attempt for event in started] == [1, 2, 3]
    assert [event.step_id for event in started] == [
        f"{run.id}__work__attempt-{n}" for n in (1, 2, 3)
    ]
    assert [event.data["nextAttempt"] for event in retries] == [2, 3]
    assert [event.data["delay"] for event in retries] == [10, 20]
    assert [event.data["reason"] for event in retries] == ["errored", "errored"]
    assert [event.data["error"]["message"] for event in retries] == ["attempt 1", "attempt 2"]
    assert (state.attempt, state.max_attempts) == (3, 4)


@scenario
async def test_a_job_that_always_fails_fails_after_its_last_attempt(url: str) -> None:
    async with Runfold(url, queues=[raising(fail_until(99), Retry(3, base=0.01))]) as rf:
        error = await failure(run := await rf.start("q/work"))
        lines = await story(run)
        (final,) = await history(run, "step.failed")
    assert (error.run_id, error.step, error.error.code) == (run.id, "work", "EXECUTION_ERROR")
    assert error.error.type == "OSError"
    assert lines.count("step.started work") == lines.count("step.errored work") == 3
    assert lines.count("step.retry work") == 2
    assert final.data["attempts"] == 3


@scenario
async def test_a_job_with_one_attempt_fails_at_once(url: str) -> None:
    async with Runfold(url, queues=[raising(fail_until(99), 1)]) as rf:
        await failure(run := await rf.start("q/work"))
        assert [line for line in await story(run) if line.startswith("step.")] == [
            "step.scheduled work", "step.started work", "step.errored work", "step.failed work",
        ]  # fmt: skip


@scenario
async def test_a_start_says_how_often_its_run_is_tried(url: str) -> None:
    async with Runfold(url, queues=[raising(fail_until(3))]) as rf:
        run = await rf.start("q/work", retry=Retry(2, base=0.01))
        assert (await failure(run)).error.message == "attempt 2"
        assert (await run.state()).max_attempts == 2


@scenario
async def test_a_number_of_attempts_leaves_the_waits_as_they_are(url: str) -> None:
    queue = raising(fail_until(2), Retry(1, base=0.02, jitter=0))
    async with Runfold(url, queues=[queue]) as rf:
        run = await finished(rf, "q/work", retry=2)
        assert [event.data["delay"] for event in await history(run, "step.retry")] == [20]


@scenario
async def test_a_start_names_exceptions_after_which_nothing_is_tried_again(url: str) -> None:
    def raises(ctx: Context) -> None:
        raise (OSError if ctx.attempt == 1 else FileNotFoundError)(str(ctx.attempt))

    async with Runfold(url, queues=[raising(raises)]) as rf:
        never = Retry(4, base=0.01, never=(FileNotFoundError, KeyError))
        error = await failure(run := await rf.start("q/work", retry=never))
        assert error.error.message == "2"
        assert (await history(run, "flow.start"))[0].data["retry"]["never"] == [
            "builtins.FileNotFoundError", "builtins.KeyError",
        ]  # fmt: skip


@scenario
async def test_the_queues_retry_holds_for_a_job_that_says_nothing(url: str) -> None:
    queue = Queue("q", retry=Retry(2, base=0.01))

    @queue.job()
    async def work(data: Any) -> None:
        raise OSError

    async with Runfold(url, queues=[queue]) as rf:
        await failure(run := await rf.start(work))
        assert len(await history(run, "step.started")) == 2


@scenario
async def test_backoff_doubles_up_to_its_cap_within_its_jitter(url: str) -> None:
    retry = Retry(6, base=0.01, cap=0.05, jitter=0.1)
    async with Runfold(url, queues=[raising(fail_until(6), retry)]) as rf:
        run = await finished(rf, "q/work")
        events = await history(run, "step.retry", "step.started")
    delays = [event.data["delay"] for event in events if event.type == "step.retry"]
    for delay, planned in zip(delays, [10, 20, 40, 50, 50], strict=True):
        assert 0.9 * planned <= delay <= min(50, 1.1 * planned)
    for retried, started in zip(events[1::2], events[2::2], strict=True):
        gap = started.ts - retried.ts
        assert gap >= timedelta(milliseconds=retried.data["delay"]) - timedelta(microseconds=2)


@scenario
async def test_a_permanent_error_is_never_tried_again(url: str) -> None:
    def raises(ctx: Context) -> None:
        raise PermanentError("no such account")

    async with Runfold(url, queues=[raising(raises)]) as rf:
        error = await failure(run := await rf.start("q/work"))
        assert (error.error.type, error.error.message) == ("PermanentError", "no such account")
        assert len(await history(run, "step.started")) == 1
        assert not await history(run, "step.retry")


@scenario
async def test_an_exception_that_is_named_in_never_fails_at_once(url: str) -> None:
    def raises(ctx: Context) -> None:
        raise (OSError if ctx.attempt == 1 else FileNotFoundError)(str(ctx.attempt))

    never = Retry(4, base=0.01, never=(FileNotFoundError,))
    async with Runfold(url, queues=[raising(raises, never)]) as rf:
        error = await failure(run := await rf.start("q/work"))
        assert error.error.type == "FileNotFoundError"
        assert len(await history(run, "step.started")) == 2


@pytest.mark.parametrize("kind", ["retry_at", "retry_after"])
@scenario
async def test_a_retryable_error_says_when(url: str, kind: str) -> None:
    def raises(ctx: Context) -> None:
        if ctx.attempt == 1 and kind == "retry_at":
            raise RetryableError("busy", retry_at=datetime.now(UTC) + timedelta(seconds=0.4))
        if ctx.attempt == 1:
            raise RetryableError("busy", retry_after=0.4)

    async with Runfold(url, queues=[raising(raises)]) as rf:
        run = await finished(rf, "q/work")
        errored, retry = await history(run, "step.errored", "step.retry")
        started = (await history(run, "step.started"))[1]
    waited = (started.ts - errored.ts).total_seconds()
    assert 0.3 < waited < 3
    assert 300 < retry.data["delay"] < 450
    assert retry.data["nextAttempt"] == 2
    assert ("retryAt" in errored.data) == (kind == "retry_at")


@scenario
async def test_a_moment_without_a_time_zone_is_told_and_the_backoff_holds(url: str) -> None:
    def raises(ctx: Context) -> None:
        if ctx.attempt == 1:
            raise RetryableError("busy", retry_at=datetime(2030, 1, 1))  # noqa: DTZ001

    async with Runfold(url, queues=[raising(raises)]) as rf:
        run = await finished(rf, "q/work")
        (retry,) = await history(run, "step.retry")
    assert retry.data["delay"] == 10
    assert "no moment with a time zone" in retry.data["error"]["message"]


@scenario
async def test_rate_limited_is_not_charged(url: str) -> None:
    calls: list[int] = []

    def raises(ctx: Context) -> None:
        calls.append(ctx.attempt)
        if len(calls) <= 3:
            raise RateLimited(retry_after=0.02)

    async with Runfold(url, queues=[raising(raises, 1)]) as rf:
        run = await finished(rf, "q/work")
        retries = await history(run, "step.retry")
    assert calls == [1, 1, 1, 1]
    assert [event.data["reason"] for event in retries] == ["limited"] * 3
    assert [event.data["nextAttempt"] for event in retries] == [1, 1, 1]
    assert [event.data["delay"] for event in retries] == [20, 20, 20]


@scenario
async def test_the_time_until_the_next_attempt_survives_a_restart(url: str) -> None:
    rf = Runfold(url, queues=[raising(fail_until(2), Retry(2, base=0.6, jitter=0))])
    async with rf:
        run = await rf.start("q/work")
        async for event in run.events(follow=True):
            if event.type == "step.retry":
                break
    async with rf:
        again = await rf.get(run.id)
        assert await again.result(timeout=10) == 2
        retry, started = (await history(again, "step.retry", "step.started"))[1:]
    assert (started.ts - retry.ts).total_seconds() >= 0.6


@scenario
async def test_a_handler_may_raise_anything_and_swallow_nothing_of_ours(url: str) -> None:
    odd = Queue("odd", retry=1)

    @odd.job()
    async def exits(data: Any) -> None:
        raise SystemExit(3)

    @odd.job()
    async def cancels(data: Any) -> None:
        raise asyncio.CancelledError

    @odd.job()
    def stops(data: Any) -> None:
        raise StopIteration

    async with Runfold(url, queues=[odd]) as rf:
        for job, name in ((exits, "SystemExit"), (cancels, "CancelledError"), (stops, "Stop")):
            assert (await failure(await rf.start(job))).error.type.startswith(name)
        assert await rf.health()


@scenario
async def test_what_a_failed_attempt_left_is_kept_and_what_it_emitted_is_not(url: str) -> None:
    queue = Queue("q")

    @queue.job(retry=FAST)
    async def work(data: Any, ctx: Context) -> Any:
        ctx.progress(10 * ctx.attempt)
        ctx.log.info(f"attempt {ctx.attempt}")
        ctx.record("tried", ctx.attempt)
        await ctx.state.add("count")
        if ctx.attempt < 3:
            raise OSError
        return await ctx.state.get("count")

    async with Runfold(url, queues=[queue]) as rf:
        run = await finished(rf, work)
        assert await run.result() == 1
        assert (await run.state()).data == {"count": 1}
        left = await history(run, "step.progress", "log", "record")
    assert [event.attempt for event in left] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [event.data["percent"] for event in left[::3]] == [10, 20, 30]
