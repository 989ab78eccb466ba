"""Following: how late a listener of another process hears what this one records, under load."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection

from benchmarks.figures import percentile
from benchmarks.places import Place
from benchmarks.shapes import Count, four_steps

RUNS = 1_000
PER_SECOND = 100
"""Runs of the four-step flow, about 1,500 events a second."""


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return milliseconds from the recording time of an event to its listener's call."""
    runs = max(20, int(RUNS * scale))
    flow = four_steps(Count(0))
    ours, theirs = multiprocessing.Pipe()
    async with place.runfold(flows=[flow]) as rf:
        listener = multiprocessing.get_context("spawn").Process(
            target=_listener, args=(place, runs, theirs), daemon=True
        )
        listener.start()
        assert await asyncio.to_thread(ours.recv) == "ready"
        began, started = time.perf_counter(), []
        for number in range(runs):
            started.append(await rf.start(flow, {"number": number}))
            await asyncio.sleep(began + number / PER_SECOND - time.perf_counter())
        for run in started:
            await run.result(timeout=60)
        delays = await asyncio.to_thread(ours.recv)
        listener.join()
    return {
        "append to listener, p50": percentile(delays, 0.5),
        "append to listener, p99": percentile(delays, 0.99),
    }


def _listener(place: Place, runs: int, back: Connection) -> None:
    back.send(asyncio.run(_listen(place, runs, back)))


async def _listen(place: Place, runs: int, back: Connection) -> list[float]:
    delays: list[float] = []
    ended = 0
    async with place.runfold().connect() as rf:
        back.send("ready")
        async for event in rf.events(follow=True):
            delays.append((time.time() - event.ts.timestamp()) * 1000)
            ended += event.type == "flow.completed"
            if ended == runs:
                return delays
    return delays
