"""A process whose lease is over lets go of what it held, and goes on under another token."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runfold import Context, Queue, Run, Runfold, Settings
from scenarios.scene import scenario, story

SHORT = Settings(lease=3)


def queue_of(started: asyncio.Event) -> Queue:
    queue = Queue("q", retry=2)

    @queue.job()
    async def work(data: Any, ctx: Context) -> int:
        if ctx.attempt == 1:
            started.set()
            await asyncio.Event().wait()
        return ctx.attempt

    return queue


async def ran_again(run: Run[Any]) -> None:
    assert await run.result(timeout=15) == 2
    lines = await story(run)
    assert lines.count("step.stalled work") == 1
    assert lines.count("step.completed work") == 1


@scenario
async def test_a_process_that_was_swept_joins_again(url: str) -> None:
    started = asyncio.Event()
    async with Runfold(url, queues=[queue_of(started)], settings=SHORT) as rf:
        run = await rf.start("q/work")
        await started.wait()
        await rf._store.leave(rf._node.membership.token)
        rf._node.membership.lost = True
        rf._node.worker.bell.ring()
        await ran_again(run)


@scenario
async def test_a_process_that_was_swept_learns_it_from_its_next_claim(url: str) -> None:
    queue = Queue("q")

    @queue.job()
    async def work(data: int) -> int:
        return data

    async with Runfold(url, queues=[queue], settings=Settings(lease=3600)) as rf:
        held = rf._node.membership.token
        await rf._store.leave(held)
        run = await rf.start(work, 7)
        assert await run.result(timeout=15) == 7
        assert rf._node.membership.token != held
        lines = await story(run)
        assert lines.count("step.started work") == 1


@scenario
async def test_a_process_that_could_not_renew_ends_its_handlers_itself(url: str) -> None:
    started = asyncio.Event()
    async with Runfold(url, queues=[queue_of(started)], settings=SHORT) as rf:
        run = await rf.start("q/work")
        await started.wait()
        held = rf._node.membership.token
        rf._node.membership._renewed_at -= 3
        rf._node.worker.bell.ring()
        await ran_again(run)
        assert rf._node.membership.token != held


@scenario
async def test_claimed_jobs_that_cannot_be_read_are_tried_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue("q")

    @queue.job()
    async def work(data: int) -> int:
        return data

    async with Runfold(url, queues=[queue]).serve(["dispatcher", "timekeeper"]) as rf:
        run = await rf.start(work, 7)
    async with Runfold(url, queues=[queue]) if url != "memory://" else rf as rf:
        run = await (rf.get(run.id) if url != "memory://" else rf.start(work, 7))
        preparation = rf._node.preparation
        tasks, failures = preparation.tasks, [OSError("the connection was lost")]

        async def fails_once(*args: Any) -> Any:
            if failures:
                raise failures.pop()
            return await tasks(*args)

        monkeypatch.setattr(preparation, "tasks", fails_once)
        monkeypatch.setattr(preparation, "tasks_at_once", lambda jobs, _: ([], list(jobs)))
        again = await rf.start(work, 8)
        assert await again.result(timeout=10) == 8
        assert await run.result(timeout=10) == 7
