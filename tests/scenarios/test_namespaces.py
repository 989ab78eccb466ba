"""Tenants in one database: whatever one of them asks, it meets nothing of the other."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from runfold import Concurrency, Queue, Runfold, RunNotFound
from runfold.settings import Settings
from runfold.store import open_store
from scenarios.scene import history, scenario

KEYED: dict[str, Any] = {"key": "k", "tags": ["t"]}


def mail() -> Queue:
    queue = Queue("mail", limits=[Concurrency(1, key="to")])

    @queue.job()
    async def send(data: dict[str, Any]) -> dict[str, Any]:
        return data

    return queue


@scenario
async def test_no_verb_crosses(url: str) -> None:
    store = open_store(url, Settings(), "default")
    async with AsyncExitStack() as stack:
        red = Runfold(store, queues=[mail()], namespace="red")
        blue = Runfold(store, queues=[mail()], namespace="blue")
        await stack.enter_async_context(red)
        await stack.enter_async_context(blue)
        heard: list[str] = []
        stop = blue.listen(lambda event: heard.append(event.type))

        # What one of them starts, under any name, is not there for the other.
        await red.queues.pause("mail")
        await red.queues.pause("mail", key="adam")
        run = await red.start("mail/send", {"to": "zoe"}, **KEYED)
        for ask in (
            lambda: blue.get(run.id),
            lambda: blue.get(of="mail/send", key="k"),
        ):
            with pytest.raises(RunNotFound):
                await ask()
        assert (await blue.runs.list()).items == []
        assert (await blue.runs.list(order="next")).items == []
        assert await blue.runs.count(tags=["t"]) == 0
        assert await blue.runs.cancel(tags=["t"]) == 0
        assert [event.run_id async for event in blue.events() if event.run_id] == []

        # Nor is what holds it back: the same key, queue and value of a limit run at once.
        twin = await blue.start("mail/send", {"to": "adam"}, **KEYED)
        assert twin.id != run.id
        assert await twin.result(timeout=10) == {"to": "adam"}
        stats = await blue.queues.stats("mail")
        assert (stats.paused, dict(stats.paused_keys), stats.blocked) == (False, {}, 0)
        await blue.queues.resume("mail")
        await blue.queues.limit("mail", [])
        assert (await red.queues.stats("mail")).paused
        assert (await red.queues.stats("mail")).limits
        assert await run.status() == "running"
        assert (await run.state()).started_at is None

        # Replacing by key, views, workers and what each hears are its own as well.
        await red.start("mail/send", {"to": "eve"}, **KEYED, on_conflict="replace")
        assert (await twin.state()).input == {"to": "adam"}
        assert await blue.runs.count() == 1
        assert [one.here for one in await blue.workers.list()] == [True]
        assert [one.here for one in await red.workers.list()] == [True]
        assert "flow.input_replaced" not in heard
        await red.queues.resume("mail")
        assert await run.result(timeout=10) == {"to": "eve"}
        await asyncio.sleep(0)
        stop()
        assert await history(twin, "flow.input_replaced") == []
        heads = [await one.log.head() for one in (red, blue)]

    # Nor does making one log's tables anew touch the other's.
    async with red.connect(), blue.connect():
        waits = await red.start("mail/send", {"to": "you"})
        await blue.log.rebuild()
        assert [item.id for item in (await red.runs.list(order="next")).items] == [waits.id]
        assert (await blue.runs.list(order="next")).items == []
        assert (await blue.log.head()) == heads[1]
        await waits.cancel()
