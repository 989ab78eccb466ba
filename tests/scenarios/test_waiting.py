"""A waiter never hangs: the run is over, the process leaves, the log forgets the run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runfold import Queue, Runfold, StoreUnavailable
from scenarios.scene import scenario


def nothing() -> Queue:
    queue = Queue("q")

    @queue.job()
    async def echo(data: Any) -> Any:
        return data

    return queue


@scenario
async def test_who_waits_while_the_process_leaves_hears_of_it(url: str) -> None:
    rf = Runfold(url, queues=[nothing()])
    async with rf.connect():
        run = await rf.start("q/echo", 1)
        waiting = asyncio.ensure_future(run.result())
        await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="was left"):
        await waiting
    async with rf:
        with pytest.raises(StoreUnavailable, match="was left"):
            await run.result()  # A handle of the time before.
        assert await (await rf.get(run.id)).result(timeout=10) == 1
