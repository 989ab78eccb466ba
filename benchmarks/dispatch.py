"""Dispatch: a dispatcher alone catches up with facts that workers recorded without one."""

from __future__ import annotations

import time

from benchmarks.places import Place
from benchmarks.shapes import Count
from runfold import Context, Flow

RUNS = 2_000
DECISIONS = 2
"""For each run: its entry has completed, two steps are to be scheduled."""


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return decisions per second, reading, folding and recording included."""
    runs = max(5, int(RUNS * scale))
    count = Count(runs)
    rf = place.runfold(flows=[_forking(count)])
    async with rf.serve({"worker"}):
        await rf.start_many("forking", list(range(runs)))
        await count.complete.wait()
    head = await _head(rf)
    began = time.perf_counter()
    async with rf.serve({"dispatcher"}):
        node = rf._node
        seen = node.bell.count
        while not await _decided(node, head + runs * DECISIONS):
            await node.bell.wait(seen, 0.02)
            seen = node.bell.count
        took = time.perf_counter() - began
    return {"dispatch": runs * DECISIONS / took}


def _forking(count: Count) -> Flow:
    flow = Flow("forking")

    @flow.entry("start", emits=["data.prepared"])
    async def start(data: int, ctx: Context) -> None:
        ctx.emit("data.prepared", data)
        count.up()

    @flow.step("left", subscribes="data.prepared")
    async def left(data: int) -> None: ...

    @flow.step("right", subscribes="data.prepared")
    async def right(data: int) -> None: ...

    return flow


async def _head(rf) -> int:
    async with rf.connect():
        return await rf._node.store.head()


async def _decided(node, head: int) -> bool:
    return await node.store.head() >= head and node.dispatcher.caught_up(head)
