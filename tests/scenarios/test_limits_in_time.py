"""Limits over time: how often, until when not, and numbers that change."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from runfold import (
    Concurrency,
    InvalidInput,
    MinDelay,
    Queue,
    RateLimit,
    RateLimited,
    Retry,
    Runfold,
)
from scenarios.floor import ONE, Floor, claimed, claims, done
from scenarios.scene import history, scenario

# How often.


@scenario
async def test_exactly_four_start_in_a_window(url: str) -> None:
    queue = Queue("mail", limits=[RateLimit(4, 60)])

    @queue.job()
    async def send(number: int) -> None: ...

    async with Runfold(url, queues=[queue]) as rf:
        runs = await rf.start_many(send, range(16))
        await done(runs[:4])
        await rf.run_until_idle()
        assert await claims(rf) == 4


@scenario
async def test_a_rate_holds_over_several_processes(shared_url: str) -> None:
    queue = Queue("mail", limits=[RateLimit(4, 60)])

    @queue.job()
    async def send(number: int) -> None: ...

    async with AsyncExitStack() as stack:
        fleet = [Runfold(shared_url, queues=[queue]) for _ in range(4)]
        for rf in fleet:
            await stack.enter_async_context(rf)
        runs = await fleet[0].start_many(send, range(16))
        await done(runs[:4])
        for rf in fleet:
            await rf.run_until_idle()
        assert await claims(fleet[0]) == 4


@scenario
async def test_what_waited_for_the_window_goes_on_when_it_slides(url: str) -> None:
    queue = Queue("mail", limits=[RateLimit(2, 0.5)])

    @queue.job()
    async def send(number: int) -> None: ...

    async with Runfold(url, queues=[queue]) as rf:
        runs = await rf.start_many(send, range(5))
        await done(runs)
        moments = [event.ts.timestamp() for event in await claimed(rf, 5)]
    assert all(later - one >= 0.5 for one, later in zip(moments, moments[2:], strict=False))


@scenario
async def test_a_rate_by_key_and_an_even_one_hold_together(url: str) -> None:
    queue = Queue("mail", limits=[RateLimit(1, 60, key="to"), RateLimit(10, 1, even=True)])

    @queue.job()
    async def send(message: dict[str, Any]) -> None: ...

    async with Runfold(url, queues=[queue]) as rf:
        inputs = [{"to": to} for to in ("adam", "adam", "zoe", "zoe", "eve")]
        runs = await rf.start_many(send, inputs)
        await done([runs[0], runs[2], runs[4]])
        events = await claimed(rf, 3)
        await rf.run_until_idle()
        assert await claims(rf) == 3
    moments = [event.ts.timestamp() for event in events]
    assert all(later - one >= 0.1 for one, later in pairwise(moments))
    assert [event.data["key"] for event in events] == ["adam", "zoe", "eve"]


@scenario
async def test_a_min_delay_spaces_the_starts_of_a_job(url: str) -> None:
    queue = Queue("mail")

    @queue.job(limits=MinDelay(0.2))
    async def send(number: int) -> None: ...

    async with Runfold(url, queues=[queue]) as rf:
        await done(await rf.start_many(send, range(3)))
        moments = [event.ts.timestamp() for event in await claimed(rf, 3)]
    assert all(later - one >= 0.2 for one, later in pairwise(moments))


# Until when not.


@scenario
async def test_who_is_told_to_slow_down_closes_the_limit_that_admitted_it(url: str) -> None:
    calls: list[str] = []
    queue = Queue("api", limits=[Concurrency(5, key="host")], retry=Retry(2))

    @queue.job()
    async def call(request: dict[str, Any]) -> str:
        calls.append(request["host"])
        if request["host"] == "slow" and calls.count("slow") == 1:
            raise RateLimited(retry_after=0.6)
        return "done"

    rf = Runfold(url, queues=[queue], settings=ONE)
    async with rf.connect():
        hosts = ["slow", "quick", "slow", "quick", "slow"]
        runs = await rf.start_many(call, [{"host": host} for host in hosts])
    async with rf:
        await done([await rf.get(run.id) for run in runs])
        events = await claimed(rf, 6)
        errored = [event async for event in rf.events(types=["step.errored"])]
    assert calls == ["slow", "quick", "quick", "slow", "slow", "slow"]
    assert (errored[0].data["charged"], errored[0].data["retryAfter"]) == (False, 0.6)
    assert (events[3].ts - errored[0].ts).total_seconds() >= 0.6
    assert [event.attempt for event in events] == [1] * 6


@scenario
async def test_without_a_time_the_backoff_of_the_policy_holds(url: str) -> None:
    calls: list[int] = []
    queue = Queue("api", concurrency=1, retry=Retry(2, base=0.3, jitter=0))

    @queue.job()
    async def call(number: int) -> None:
        calls.append(number)
        if len(calls) == 1:
            raise RateLimited

    async with Runfold(url, queues=[queue]) as rf:
        runs = await rf.start_many(call, range(2))
        await done(runs)
        errored = (await history(runs[0], "step.errored"))[0]
        events = await claimed(rf, 3)
    assert errored.data["retryAfter"] == 0.3
    assert (events[1].ts - errored.ts).total_seconds() >= 0.3


@scenario
async def test_a_paused_queue_starts_nothing_until_it_is_resumed(url: str) -> None:
    queue = Queue("mail")

    @queue.job()
    async def send(number: int) -> int:
        return number

    async with Runfold(url, queues=[queue]) as rf:
        queues = rf._node.queues
        await queues.pause("mail")
        run = await rf.start(send, 1)
        await rf.run_until_idle()
        assert await run.status() == "running"
        assert await claims(rf) == 0
        await queues.resume("mail")
        assert await run.result(timeout=10) == 1
        told = [event async for event in rf.events(types=["queue.paused", "queue.resumed"])]
    assert [(event.type, event.data) for event in told] == [
        ("queue.paused", {"queue": "mail"}), ("queue.resumed", {"queue": "mail"}),
    ]  # fmt: skip


@scenario
async def test_a_queue_paused_until_then_goes_on_by_itself(url: str) -> None:
    queue = Queue("mail")

    @queue.job()
    async def send(number: int) -> int:
        return number

    async with Runfold(url, queues=[queue]) as rf:
        until = datetime.now(UTC) + timedelta(seconds=0.6)
        await rf._node.queues.pause("mail", until=until)
        run = await rf.start(send, 1)
        assert await run.result(timeout=10) == 1
        (event,) = await claimed(rf, 1)
    assert event.ts >= until


@scenario
async def test_one_key_of_a_queue_is_paused(url: str) -> None:
    queue = Queue("mail", limits=[Concurrency(5, key="to")])

    @queue.job()
    async def send(message: dict[str, Any]) -> str:
        return str(message["to"])

    async with Runfold(url, queues=[queue]) as rf:
        await rf._node.queues.pause("mail", key=7)
        seven, text = await rf.start_many(send, [{"to": 7}, {"to": "7"}])
        assert await text.result(timeout=10) == "7"
        await rf.run_until_idle()
        assert await seven.status() == "running"
        await rf._node.queues.resume("mail", key=7)
        assert await seven.result(timeout=10) == "7"


# Numbers that change.


@scenario
async def test_a_limit_changed_at_run_time_holds_until_the_code_changes(url: str) -> None:
    store = Runfold(url)._store  # One that outlives a program, in memory too.

    async def at_once(most: int, expected: int, *, change: int | None = None) -> None:
        floor, queue = Floor(), Queue("mail", concurrency=most)

        @queue.job()
        async def send(number: int) -> None:
            await floor.visit(number)

        async with Runfold(store, queues=[queue]) as rf:
            if change is not None:
                limits = Queue("mail", concurrency=change).limits
                await rf._node.queues.limit("mail", limits)
            runs = await rf.start_many(send, range(8))
            await floor.holds(expected)
            floor.free.set()
            await done(runs)
        assert floor.most[None] == expected

    await at_once(2, 2)
    await at_once(2, 1, change=1)
    await at_once(2, 1)  # The code says what it said before.
    await at_once(3, 3)
    async with Runfold(store).connect() as rf:
        told = [
            (event.type, event.data["limits"][0]["max"])
            async for event in rf.events(types=["queue.defined", "queue.limited"])
        ]
    assert told == [("queue.defined", 2), ("queue.limited", 1), ("queue.defined", 3)]


@scenario
async def test_a_raised_limit_admits_those_who_wait_at_once(url: str) -> None:
    floor, queue = Floor(), Queue("mail", concurrency=1)

    @queue.job()
    async def send(number: int) -> None:
        await floor.visit(number)

    async with Runfold(url, queues=[queue]) as rf:
        runs = await rf.start_many(send, range(4))
        await floor.holds(1)
        await rf._node.queues.limit("mail", Queue("mail", concurrency=3).limits)
        await floor.holds(3)
        floor.free.set()
        await done(runs)
    assert floor.most[None] == 3


@scenario
async def test_a_key_that_the_code_does_not_give_is_refused(url: str) -> None:
    queue = Queue("mail", limits=[Concurrency(1, key="to")])

    @queue.job()
    async def send(message: Any) -> None: ...

    async with Runfold(url, queues=[queue]) as rf:
        for limits in ([Concurrency(1, key="from")], [Concurrency(1, key="to")] * 2):
            with pytest.raises(InvalidInput, match="has no limit with key="):
                await rf._node.queues.limit("mail", Queue("mail", limits=limits).limits)
        events = [event.type async for event in rf.events(types=["queue.limited"])]
    assert events == []
