"""A few words for scenarios: run a coroutine, start a flow, read its events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from runfold import Context, Flow, LogEvent, Run, Runfold

PATIENCE = 60
"""Seconds after which a scenario that hangs is ended; nothing waits that long when it works."""


def scenario(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test to its end."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(asyncio.wait_for(test(**fixtures), PATIENCE))

    return run


async def finished(rf: Runfold, target: Any, input: Any = None, **options: Any) -> Run[Any]:
    """Return a run of ``target`` that has completed."""
    run = await rf.start(target, input, **options)
    await run.result(timeout=10)
    return run


async def history(run: Run[Any], *types: str) -> list[LogEvent]:
    """Return the events of a run, of these types or all."""
    return [event async for event in run.events(types=types)]


async def story(run: Run[Any]) -> list[str]:
    """Return the types of a run's events, each with its step."""
    return [f"{e.type} {e.step_name}" if e.step_name else e.type async for e in run.events()]


def chain() -> Flow[Any, Any]:
    """Return a flow whose entry starts a second step."""
    flow: Flow[Any, Any] = Flow("chain")

    @flow.entry(emits=["start"])
    async def start(data: Any, ctx: Context) -> str:
        ctx.emit("start", data)
        return "started"

    @flow.step(subscribes="start")
    async def next(data: Any) -> Any:
        return data

    return flow
