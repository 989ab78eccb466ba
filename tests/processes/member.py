"""One process of the engine, to be started and killed by tests: ``member.py URL ROLES``."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy import text

from processes.limited import letters, mail
from runfold import Context, Flow, Queue, Runfold, Settings, all_of

flow: Flow[Any, Any] = Flow("work")


@flow.entry(emits=["go"])
async def start(n: Any, ctx: Context) -> None:
    ctx.emit("go", n)


@flow.step(subscribes="go", emits=["left"])
async def left(n: int, ctx: Context) -> None:
    await asyncio.sleep(0.005)
    ctx.emit("left", n)


@flow.step(subscribes="go", emits=["right"])
async def right(n: int, ctx: Context) -> None:
    await asyncio.sleep(0.005)
    ctx.emit("right", n)


@flow.step(subscribes=all_of("left", "right"), returns=True)
async def finish(both: dict[str, int]) -> int:
    return both["left"] + both["right"]


slow: Flow[Any, Any] = Flow("slow")


@slow.entry(retry=2)
async def sleep(seconds: float, ctx: Context) -> list[int]:
    time.sleep(seconds)  # noqa: ASYNC251 - a handler that blocks the loop of its process
    return [os.getpid(), ctx.attempt]


brief: Flow[Any, Any] = Flow("brief", keep=0)


@brief.entry()
async def double(n: int) -> int:
    return n * 2


pays: Flow[Any, Any] = Flow("pays")


@pays.entry(retry=20)
async def pay(amount: int, ctx: Context) -> str:
    async with ctx.transaction() as connection:
        row = {"id": ctx.run_id, "amount": amount}
        await connection.execute(text("INSERT INTO payments VALUES (:id, :amount)"), row)
        await asyncio.sleep(0.002)
    return "paid"


def skew(seconds: float) -> None:
    """Set the clock of this process wrong."""
    true, true_ns = time.time, time.time_ns
    time.time = lambda: true() + seconds
    time.time_ns = lambda: true_ns() + int(seconds * 1e9)


def engine(url: str, queues: Sequence[Queue] = ()) -> Runfold:
    """Return an engine with the shortest lease that there is, or that of ``LEASE``."""
    settings = Settings(lease=float(os.environ.get("LEASE", "3")), grace=1)
    return Runfold(url, flows=[flow, slow, brief, pays], queues=queues, settings=settings)


async def serve(url: str, roles: list[str]) -> None:
    """Serve until killed; say when it has begun."""
    queues = [mail, letters] if "FLOOR" in os.environ else []
    async with AsyncExitStack() as stack:
        for _ in range(int(os.environ.get("ENGINES", "1"))):
            await stack.enter_async_context(engine(url, queues).serve(roles))
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    skew(float(os.environ.get("SKEW", "0")))
    asyncio.run(serve(sys.argv[1], sys.argv[2].split(",")))
