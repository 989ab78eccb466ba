"""The flows and jobs that are measured: they do nothing, so that all time is the engine's."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from runfold import Context, Flow, Queue, after, all_of


class Count:
    """Counts handler calls, and lets somebody wait for the last one."""

    def __init__(self, expected: int) -> None:
        self.expected, self.seen, self.last_at = expected, 0, 0.0
        self.complete = asyncio.Event()

    def expect(self, expected: int) -> None:
        """Wait for so many in all."""
        self.expected = expected
        self.complete.clear()

    def up(self) -> None:
        """Count one call."""
        self.seen += 1
        self.last_at = time.perf_counter()
        if self.seen == self.expected:
            self.complete.set()


def no_op(count: Count) -> tuple[Queue, Any]:
    """Return a queue and its one job, which counts."""
    queue = Queue("bench")

    @queue.job("no-op")
    async def job(data: Any) -> None:
        count.up()

    return queue, job


def four_steps(count: Count) -> Flow[Any, Any]:
    """Return start -> {process, validate} -> finish, joined by ``all_of``; ``finish`` counts."""
    flow = Flow("four-steps")

    @flow.entry("start", emits=["data.prepared"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("data.prepared", data)

    @flow.step("process", subscribes="data.prepared")
    async def process(data: Any) -> Any:
        return data

    @flow.step("validate", subscribes="data.prepared")
    async def validate(data: Any) -> bool:
        return True

    @flow.step(
        "finish",
        subscribes=all_of(processed=after("process"), valid=after("validate")),
        returns=True,
    )
    async def finish(data: Any) -> Any:
        count.up()
        return data["processed"]

    return flow


def fan_out(width: int) -> Flow[Any, Any]:
    """Return a flow whose run has 5 + 4 x ``width`` events: one emit and one step for each."""
    flow = Flow("fan-out")

    @flow.entry("start", emits=["item"])
    async def start(data: Any, ctx: Context) -> None:
        for number in range(width):
            ctx.emit("item", {"number": number, "text": "some payload of an item"})

    @flow.step("work", subscribes="item")
    async def work(item: Any) -> Any:
        return item["number"]

    return flow
