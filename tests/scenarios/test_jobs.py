"""Jobs: how they are started, in which order and when they run."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from runfold import (
    Context,
    InvalidInput,
    Queue,
    Retry,
    RunFailed,
    Runfold,
    Settings,
    SyncContext,
)
from scenarios.scene import finished, history, scenario, story


def recording(seen: list[Any]) -> Queue:
    """Return a queue whose one job, ``note``, keeps what it was given."""
    mail = Queue("mail")

    @mail.job(retry=1)
    async def note(data: Any) -> Any:
        seen.append(data)
        return data

    return mail


@scenario
async def test_a_job_is_a_run_named_after_its_queue(url: str) -> None:
    mail = Queue("mail")
    seen: dict[str, Any] = {}

    @mail.job()
    async def send(to: str, ctx: Context) -> str:
        seen.update(job=ctx.job_id, step=ctx.step_id, flow=ctx.flow_name, queue=ctx.queue)
        seen.update(name=ctx.step_name, attempt=ctx.attempt, tags=ctx.tags, input=ctx.input)
        return f"sent to {to}"

    async with Runfold(url, queues=[mail]) as rf:
        run = await rf.start(send, "ann", tags=["urgent"])
        assert await run.result(timeout=10) == "sent to ann"
        events = await history(run)
        state = await run.state()
    assert UUID(run.id).version == 7
    assert seen == {
        "job": run.id, "step": f"{run.id}__send__attempt-1", "flow": "mail/send",
        "queue": "mail", "name": "send", "attempt": 1, "tags": ("urgent",), "input": "ann",
    }  # fmt: skip
    assert [event.type for event in events] == [
        "flow.start", "step.scheduled", "step.started", "step.completed", "flow.completed",
    ]  # fmt: skip
    assert events[2].data["jobId"] == seen["job"]
    assert (state.name, state.status, state.result, state.queue, state.tags) == (
        "mail/send", "completed", "sent to ann", "mail", ["urgent"],
    )  # fmt: skip


@scenario
async def test_a_job_is_still_the_function_that_it_was(url: str) -> None:
    maths = Queue("maths")

    @maths.job("double-it")
    def double(n: int) -> int:
        return 2 * n

    assert double(4) == 8
    assert double.name == "maths/double-it"
    async with Runfold(url, queues=[maths]) as rf:
        by_object = await finished(rf, double, 4)
        by_name = await finished(rf, "maths/double-it", 5)
        assert [await by_object.result(), await by_name.result()] == [8, 10]


@scenario
async def test_jobs_run_by_priority_and_in_order_inside_one(url: str) -> None:
    seen: list[str] = []
    mail = recording(seen)
    async with Runfold(url, queues=[mail]).connect() as client:
        for name, priority in (
            ("1a", 1), ("10a", 10), ("5a", 5), ("1b", 1), ("10b", 10), ("5b", None),
        ):  # fmt: skip
            await client.start("mail/note", name, priority=priority)
        if url != "memory://":
            await serve_one_slot(Runfold(url, queues=[mail]))
    if url == "memory://":
        await serve_one_slot(client)
    assert seen == ["10a", "10b", "5a", "5b", "1a", "1b"]


async def serve_one_slot(rf: Runfold) -> None:
    async with rf.serve(queues={"mail": 1}):
        await rf.run_until_idle()


@scenario
async def test_a_jobs_own_priority_holds_where_the_start_says_none(url: str) -> None:
    seen: list[str] = []
    mail = recording(seen)

    @mail.job(priority=9)
    async def urgent(data: str) -> None:
        seen.append(data)

    rf = Runfold(url, queues=[mail])
    async with rf.connect():
        await rf.start("mail/note", "first")
        await rf.start(urgent, "urgent")
        await rf.start("mail/note", "most urgent", priority=10)
    await serve_one_slot(rf)
    assert seen == ["most urgent", "urgent", "first"]


@scenario
async def test_many_jobs_are_started_at_once(url: str) -> None:
    seen: list[int] = []
    async with Runfold(url, queues=[recording(seen)]) as rf:
        runs = await rf.start_many("mail/note", list(range(300)), tags=["batch"], priority=7)
        assert [await run.result(timeout=10) for run in runs] == list(range(300))
        assert seen == list(range(300))
        state = await runs[0].state()
        assert (state.tags, state.priority) == (["batch"], 7)
        assert await rf.start_many("mail/note", []) == []


@scenario
async def test_ten_thousand_jobs_are_one_transaction(url: str) -> None:
    async with Runfold(url, queues=[recording([])]).connect() as rf:
        runs = await rf.start_many("mail/note", [None] * 10_000)
        assert len({run.id for run in runs}) == 10_000
        moments = {event.ts async for event in rf.events(types=["flow.start"])}
        assert len(moments) == 1


@scenario
async def test_one_job_more_than_ten_thousand_is_refused(url: str) -> None:
    async with Runfold(url, queues=[recording([])]).connect() as rf:
        with pytest.raises(ValueError, match="10001 inputs, at most 10000"):
            await rf.start_many("mail/note", [None] * 10_001)
        assert (await rf.runs.list()).items == []


@scenario
async def test_one_wrong_input_among_many_stores_nothing(url: str) -> None:
    maths = Queue("maths")

    @maths.job()
    async def double(n: int) -> int:
        return 2 * n

    async with Runfold(url, queues=[maths]) as rf:
        with pytest.raises(InvalidInput) as caught:
            await rf.start_many(double, [1, "two", 3, None])  # type: ignore[list-item]
        assert [fault["loc"] for fault in caught.value.details] == ["1", "3"]
        await rf.run_until_idle()
        assert (await rf.runs.list()).items == []


@pytest.mark.parametrize("way", ["run_at", "delay", "timedelta"])
@scenario
async def test_a_job_for_later_is_scheduled_and_runs_not_before(url: str, way: str) -> None:
    seen: list[datetime] = []
    mail = Queue("mail")

    @mail.job()
    async def note(data: Any, ctx: Context) -> None:
        assert ctx.due_at is not None
        seen.append(ctx.due_at)

    async with Runfold(url, queues=[mail]) as rf:
        due = datetime.now(UTC) + timedelta(seconds=0.5)
        options: dict[str, Any] = {
            "run_at": {"run_at": due},
            "delay": {"delay": 0.5},
            "timedelta": {"delay": timedelta(seconds=0.5)},
        }[way]
        run = await rf.start(note, None, **options)
        assert await run.status() == "scheduled"
        await rf.run_until_idle()
        assert await story(run) == ["flow.start", "step.scheduled note"]
        assert (await rf.runs.list(status="scheduled")).items[0].id == run.id
        await run.result(timeout=10)
        start, started = (await history(run, "flow.start", "step.started"))[:2]
        expected = due if way == "run_at" else start.ts + timedelta(seconds=0.5)
        assert started.ts >= expected
        assert seen == [expected]
        assert (await run.state()).due_at == expected


@scenario
async def test_a_moment_that_has_passed_is_now(url: str) -> None:
    async with Runfold(url, queues=[recording([])]) as rf:
        run = await finished(rf, "mail/note", 1, run_at=datetime(2020, 1, 1, tzinfo=UTC))
        assert await run.result() == 1
        assert await (await finished(rf, "mail/note", 2, delay=0)).result() == 2


@scenario
async def test_a_deadline_ends_a_running_job_as_failed(url: str) -> None:
    mail = Queue("mail")
    told: list[str | None] = []

    @mail.job()
    async def endless(data: Any, ctx: Context) -> None:
        await ctx.cancelled.wait()
        told.append(ctx.cancelled.reason)

    async with Runfold(url, queues=[mail], settings=Settings(poll_max=0.05)) as rf:
        run = await rf.start(endless, None, deadline=0.3)
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert caught.value.error.code == "DEADLINE_EXCEEDED"
        state = await run.state()
        assert (state.status, state.error.code if state.error else None) == (
            "failed", "DEADLINE_EXCEEDED",
        )  # fmt: skip
        assert told == ["the run is ending"]
        assert (await story(run))[-1] == "flow.failed"
        assert not await history(run, "step.retry")


@scenario
async def test_a_deadline_that_comes_before_the_job_ends_it_unrun(url: str) -> None:
    seen: list[Any] = []
    async with Runfold(url, queues=[recording(seen)]) as rf:
        soon = datetime.now(UTC) + timedelta(seconds=0.2)
        run = await rf.start("mail/note", 1, delay=60, deadline=soon)
        assert (await run.state()).deadline == soon
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert caught.value.error.code == "DEADLINE_EXCEEDED"
        await rf.run_until_idle()
    assert seen == []


@pytest.mark.parametrize("where", ["job", "queue", "start"])
@scenario
async def test_an_attempt_that_takes_too_long_fails_with_its_own_code(url: str, where: str) -> None:
    slow = Queue("slow", retry=1, timeout=0.1 if where == "queue" else None)
    gone = asyncio.Event()

    @slow.job(timeout=0.1 if where == "job" else None)
    async def wait(data: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    async with Runfold(url, queues=[slow]) as rf:
        run = await rf.start(wait, None, timeout=0.1 if where == "start" else None)
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert caught.value.error.code == "JOB_TIMEOUT"
        assert caught.value.step == "wait"
        assert "0.1 s" in caught.value.error.message
        await gone.wait()


@scenario
async def test_a_timeout_is_tried_again_while_attempts_remain(url: str) -> None:
    slow = Queue("slow")

    @slow.job(timeout=0.1, retry=Retry(2, base=0.01))
    async def wait(data: Any, ctx: Context) -> int:
        if ctx.attempt == 1:
            await asyncio.Event().wait()
        return ctx.attempt

    async with Runfold(url, queues=[slow]) as rf:
        run = await finished(rf, wait)
        assert await run.result() == 2
        (retry,) = await history(run, "step.retry")
        assert retry.data["error"]["code"] == "JOB_TIMEOUT"


@scenario
async def test_a_sync_handler_blocks_its_thread_and_nobody_else(url: str) -> None:
    cpu = Queue("cpu")
    both = threading.Barrier(2)

    @cpu.job(retry=1)
    def meet(name: str, ctx: SyncContext) -> str:
        both.wait(timeout=10)
        ctx.progress(50)
        ctx.log.info("met", name=name)
        ctx.state.set("name", name)
        assert ctx.state.get("name") == name
        return name.upper()

    async with Runfold(url, queues=[cpu]) as rf:
        a, b = await rf.start_many(meet, ["a", "b"])
        assert [await a.result(timeout=10), await b.result(timeout=10)] == ["A", "B"]
        assert (await a.state()).data == {"name": "a"}
        assert (await story(a))[3:] == [
            "step.progress meet", "log meet", "state meet", "step.completed meet",
            "flow.completed",
        ]  # fmt: skip
