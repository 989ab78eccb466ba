"""Limits over all workers: how many at once, and in which turn."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from runfold import Concurrency, Context, Flow, Queue, RunFailed, Runfold
from scenarios.floor import ONE, Floor, done
from scenarios.scene import history, scenario

# How many at once.


@scenario
async def test_never_more_than_two_at_once_and_all_are_done(url: str) -> None:
    floor, queue = Floor(), Queue("mail", concurrency=2)

    @queue.job()
    async def send(number: int) -> None:
        await floor.visit(number)

    async with Runfold(url, queues=[queue]) as rf:
        runs = await rf.start_many(send, range(5))
        await floor.holds(2)
        floor.free.set()
        await done(runs)
    assert floor.most[None] == 2
    assert floor.order == [0, 1, 2, 3, 4]


@scenario
async def test_concurrency_holds_over_several_processes(shared_url: str) -> None:
    floor, queue = Floor(stay=0.005), Queue("mail", concurrency=2)

    @queue.job()
    async def send(number: int) -> None:
        await floor.visit(number)

    floor.free.set()
    async with AsyncExitStack() as stack:
        fleet = [Runfold(shared_url, queues=[queue]) for _ in range(4)]
        for rf in fleet:
            await stack.enter_async_context(rf)
        await done(await fleet[0].start_many(send, range(24)))
    assert floor.most[None] == 2
    assert sorted(floor.order) == list(range(24))


@scenario
async def test_a_handler_that_overruns_its_timeout_keeps_its_place(url: str) -> None:
    inside, most = [0], [0]
    queue = Queue("mail", concurrency=2, retry=1, timeout=0.05)

    @queue.job()
    def send(number: int) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.2)  # A thread that nobody can stop.
        inside[0] -= 1

    async with Runfold(url, queues=[queue]) as rf:
        for run in await rf.start_many(send, range(5)):
            with pytest.raises(RunFailed, match="JOB_TIMEOUT"):
                await run.result(timeout=15)
    assert most == [2]


@scenario
async def test_each_key_has_its_own_count(url: str) -> None:
    floor, queue = Floor(), Queue("mail", limits=[Concurrency(1, key="to")])

    @queue.job()
    async def send(message: dict[str, Any]) -> None:
        await floor.visit(message["n"], message["to"])

    async with Runfold(url, queues=[queue]) as rf:
        inputs = [{"to": to, "n": f"{to}{n}"} for to in ("adam", "zoe", "eve") for n in range(3)]
        runs = await rf.start_many(send, inputs)
        await floor.holds(3)
        assert sorted(floor.order) == ["adam0", "eve0", "zoe0"]
        floor.free.set()
        await done(runs)
        keys = {(await history(run, "step.started"))[0].data["key"] for run in runs}
    assert keys == {"adam", "zoe", "eve"}
    assert floor.most == {"adam": 1, "zoe": 1, "eve": 1}


@scenario
async def test_a_step_has_a_limit_of_its_own_in_the_queue_of_others(url: str) -> None:
    floor = Floor()
    flow: Flow[Any, Any] = Flow("orders")

    @flow.entry(emits="line")
    async def split(count: int, ctx: Context) -> None:
        for number in range(count):
            ctx.emit("line", number)

    @flow.step(subscribes="line", limits=Concurrency(2))
    async def book(number: int) -> None:
        await floor.visit(number)

    @flow.step(subscribes="line")
    async def count(number: int) -> None:
        await floor.visit(number, "free")

    async with Runfold(url, flows=[flow]) as rf:
        run = await rf.start(flow, 6)
        await floor.holds(8)
        floor.free.set()
        await done([run])
    assert floor.most == {None: 2, "free": 6}


@scenario
async def test_a_limit_by_run_lets_runs_go_side_by_side(url: str) -> None:
    floor = Floor()
    flow: Flow[Any, Any] = Flow("orders")

    @flow.entry(emits="line")
    async def split(name: str, ctx: Context) -> None:
        for _ in range(3):
            ctx.emit("line", name)

    @flow.step(subscribes="line", limits=Concurrency(1, key="@run"))
    async def book(name: str) -> None:
        await floor.visit(name, name)

    async with Runfold(url, flows=[flow]) as rf:
        runs = [await rf.start(flow, name) for name in ("a", "b")]
        await floor.holds(2)
        floor.free.set()
        await done(runs)
    assert floor.most == {"a": 1, "b": 1}


# In which turn.


@scenario
async def test_priorities_go_before_turns_and_equal_ones_first_come_first_served(url: str) -> None:
    order: list[int] = []
    queue = Queue("mail")

    @queue.job()
    async def send(number: int) -> None:
        order.append(number)

    rf = Runfold(url, queues=[queue], settings=ONE)
    async with rf.connect():
        for number, priority in enumerate((1, 10, 5, 1, 10, 5)):
            await rf.start(send, number, priority=priority)
    async with rf:
        await rf.run_until_idle()
    assert order == [1, 4, 2, 5, 0, 3]


@scenario
async def test_a_flood_of_higher_priority_is_served_first_to_its_end(url: str) -> None:
    order: list[str] = []
    queue = Queue("mail")

    @queue.job()
    async def send(what: str) -> None:
        order.append(what)

    rf = Runfold(url, queues=[queue], settings=ONE)
    async with rf.connect():
        await rf.start(send, "patient", priority=1)
        await rf.start_many(send, ["flood"] * 20, priority=10)
    async with rf:
        await rf.run_until_idle()
    assert order == ["flood"] * 20 + ["patient"]


@scenario
async def test_keys_take_turns_and_each_keeps_its_order(url: str) -> None:
    order: list[str] = []
    queue = Queue("mail", limits=[Concurrency(100, key="to")])

    @queue.job()
    async def send(message: dict[str, Any]) -> None:
        order.append(message["n"])

    rf = Runfold(url, queues=[queue], settings=ONE)
    async with rf.connect():
        many = [{"to": "adam", "n": f"adam{n}"} for n in range(30)]
        few = [{"to": "zoe", "n": f"zoe{n}"} for n in range(3)]
        await rf.start_many(send, [*many, *few])
    async with rf:
        await rf.run_until_idle()
    assert order[:7] == ["adam0", "zoe0", "adam1", "zoe1", "adam2", "zoe2", "adam3"]
    assert order[6:] == [f"adam{n}" for n in range(3, 30)]
