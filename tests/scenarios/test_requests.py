"""Cancel, pause and resume, in every state that a run can be in."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from runfold import (
    Context,
    Flow,
    Queue,
    Retry,
    Run,
    RunCancelled,
    RunFailed,
    RunFinished,
    Runfold,
    Settings,
    SyncContext,
    all_of,
)
from scenarios.scene import finished, history, scenario, story

QUICK = Settings(grace=0.2, poll_max=0.05)


async def cancelled(run: Run[Any]) -> RunCancelled:
    with pytest.raises(RunCancelled) as caught:
        await run.result(timeout=10)
    return caught.value


async def reach(run: Run[Any], wanted: str) -> None:
    """Return when the run has recorded such an event."""
    async for event in run.events(follow=True):
        if event.type == wanted:
            return
    raise AssertionError(f"{wanted} never came")


async def refused(run: Run[Any]) -> None:
    """Every request is refused, and records nothing."""
    before = await story(run)
    for request in (run.cancel, run.pause, run.resume):
        with pytest.raises(RunFinished):
            await request()
    assert await story(run) == before


def simple(seen: list[Any]) -> Queue:
    queue = Queue("q")

    @queue.job()
    async def note(data: Any) -> Any:
        seen.append(data)
        return data

    return queue


@scenario
async def test_a_queued_job_that_is_cancelled_is_never_executed(url: str) -> None:
    seen: list[Any] = []
    rf = Runfold(url, queues=[simple(seen)])
    async with rf.connect():
        run = await rf.start("q/note", 1)
        await run.cancel("not needed")
        assert await run.status() == "cancelling"
        await refused(run)
    async with rf:
        run = await rf.get(run.id)
        error = await cancelled(run)
        await rf.run_until_idle()
        assert (error.run_id, error.reason) == (run.id, "not needed")
        assert await story(run) == [
            "flow.start", "step.scheduled note", "flow.cancel_requested", "step.cancelled note",
            "flow.cancelled",
        ]  # fmt: skip
        assert [(s.status, s.attempt) for s in (await run.state()).steps] == [("cancelled", 1)]
        assert (await run.state()).error is None
        await refused(run)
    assert seen == []


@scenario
async def test_a_scheduled_job_is_cancelled_before_its_time(url: str) -> None:
    seen: list[Any] = []
    async with Runfold(url, queues=[simple(seen)]) as rf:
        run = await rf.start("q/note", 1, delay=0.3)
        other = await rf.start("q/note", 2, delay=0.3)
        await run.cancel()
        assert (await cancelled(run)).reason is None
        assert await other.result(timeout=10) == 2
        assert (await story(run))[-1] == "flow.cancelled"
    assert seen == [2]


@scenario
async def test_a_scheduled_job_that_is_paused_waits_beyond_its_time(url: str) -> None:
    seen: list[Any] = []
    async with Runfold(url, queues=[simple(seen)]) as rf:
        run = await rf.start("q/note", 1, delay=0.2)
        await run.pause()
        assert await run.status() == "paused"
        other = await rf.start("q/note", 2, delay=0.4)
        assert await other.result(timeout=10) == 2
        await rf.run_until_idle()
        assert seen == [2]
        assert await run.status() == "paused"
        await run.resume()
        assert await run.result(timeout=10) == 1


@scenario
async def test_a_scheduled_job_that_is_resumed_early_still_waits_for_its_time(url: str) -> None:
    async with Runfold(url, queues=[simple([])]) as rf:
        run = await rf.start("q/note", 1, delay=0.4)
        await run.pause()
        await run.resume()
        assert await run.status() == "scheduled"
        assert await run.result(timeout=10) == 1
        start, started = await history(run, "flow.start", "step.started")
        assert (started.ts - start.ts).total_seconds() >= 0.4


@scenario
async def test_a_paused_job_is_not_claimed_and_can_be_cancelled(url: str) -> None:
    seen: list[Any] = []
    rf = Runfold(url, queues=[simple(seen)])
    async with rf.connect():
        paused, other = await rf.start_many("q/note", [1, 2])
        await paused.pause()
        await paused.pause()
    async with rf:
        paused, other = await rf.get(paused.id), await rf.get(other.id)
        assert await other.result(timeout=10) == 2
        await rf.run_until_idle()
        assert await paused.status() == "paused"
        await paused.cancel("enough")
        await cancelled(paused)
        assert (await story(paused)).count("flow.cancelled") == 1
    assert seen == [2]


@scenario
async def test_a_paused_runs_deadline_does_not_move(url: str) -> None:
    rf = Runfold(url, queues=[simple([])])
    async with rf.connect():
        run = await rf.start("q/note", 1, deadline=0.3)
        await run.pause()
    async with rf:
        run = await rf.get(run.id)
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert caught.value.error.code == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("request_", ["cancel", "pause"])
@scenario
async def test_a_request_between_two_attempts(url: str, request_: str) -> None:
    queue = Queue("q")

    @queue.job(retry=Retry(2, base=0.3, jitter=0))
    async def flaky(data: Any, ctx: Context) -> int:
        if ctx.attempt == 1:
            raise OSError
        return ctx.attempt

    async with Runfold(url, queues=[queue]) as rf:
        run = await rf.start(flaky)
        await reach(run, "step.retry")
        if request_ == "cancel":
            await run.cancel()
            await cancelled(run)
            assert (await story(run))[-3:] == [
                "flow.cancel_requested", "step.cancelled flaky", "flow.cancelled",
            ]  # fmt: skip
            return
        await run.pause()
        probe = await rf.start(flaky)
        assert await probe.result(timeout=10) == 2
        await rf.run_until_idle()
        assert await run.status() == "paused"
        assert len(await history(run, "step.started")) == 1
        await run.resume()
        assert await run.result(timeout=10) == 2


@scenario
async def test_no_retry_follows_an_accepted_cancel(url: str) -> None:
    queue = Queue("q")
    started, may_fail = asyncio.Event(), asyncio.Event()

    @queue.job(retry=Retry(5, base=0.0))
    async def flaky(data: Any) -> None:
        started.set()
        await may_fail.wait()
        raise OSError("the attempt fails while the cancel is accepted")

    async with Runfold(url, queues=[queue]) as rf:
        run = await rf.start(flaky)
        await started.wait()
        may_fail.set()
        await run.cancel("stop it")
        await cancelled(run)
        before = await story(run)
        await rf.run_until_idle()
        assert await story(run) == before
        after_cancel = before[before.index("flow.cancel_requested") :]
        assert "step.started flaky" not in after_cancel
        assert "step.retry flaky" not in after_cancel
        assert before.count("flow.cancelled") == 1
        assert before[-1] == "flow.cancelled"


@scenario
async def test_many_cancels_race_with_failing_attempts(url: str) -> None:
    queue = Queue("q")

    @queue.job(retry=Retry(50, base=0.0))
    async def flaky(n: int) -> None:
        await asyncio.sleep(0)
        raise OSError(str(n))

    async with Runfold(url, queues=[queue], settings=QUICK) as rf:
        runs = await rf.start_many(flaky, list(range(40)))
        asked = await asyncio.gather(*(run.cancel() for run in runs), return_exceptions=True)
        for run, answer in zip(runs, asked, strict=True):
            lines = await ended(run)
            accepted = answer is None
            assert lines[-1] == ("flow.cancelled" if accepted else "flow.failed")
            if accepted:
                rest = lines[lines.index("flow.cancel_requested") :]
                assert "step.started flaky" not in rest
                assert rest.count("flow.cancelled") == 1
            else:
                assert isinstance(answer, RunFinished)


async def ended(run: Run[Any]) -> list[str]:
    return [
        f"{e.type} {e.step_name}" if e.step_name else e.type async for e in run.events(follow=True)
    ]


@scenario
async def test_a_handler_that_ignores_its_cancel_is_fenced_after_grace(url: str) -> None:
    queue = Queue("q")
    started, fenced = asyncio.Event(), asyncio.Event()

    @queue.job()
    async def stubborn(data: Any, ctx: Context) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            fenced.set()
        return "done all the same"

    async with Runfold(url, queues=[queue], settings=QUICK) as rf:
        run = await rf.start(stubborn)
        await started.wait()
        await run.cancel()
        assert await run.status() == "cancelling"
        await cancelled(run)
        await fenced.wait()
        await rf.run_until_idle()
        lines = await story(run)
        assert lines[-1] == "flow.cancelled"
        assert "step.completed stubborn" not in lines
        assert "timer.due" in lines


@scenario
async def test_a_thread_that_ignores_its_cancel_does_not_hold_up_the_end(url: str) -> None:
    queue = Queue("q")
    started, may_end, left = threading.Event(), threading.Event(), threading.Event()
    told: list[str] = []

    @queue.job()
    def stubborn(data: Any, ctx: SyncContext) -> None:
        started.set()
        may_end.wait(10)
        try:
            ctx.log.info("still here")
        except Exception as error:
            told.append(type(error).__name__)
        left.set()

    async with Runfold(url, queues=[queue], settings=QUICK) as rf:
        run = await rf.start(stubborn)
        await asyncio.to_thread(started.wait, 10)
        await run.cancel()
        await cancelled(run)
        await rf.run_until_idle()
        may_end.set()
        await asyncio.to_thread(left.wait, 10)
        assert (await story(run))[-1] == "flow.cancelled"
        assert "log stubborn" not in await story(run)
    assert told == ["AttemptEnded"]


@scenario
async def test_a_handler_that_ends_within_grace_is_heard(url: str) -> None:
    queue = Queue("q")
    started = asyncio.Event()

    @queue.job()
    async def polite(data: Any, ctx: Context) -> None:
        started.set()
        await ctx.cancelled.wait()
        ctx.record("cleaned up")

    async with Runfold(url, queues=[queue], settings=Settings(poll_max=0.05)) as rf:
        run = await rf.start(polite)
        await started.wait()
        await run.cancel()
        await cancelled(run)
        lines = await story(run)
        assert "record polite" in lines
        assert lines[-1] == "flow.cancelled"


@scenario
async def test_cancelling_one_run_leaves_the_others_alone(url: str) -> None:
    async with Runfold(url, flows=[joined()], settings=QUICK) as rf:
        one, other = await rf.start_many("joined", [1, 2])
        await one.cancel()
        await cancelled(one)
        assert await other.result(timeout=10) == [2, 2]


def joined() -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("joined")

    @flow.entry(emits=["x", "y"])
    async def start(data: Any, ctx: Context) -> None:
        await asyncio.sleep(0.05)
        ctx.emit("x", data)
        ctx.emit("y", data)

    @flow.step(subscribes=all_of("x", "y"), returns=True)
    async def both(data: dict[str, Any]) -> list[Any]:
        return [data["x"], data["y"]]

    return flow


@scenario
async def test_an_ended_run_refuses_every_request(url: str) -> None:
    async with Runfold(url, queues=[simple([])]) as rf:
        await refused(await finished(rf, "q/note", 1))
        await refused(await rf.get((await finished(rf, "q/note", 2)).id))


@scenario
async def test_resuming_what_is_not_paused_changes_nothing_about_it(url: str) -> None:
    async with Runfold(url, queues=[simple([])]) as rf:
        run = await rf.start("q/note", 1, delay=0.2)
        await run.resume()
        assert await run.result(timeout=10) == 1
