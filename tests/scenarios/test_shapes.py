"""Shapes of flows: loops, fan-outs, joins by lane and by value, failures that are handled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runfold import (
    Context,
    Flow,
    Retry,
    RunFailed,
    Runfold,
    after,
    all_of,
    collect,
    failed,
)
from scenarios.scene import chain, finished, history, scenario, story

FAST = Retry(5, base=0.01, jitter=0)


@scenario
async def test_a_chatty_step_changes_nothing_about_completion(url: str) -> None:
    flow: Flow[Any, Any] = Flow("chatty")

    @flow.entry()
    async def start(data: Any, ctx: Context) -> str:
        for n in range(2000):
            ctx.log.info("line", n=n)
        return "done"

    async with Runfold(url, flows=[flow]) as rf:
        run = await finished(rf, flow)
        logs = await history(run, "log")
        assert [event.data["meta"]["n"] for event in logs] == list(range(2000))
        assert (await story(run))[-2:] == ["step.completed start", "flow.completed"]


@scenario
async def test_a_loop_numbers_its_activations(url: str) -> None:
    flow: Flow[Any, Any] = Flow("loop")

    @flow.entry(emits=["again"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("again", 1)

    @flow.step(subscribes="again", emits=["worked"])
    async def work(n: int, ctx: Context) -> None:
        ctx.emit("worked", n)

    @flow.step(subscribes="worked", emits=["again", "done"])
    async def check(n: int, ctx: Context) -> None:
        if n < 3:
            ctx.emit("again", n + 1)
        else:
            ctx.emit("done", n)

    @flow.step(subscribes="done", returns=True)
    async def finish(n: int) -> int:
        return n

    async with Runfold(url, flows=[flow]) as rf:
        run = await finished(rf, flow)
        assert await run.result() == 3
        started = [e for e in await history(run, "step.started") if e.step_name == "work"]
        assert [event.step_id for event in started] == [
            f"{run.id}__work__attempt-1",
            f"{run.id}__work#2__attempt-1",
            f"{run.id}__work#3__attempt-1",
        ]


def fan_out(size: int) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("fan-out")

    @flow.entry(emits=["item"])
    async def start(data: Any, ctx: Context) -> None:
        for n in range(size):
            ctx.emit("item", n)

    @flow.step(subscribes="item", emits=["item.done"])
    async def map(n: int, ctx: Context) -> None:
        for _ in range(n % 7):
            await asyncio.sleep(0)
        ctx.emit("item.done", n * n)

    @flow.step(subscribes=collect("item.done"), returns=True)
    async def sum_up(squares: list[int]) -> list[int]:
        return squares

    return flow


@scenario
async def test_a_fan_out_is_collected_once_in_order(url: str) -> None:
    async with Runfold(url, flows=[fan_out(100)]) as rf:
        run = await finished(rf, "fan-out")
        assert await run.result() == [n * n for n in range(100)]
        assert (await story(run)).count("step.started map") == 100
        assert (await story(run)).count("step.started sum_up") == 1


@scenario
async def test_joins_behind_a_fan_out_pair_by_item(url: str) -> None:
    flow: Flow[Any, Any] = Flow("pairs")

    @flow.entry(emits=["item"])
    async def start(data: Any, ctx: Context) -> None:
        for n in range(100):
            ctx.emit("item", n)

    @flow.step(subscribes="item", emits=["x"])
    async def a(n: int, ctx: Context) -> None:
        for _ in range(n % 5):
            await asyncio.sleep(0)
        ctx.emit("x", n)

    @flow.step(subscribes="item", emits=["y"])
    async def b(n: int, ctx: Context) -> None:
        for _ in range(n % 3):
            await asyncio.sleep(0)
        ctx.emit("y", n)

    @flow.step(subscribes=all_of("x", "y"), emits=["pair"])
    async def join(data: dict[str, int], ctx: Context) -> None:
        ctx.emit("pair", [data["x"], data["y"]])

    @flow.step(subscribes=collect("pair"), returns=True)
    async def done(pairs: list[list[int]]) -> list[list[int]]:
        return pairs

    async with Runfold(url, flows=[flow]) as rf:
        assert await (await finished(rf, flow)).result() == [[n, n] for n in range(100)]


def ambiguous(by: str | None) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("ambiguous")

    @flow.entry(emits=["go", "y"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("go")
        ctx.emit("y", {"id": 2})

    @flow.step(subscribes="go", emits=["x"])
    async def one(data: Any, ctx: Context) -> None:
        ctx.emit("x", {"id": 1})

    @flow.step(subscribes="go", emits=["x"])
    async def two(data: Any, ctx: Context) -> None:
        ctx.emit("x", {"id": 2})

    @flow.step(subscribes=all_of("x", "y", by=by), returns=True)
    async def join(data: Any) -> Any:
        return data

    return flow


@scenario
async def test_two_emits_of_one_name_in_one_lane_fail_the_run(url: str) -> None:
    async with Runfold(url, flows=[ambiguous(None)]) as rf:
        run = await rf.start("ambiguous")
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert caught.value.error.code == "JOIN_AMBIGUOUS"
        assert "by=" in caught.value.error.message


@scenario
async def test_pairing_by_value_resolves_what_lanes_cannot(url: str) -> None:
    async with Runfold(url, flows=[ambiguous("id")]) as rf:
        run = await finished(rf, "ambiguous")
        assert await run.result() == {"x": {"id": 2}, "y": {"id": 2}}


@scenario
async def test_a_failure_that_is_handled_does_not_fail_the_run(url: str) -> None:
    flow: Flow[Any, Any] = Flow("handled")

    @flow.entry(retry=1)
    async def start(data: Any) -> str:
        raise ValueError("no luck")

    @flow.step(subscribes=failed(start), returns=True)
    async def rescue(failure: Any) -> Any:
        return [failure["step"], failure["input"], failure["error"]["message"]]

    async with Runfold(url, flows=[flow]) as rf:
        assert await (await finished(rf, flow, 5)).result() == ["start", 5, "no luck"]


@scenario
async def test_compensations_run_last_first_before_the_end(url: str) -> None:
    flow: Flow[Any, Any] = Flow("saga")
    undone: list[str] = []

    async def unbook(result: str) -> None:
        undone.append(result)

    @flow.entry(emits=["a"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("a")

    @flow.step(subscribes="a", compensate=unbook)
    async def first(data: Any) -> str:
        return "first"

    @flow.step(subscribes=after(first), compensate=unbook)
    async def second(data: Any) -> str:
        return "second"

    @flow.step(subscribes=after(second), retry=1)
    async def third(data: Any) -> None:
        raise ValueError("third")

    async with Runfold(url, flows=[flow]) as rf:
        run = await rf.start(flow)
        with pytest.raises(RunFailed, match="third"):
            await run.result(timeout=10)
        assert undone == ["second", "first"]
        assert (await story(run))[-1] == "flow.failed"


@scenario
async def test_a_paused_run_starts_nothing_until_it_is_resumed(url: str) -> None:
    flow: Flow[Any, Any] = Flow("pausing")
    started, may_end = asyncio.Event(), asyncio.Event()

    @flow.entry(emits=["x"])
    async def start(data: Any, ctx: Context) -> None:
        started.set()
        await may_end.wait()
        ctx.emit("x")

    @flow.step(subscribes="x")
    async def behind(data: Any) -> str:
        return "ran"

    async with Runfold(url, flows=[flow]) as rf:
        run = await rf.start(flow)
        await started.wait()
        await run.pause()
        may_end.set()
        async for event in run.events(follow=True):
            if event.type == "step.scheduled" and event.step_name == "behind":
                break
        await rf.run_until_idle()
        assert await run.status() == "paused"
        assert "step.started behind" not in await story(run)
        await run.resume()
        assert await run.result(timeout=10) == "ran"


@scenario
async def test_the_same_key_twice_is_one_run(url: str) -> None:
    async with Runfold(url, flows=[chain()]) as rf:
        one, other = await asyncio.gather(
            rf.start("chain", 1, key="order-1"), rf.start("chain", 2, key="order-1")
        )
        assert one.id == other.id
        assert await one.result(timeout=10) == await other.result(timeout=10)
        found = await rf.get(of="chain", key="order-1")
        assert found.id == one.id
        assert len((await rf.runs.list()).items) == 1
