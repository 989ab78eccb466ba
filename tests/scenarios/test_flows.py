"""Flows, from their entry to their end."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from runfold import (
    Context,
    Flow,
    PermanentError,
    Retry,
    RunCancelled,
    RunFailed,
    RunFinished,
    Runfold,
    all_of,
)
from scenarios.scene import chain, finished, history, scenario, story

FAST = Retry(5, base=0.01, jitter=0)


@scenario
async def test_an_emit_activates_its_subscriber_once(url: str) -> None:
    async with Runfold(url, flows=[chain()]) as rf:
        run = await finished(rf, "chain", 7)
        events = await history(run)
    assert [event.type for event in events] == [
        "flow.start", "step.scheduled", "step.started", "emit", "step.completed",
        "step.scheduled", "step.started", "step.completed", "flow.completed",
    ]  # fmt: skip
    assert {event.run_id for event in events} == {run.id}
    assert {event.flow_name for event in events} == {"chain"}
    started = next(event for event in events if event.type == "step.started")
    completed = next(event for event in events if event.type == "step.completed")
    assert started.step_id == completed.step_id == f"{run.id}__start__attempt-1"
    assert completed.data["result"] == "started"
    assert events[-1].data["result"] == 7


@scenario
async def test_runs_at_once_never_mix_and_are_listed_newest_first(url: str) -> None:
    async with Runfold(url, flows=[chain()]) as rf:
        runs = await asyncio.gather(*(finished(rf, "chain", n) for n in range(3)))
        listed = (await rf.runs.list("chain")).items
        results = [await run.result() for run in runs]
        ids = [{event.run_id for event in await history(run)} for run in runs]
    assert results == [0, 1, 2]
    assert ids == [{run.id} for run in runs]
    assert len(listed) == 3
    moments = [state.created_at for state in listed]
    assert moments == sorted(moments, reverse=True)


def gathering(seen: list[Any], at_work: list[str]) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("gathering")
    both = asyncio.Event()

    @flow.entry(emits=["start.task-a", "start.task-b"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("start.task-a")
        ctx.emit("start.task-b")

    async def work(name: str, ctx: Context) -> None:
        at_work.append(name)
        if len(at_work) == 2:
            both.set()
        await both.wait()
        await ctx.state.set(name, name.upper())
        ctx.emit(f"{name}.done", {"by": name})

    @flow.step(subscribes="start.task-a", emits=["a.done"])
    async def a(data: Any, ctx: Context) -> None:
        await work("a", ctx)

    @flow.step(subscribes="start.task-b", emits=["b.done"])
    async def b(data: Any, ctx: Context) -> None:
        await work("b", ctx)

    @flow.step(subscribes=all_of("a.done", "b.done"))
    async def gather(data: dict[str, Any], ctx: Context) -> Any:
        seen.append(data)
        return [await ctx.state.get("a"), await ctx.state.get("b")]

    return flow


@scenario
async def test_a_join_runs_once_after_parallel_steps_and_sees_their_state(url: str) -> None:
    seen: list[Any] = []
    async with Runfold(url, flows=[gathering(seen, [])]) as rf:
        run = await finished(rf, "gathering")
        assert await run.result() == ["A", "B"]
        assert (await story(run)).count("flow.completed") == 1
    assert seen == [{"a.done": {"by": "a"}, "b.done": {"by": "b"}}]


def diamond(b_may_end: asyncio.Event, fails: bool = False) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("diamond")

    @flow.entry(emits=["go"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("go")

    @flow.step(subscribes="go", emits=["a"])
    async def a(data: Any, ctx: Context) -> None:
        if fails:
            raise PermanentError("a is broken")
        ctx.emit("a")

    @flow.step(subscribes="go", emits=["b"])
    async def b(data: Any, ctx: Context) -> None:
        await b_may_end.wait()
        ctx.emit("b")

    @flow.step(subscribes=all_of("a", "b"))
    async def join(data: Any) -> str:
        return "joined"

    return flow


@scenario
async def test_a_join_waits_for_its_slower_half(url: str) -> None:
    gate = asyncio.Event()
    async with Runfold(url, flows=[diamond(gate)]) as rf:
        run = await rf.start("diamond")
        async for event in run.events(follow=True):
            if event.type == "step.completed" and event.step_name == "a":
                break
        assert await run.status() == "running"
        assert "step.scheduled join" not in await story(run)
        gate.set()
        assert await run.result(timeout=10) == "joined"
        assert (await story(run)).count("step.started join") == 1


@scenario
async def test_a_failed_half_fails_the_run_and_the_join_never_starts(url: str) -> None:
    gate = asyncio.Event()
    gate.set()
    async with Runfold(url, flows=[diamond(gate, fails=True)]) as rf:
        run = await rf.start("diamond")
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert caught.value.step == "a"
        assert caught.value.error.message == "a is broken"
        assert "step.scheduled join" not in await story(run)
        assert (await run.state()).status == "failed"


@pytest.mark.parametrize(("failure", "status"), [("stop", "failed"), ("ignore", "completed")])
@scenario
async def test_one_of_two_leaves_fails(url: str, failure: str, status: str) -> None:
    flow: Flow[Any, Any] = Flow("leaves", failure=failure)  # type: ignore[arg-type]

    @flow.entry(emits=["go"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("go")

    @flow.step(subscribes="go")
    async def good(data: Any) -> str:
        return "good"

    @flow.step(subscribes="go", retry=1)
    async def bad(data: Any) -> None:
        raise ValueError("bad")

    async with Runfold(url, flows=[flow]) as rf:
        run = await rf.start(flow)
        await run_end(run)
        assert await run.status() == status


async def run_end(run: Any) -> None:
    async for _ in run.events(follow=True):
        pass


@scenario
async def test_the_branch_that_is_not_taken_is_skipped(url: str) -> None:
    flow: Flow[Any, Any] = Flow("branches")

    @flow.entry(emits=["x.ok", "x.no"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("x.ok")

    @flow.step(subscribes="x.ok")
    async def ok(data: Any) -> str:
        return "ok"

    @flow.step(subscribes="x.no")
    async def no(data: Any) -> str:
        return "no"

    async with Runfold(url, flows=[flow]) as rf:
        run = await finished(rf, flow)
        assert not [line for line in await story(run) if line.endswith(" no")]
        assert await run.result() == {"ok": "ok"}


@scenario
async def test_a_failed_attempt_is_retried_and_leaves_no_emits(url: str) -> None:
    flow: Flow[Any, Any] = Flow("flaky")

    @flow.entry(emits=["x"], retry=FAST)
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("x", ctx.attempt)
        await ctx.state.set("attempt", ctx.attempt)
        if ctx.attempt == 1:
            raise OSError("not yet")

    @flow.step(subscribes="x")
    async def take(x: Any, ctx: Context) -> Any:
        return [x, await ctx.state.get("attempt")]

    async with Runfold(url, flows=[flow]) as rf:
        run = await finished(rf, flow)
        assert await run.result() == [2, 2]
        types = Counter(event.type for event in await history(run))
        assert types["step.retry"] == 1
        assert types["step.failed"] == 0
        assert types["emit"] == 1
        assert {e.attempt for e in await history(run, "emit")} == {2}


@scenario
async def test_retries_in_a_longer_graph_fire_its_join_once(url: str) -> None:
    flow: Flow[Any, Any] = Flow("five")
    tries: Counter[str] = Counter()

    def flaky(name: str) -> None:
        tries[name] += 1
        if tries[name] <= 2:
            raise OSError(name)

    @flow.entry(emits=["go"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("go")

    @flow.step(subscribes="go", emits=["l"], retry=FAST)
    async def left(data: Any, ctx: Context) -> None:
        flaky("left")
        ctx.emit("l")

    @flow.step(subscribes="go", emits=["m"])
    async def middle(data: Any, ctx: Context) -> None:
        ctx.emit("m")

    @flow.step(subscribes="m", emits=["r"])
    async def right(data: Any, ctx: Context) -> None:
        ctx.emit("r")

    @flow.step(subscribes=all_of("l", "r"))
    async def join(data: Any) -> str:
        return "once"

    async with Runfold(url, flows=[flow]) as rf:
        run = await finished(rf, flow)
        lines = Counter(await story(run))
        assert lines["step.retry left"] == 2
        assert lines["step.started join"] == 1
        assert await run.result() == "once"


@scenario
async def test_an_entry_that_fails_twice_then_succeeds(url: str) -> None:
    flow: Flow[Any, Any] = Flow("entry")

    @flow.entry(retry=FAST)
    async def start(data: Any, ctx: Context) -> int:
        if ctx.attempt < 3:
            raise OSError("again")
        return ctx.attempt

    async with Runfold(url, flows=[flow]) as rf:
        run = await finished(rf, flow)
        assert await run.result() == 3
        assert len(await history(run, "step.retry")) == 2


@scenario
async def test_cancel_stops_everything_and_is_refused_twice(url: str) -> None:
    flow: Flow[Any, Any] = Flow("slow")
    started, told = asyncio.Event(), asyncio.Event()

    @flow.entry(emits=["x"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("x")

    @flow.step(subscribes="x", emits=["y"])
    async def slow(data: Any, ctx: Context) -> None:
        started.set()
        await ctx.cancelled.wait()
        told.set()
        ctx.emit("y")

    @flow.step(subscribes="y")
    async def never(data: Any) -> None:
        raise AssertionError

    async with Runfold(url, flows=[flow]) as rf:
        run = await rf.start(flow)
        await started.wait()
        await run.cancel("enough")
        await told.wait()
        with pytest.raises(RunCancelled, match="enough"):
            await run.result(timeout=10)
        before = await story(run)
        assert before.count("flow.cancelled") == 1
        assert "step.scheduled never" not in before
        with pytest.raises(RunFinished):
            await run.cancel()
        assert await story(run) == before

        done = await rf.start(flow)
        await done.cancel()
        with pytest.raises(RunCancelled):
            await done.result(timeout=10)


@scenario
async def test_a_completed_run_cannot_be_cancelled(url: str) -> None:
    async with Runfold(url, flows=[chain()]) as rf:
        run = await finished(rf, "chain")
        before = await story(run)
        with pytest.raises(RunFinished, match="completed"):
            await run.cancel()
        assert await story(run) == before
