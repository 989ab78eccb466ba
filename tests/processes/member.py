"""One process of the engine, to be started and killed by tests: ``member.py URL ROLES``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from runfold import Context, Flow, Runfold, Settings, all_of

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


def engine(url: str) -> Runfold:
    """Return an engine with the shortest lease that there is."""
    return Runfold(url, flows=[flow], settings=Settings(lease=3, grace=1))


async def serve(url: str, roles: list[str]) -> None:
    """Serve until killed; say when it has begun."""
    async with engine(url).serve(roles):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2].split(",")))
