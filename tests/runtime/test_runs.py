"""Folded runs that several tasks bring up to date at once."""

from __future__ import annotations

import asyncio
from typing import Any

from runfold.flow.events import State
from runfold.kernel.event import Draft
from runfold.runtime.node import Node
from runfold.runtime.runs import Runs
from runtime.scene import Faulty, on_memory, start


class Slow:
    """A log whose reads let other tasks go first."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def read_stream(self, *args: Any, **options: Any) -> Any:
        rows = await self._store.read_stream(*args, **options)
        await asyncio.sleep(0)
        return rows


@on_memory
async def test_two_readers_at_once_fold_each_event_once(node: Node, faults: Faulty) -> None:
    runs = Runs(Slow(node.store), node.codec, node.definitions)  # type: ignore[arg-type]
    stream = await start(node)
    await runs.refresh(stream)
    more = [Draft(State(operation="add", key="n", value=1), "first", 1, 1)]
    await node.appender.submit(more, stream=stream)
    await asyncio.gather(*(runs.refresh(stream) for _ in range(5)))
    run = runs.get(stream)
    assert run is not None
    assert run.values() == {"n": 1}
