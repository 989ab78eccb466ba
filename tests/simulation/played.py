"""Plays ``SEEDS`` of a flow that uses much of asyncio, and prints all that came of it.

Run as a program by tests that compare what it prints; ``DISTURBED`` says how the process around
the simulation behaves meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

from runfold import Context, Flow, SyncContext, after, collect
from runfold.testing import Faults, Simulation

SEEDS = range(4)
flow: Flow[Any, Any] = Flow("played")


async def numbers(count: int) -> AsyncIterator[int]:
    try:
        for number in range(count):
            await asyncio.sleep(0.01)
            yield number
    finally:
        await asyncio.sleep(0)


class Cycle:
    """What only the garbage collector frees, and with it what it holds."""

    def __init__(self, held: Any) -> None:
        self.me, self.held = self, held


@flow.entry(emits=["item"])
async def spread(count: int, ctx: Context) -> None:
    for number in range(count):
        ctx.emit("item", number)


@flow.step(subscribes="item", retry=6)
async def work(number: int, ctx: Context) -> int:
    found = numbers(5)
    async for one in found:
        if one == number:
            break
    Cycle(found)
    naps = [asyncio.ensure_future(asyncio.sleep(0.001 * nap)) for nap in range(5)]
    _, pending = await asyncio.wait(naps, return_when=asyncio.FIRST_COMPLETED)
    for one in pending:
        one.cancel()
    try:
        async with asyncio.timeout(0.5):
            await asyncio.gather(*(asyncio.sleep(nap) for nap in (0, 0.1, 0.7)))
    except TimeoutError:
        pass
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(asyncio.sleep(0))
    if ctx.attempt == 1 and number % 2:
        raise ValueError(str(number))
    await ctx.state.append("order", number)
    return number


@flow.step(subscribes="item", retry=6)
def threaded(number: int, ctx: SyncContext) -> None:
    ctx.state.add("seen")
    threading.Event().wait(0.3 * number)
    ctx.state.append("threads", number)


@flow.step(subscribes=collect(after(work)), returns=True)
def total(found: list[int]) -> int:
    return sum(found)


def disturb(how: str) -> None:
    """Do what must change nothing, between two steps of the simulation."""
    if how == "slow":
        time.sleep(random.random() * 0.01)
    elif how == "collects":
        gc.collect()


def burn() -> None:
    while True:
        sum(range(1000))


def play(seed: int, how: str) -> None:
    faults = Faults.default() if seed % 2 else None
    with Simulation(flow, seed=seed, processes=1 + seed % 3, faults=faults) as sim:
        runs = [sim.start(flow, 4) for _ in range(2)]
        for _ in range(10):
            sim.advance(3)
            disturb(how)
        sim.run_until_idle()
        for run in runs:
            assert run.result == 6, run.state
            for event in run.events:
                print(event.json())
        for call in sim.calls():
            print(call)
        print(sim.now, sim.faults)


if __name__ == "__main__":
    how = os.environ.get("DISTURBED", "")
    if how == "busy":
        sys.setswitchinterval(1e-5)
        for _ in range(3):
            threading.Thread(target=burn, daemon=True).start()
    if how == "collects":
        gc.set_threshold(100, 2, 2)
    for seed in SEEDS:
        play(seed, how)
