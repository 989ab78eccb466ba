"""Handlers that are told to stop, run out of time, are aborted, or do not care."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from runfold.define import AttemptEnded, Context, SyncContext
from runfold.define.options import Retry
from runtime.attempts import Bench, on_bench, until


async def waits(data: Any) -> None:
    await asyncio.sleep(60)


def test_a_handler_that_takes_too_long_is_cancelled_and_times_out() -> None:
    async def given(bench: Bench) -> None:
        task = bench.task(waits, timeout=0.01)
        [end] = await bench.executor.execute(task)
        assert (end.event.error.code, end.event.error.retryable) == ("JOB_TIMEOUT", True)
        assert 10 <= end.event.duration < 5_000
        assert task.gone is not None
        await task.gone

    on_bench(given)


def test_a_handler_in_time_is_not_touched_by_its_timeout() -> None:
    async def quick(data: Any) -> int:
        await asyncio.sleep(0)
        return 1

    async def given(bench: Bench) -> None:
        task = bench.task(quick, timeout=60)
        assert (await bench.executor.execute(task))[-1].event.result == 1
        assert task.gone is None

    on_bench(given)


def test_a_timeout_of_the_handlers_own_is_an_error_like_others() -> None:
    async def handle(data: Any) -> None:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)

    async def given(bench: Bench) -> None:
        assert (await bench.end(handle)).error.code == "EXECUTION_ERROR"
        assert (await bench.end(handle, timeout=60)).error.code == "EXECUTION_ERROR"

    on_bench(given)


def test_never_covers_the_timeout() -> None:
    async def given(bench: Bench) -> None:
        end = await bench.end(waits, timeout=0.01, retry=Retry(never=[TimeoutError]))
        assert (end.error.code, end.error.retryable) == ("JOB_TIMEOUT", False)

    on_bench(given)


def test_an_async_handler_that_ignores_its_timeout_is_left_behind() -> None:
    go = asyncio.Event()
    after: list[str] = []

    async def handle(data: Any, ctx: Context) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await go.wait()
        try:
            ctx.emit("x")
        except AttemptEnded as error:
            after.append(str(error))
        return "done all the same"

    async def given(bench: Bench) -> None:
        task = bench.task(handle, timeout=0.01, emits=["x"])
        [end] = await bench.executor.execute(task)
        assert end.event.error.code == "JOB_TIMEOUT"
        assert not task.gone.done()
        assert task.cancelled.is_set()
        go.set()
        await task.gone
        assert "its timeout of 0.01 s is over" in after[0]

    on_bench(given)


def test_a_thread_that_ignores_its_timeout_is_left_behind() -> None:
    go = threading.Event()
    after: list[str] = []

    def handle(data: Any, ctx: SyncContext) -> None:
        ctx.log.info("before")
        go.wait()
        assert ctx.cancelled.is_set()
        for call in (lambda: ctx.log.info("late"), lambda: ctx.state.get("x")):
            with pytest.raises(AttemptEnded) as caught:
                call()
            after.append(str(caught.value))

    async def given(bench: Bench) -> None:
        task = bench.task(handle, timeout=0.05)
        [end] = await bench.executor.execute(task)
        assert end.event.error.code == "JOB_TIMEOUT"
        assert [fact.message for fact in bench.facts] == ["before"]
        assert not task.gone.done()
        go.set()
        await task.gone
        assert len(after) == 2
        assert len(bench.facts) == 1

    on_bench(given)


def test_a_timeout_runs_only_while_the_handler_does() -> None:
    go = threading.Event()

    def blocks(data: Any) -> None:
        go.wait()

    def quick(data: Any) -> int:
        return 1

    async def given(bench: Bench) -> None:
        blocking = asyncio.ensure_future(bench.run(blocks))
        waiting = asyncio.ensure_future(bench.end(quick, timeout=0.05))
        await asyncio.sleep(0.1)
        go.set()
        assert (await waiting).result == 1
        await blocking

    on_bench(given, threads=1)


def test_a_cancel_is_told_and_the_handler_may_finish() -> None:
    told: list[Any] = []

    async def handle(data: Any, ctx: Context) -> str:
        told.append((ctx.cancelled.is_set(), ctx.cancelled.reason))
        await ctx.cancelled.wait()
        told.append((ctx.cancelled.is_set(), ctx.cancelled.reason))
        return "cleaned up"

    async def given(bench: Bench) -> None:
        task = bench.task(handle)
        running = asyncio.ensure_future(bench.executor.execute(task))
        await until(lambda: told)
        task.cancelled.set("the run is ending")
        task.cancelled.set("again")
        assert (await running)[-1].event.result == "cleaned up"
        assert told == [(False, None), (True, "the run is ending")]

    on_bench(given)


def test_a_thread_is_told_likewise() -> None:
    def handle(data: Any, ctx: SyncContext) -> list[Any]:
        return [ctx.cancelled.wait(0.001), ctx.cancelled.wait(), ctx.cancelled.reason]

    async def given(bench: Bench) -> None:
        task = bench.task(handle)
        running = asyncio.ensure_future(bench.executor.execute(task))
        await asyncio.sleep(0.05)
        task.cancelled.set("the run is ending")
        assert (await running)[-1].event.result == [False, True, "the run is ending"]

    on_bench(given)


@pytest.mark.parametrize("timeout", [None, 60])
def test_an_aborted_attempt_records_nothing(timeout: float | None) -> None:
    seen: list[str] = []

    async def handle(data: Any, ctx: Context) -> None:
        seen.append("begun")
        try:
            await asyncio.sleep(60)
        finally:
            seen.append(str(ctx.cancelled.reason))

    async def given(bench: Bench) -> None:
        task = bench.task(handle, timeout=timeout)
        running = asyncio.ensure_future(bench.executor.execute(task))
        await until(lambda: seen)
        task.abort("fenced")
        assert await running == []
        if task.gone is not None:
            await task.gone
        assert seen == ["begun", "fenced"]

    on_bench(given)


def test_a_handler_that_swallows_the_abort_records_nothing_either() -> None:
    async def handle(data: Any) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "swallowed"
        return "never"

    async def given(bench: Bench) -> None:
        task = bench.task(handle)
        running = asyncio.ensure_future(bench.executor.execute(task))
        await asyncio.sleep(0.01)
        task.abort("fenced")
        task.abort("twice")
        assert await running == []
        assert running.cancelling() == 0

    on_bench(given)


def test_an_aborted_thread_is_left_behind_at_once() -> None:
    go = threading.Event()

    def handle(data: Any) -> None:
        go.wait()

    async def given(bench: Bench) -> None:
        task = bench.task(handle)
        running = asyncio.ensure_future(bench.executor.execute(task))
        await asyncio.sleep(0.05)
        task.abort("fenced")
        assert await running == []
        assert not task.gone.done()
        go.set()
        await task.gone

    on_bench(given)


def test_what_is_aborted_before_it_begins_never_begins() -> None:
    called: list[int] = []

    async def handle() -> None:
        called.append(1)

    async def given(bench: Bench) -> None:
        task = bench.task(handle)
        task.abort("fenced")
        assert await bench.executor.execute(task) == []
        assert called == []

    on_bench(given)


def test_what_is_aborted_while_it_waits_for_a_thread_never_begins() -> None:
    go = threading.Event()
    called: list[int] = []

    def blocks(data: Any) -> None:
        go.wait()

    def handle() -> None:
        called.append(1)

    async def given(bench: Bench) -> None:
        blocking = asyncio.ensure_future(bench.run(blocks))
        task = bench.task(handle)
        waiting = asyncio.ensure_future(bench.executor.execute(task))
        await asyncio.sleep(0.02)
        task.abort("fenced")
        assert await waiting == []
        go.set()
        await blocking
        await task.gone
        assert called == []

    on_bench(given, threads=1)


def test_a_cancel_of_the_worker_itself_goes_through_the_handler_and_on() -> None:
    async def given(bench: Bench) -> None:
        running = asyncio.ensure_future(bench.run(waits))
        await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    on_bench(given)


def test_a_context_does_nothing_after_the_end() -> None:
    kept: list[Context] = []

    async def handle(data: Any, ctx: Context) -> None:
        kept.append(ctx)

    async def given(bench: Bench) -> None:
        await bench.run(handle, emits=["x"])
        ctx = kept[0]
        for call in (
            lambda: ctx.emit("x"), lambda: ctx.log.info("x"), lambda: ctx.progress(1),
            lambda: ctx.record("x"), lambda: ctx.write("x"),
        ):  # fmt: skip
            with pytest.raises(AttemptEnded, match="it has returned"):
                call()
        with pytest.raises(AttemptEnded):
            await ctx.state.get("x")
        with pytest.raises(AttemptEnded):
            await ctx.state.set("x", 1)
        assert bench.facts == []

    on_bench(given)
