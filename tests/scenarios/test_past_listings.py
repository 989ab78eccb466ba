"""Queues, limits, pauses and listings as they were: what was seen live, asked for later."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from runfold import Concurrency, InvalidInput, PermanentError, Queue, Runfold, RunState
from runfold.client.queues import QueueInfo
from scenarios.scene import scenario

FAR = datetime(2100, 1, 1, tzinfo=UTC)


class Seen(NamedTuple):
    """What was live when ``position`` was the last event, at ``ts``."""

    position: int
    ts: datetime
    queues: list[QueueInfo]
    runs: list[RunState]
    failed: int


def shop() -> Queue:
    queue = Queue("shop", limits=[Concurrency(2, key="who"), Concurrency(3)])

    @queue.job("sell", retry=2)
    async def sell(order: dict[str, Any]) -> str:
        if order.get("bad"):
            raise PermanentError("bad")
        return "sold"

    return queue


def _settled(queues: list[QueueInfo]) -> list[QueueInfo]:
    """Whether a limit holds back what waits is found out by a claim: that is not compared."""
    return [replace(one, ready=one.ready + one.blocked, blocked=0) for one in queues]


async def _seen(rf: Runfold) -> Seen:
    while True:
        position = await rf.log.head()
        (last,) = await rf._store.read(after=position - 1, limit=1)
        queues, runs = await rf.queues.list(), (await rf.runs.list(limit=1000)).items
        failed = await rf.runs.count(status="failed")
        if position == await rf.log.head():
            return Seen(position, last.ts, queues, runs, failed)


async def _same(rf: Runfold, seen: Seen) -> None:
    for at in (seen.position, seen.ts):
        queues = {one.name: one for one in await rf.queues.list(at=at)}
        for live in _settled(seen.queues):
            (known,) = _settled([queues.get(live.name, QueueInfo(live.name))])
            assert known == live
            assert await rf.queues.stats(live.name, at=at) in (queues.get(live.name), live)
        assert (await rf.runs.list(limit=1000, at=at)).items == seen.runs
        assert await rf.runs.count(status="failed", at=at) == seen.failed


async def _act(rf: Runfold, chance: random.Random) -> None:
    """Do something that queues, limits or runs remember."""
    match chance.randrange(8):
        case 0 | 1 | 2:
            who = chance.choice(["ann", "bob"])
            order = {"who": who, "bad": chance.random() < 0.3}
            await rf.start("shop/sell", order, delay=chance.choice([None, 600]), tags=[who])
        case 3:
            await rf.queues.pause("shop", until=chance.choice([None, FAR]))
        case 4:
            await rf.queues.pause("shop", key=chance.choice(["ann", "bob"]))
        case 5:
            await rf.queues.resume("shop", key=chance.choice([None, "ann", "bob"]))
        case 6:
            await rf.queues.limit("shop", [Concurrency(chance.randint(1, 4))])
        case _:
            runs = (await rf.runs.list(status=["running", "scheduled"])).items
            if runs:
                await (await rf.get(runs[0].id)).cancel()


async def _history(rf: Runfold, seed: int, steps: int) -> list[Seen]:
    chance, seen = random.Random(seed), []
    for _ in range(steps):
        await _act(rf, chance)
        await asyncio.sleep(0)
        seen.append(await _seen(rf))
    return seen


@scenario
async def test_what_was_seen_live_is_told_later(url: str) -> None:
    async with Runfold(url, queues=[shop()]) as rf:
        seen = await _history(rf, seed=3, steps=12)
        await rf.queues.resume("shop")
        for one in seen[::3]:
            await _same(rf, one)


@pytest.mark.parametrize("seed", range(4))
def test_random_histories_are_told_as_they_were(seed: int) -> None:
    @scenario
    async def told() -> None:
        async with Runfold("memory://", queues=[shop()]) as rf:
            for one in await _history(rf, seed, steps=25):
                await _same(rf, one)

    told()


@scenario
async def test_pages_and_filters_are_those_of_then(url: str) -> None:
    async with Runfold(url, queues=[shop()]) as rf:
        await rf.queues.pause("shop")
        runs = await rf.start_many("shop/sell", [{"who": "ann", "bad": n % 2} for n in range(5)])
        then = await rf.log.head()
        await rf.queues.resume("shop")
        await rf.run_until_idle()
        await rf.start("shop/sell", {"who": "bob"})
        assert await rf.runs.count(status="running", at=then) == 5
        assert await rf.runs.count(status="failed", at=then) == 0
        assert await rf.runs.count(status="failed") == 2
        first = await rf.runs.list(limit=3, at=then)
        rest = await rf.runs.list(limit=3, cursor=first.next, at=then)
        assert [one.id for one in first.items + rest.items] == [run.id for run in runs[::-1]]
        assert rest.next is None
        before = datetime.now(UTC) - timedelta(days=1)
        assert (await rf.runs.list(at=before)).items == []
        assert await rf.queues.list(at=before) == []


@pytest.mark.parametrize("at", [0, -1, 10**9, True, "now", datetime(2026, 1, 1)])  # noqa: DTZ001
def test_what_is_no_place_in_the_log_is_refused(at: Any) -> None:
    @scenario
    async def refused() -> None:
        async with Runfold("memory://", queues=[shop()]) as rf:
            for ask in (rf.queues.list, rf.runs.list, rf.runs.count):
                with pytest.raises(InvalidInput, match="expected a moment with a time zone"):
                    await ask(at=at)
            with pytest.raises(InvalidInput, match="order of claims"):
                await rf.runs.list(order="next", at=1)

    refused()
