"""Append: 64 writers, each with a stream of its own, one event at a time, encode included."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

from benchmarks.places import Place
from runfold.flow.events import Record
from runfold.kernel.event import Draft
from runfold.runtime.appender import Appender

WRITERS = 64
EVENTS = 400
"""How many events each writer appends."""


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return events per second."""
    count = max(2, int(EVENTS * scale))
    rf = place.runfold()
    async with rf.connect():
        appender = rf._node.appender
        opened = [
            await appender.submit([Draft(_event(0))], id=uuid4().bytes) for _ in range(WRITERS)
        ]
        began = time.perf_counter()
        await asyncio.gather(*(_write(appender, one.stream, count) for one in opened))
        took = time.perf_counter() - began
    return {"append": WRITERS * count / took}


async def _write(appender: Appender, stream: int, count: int) -> None:
    for number in range(count):
        outcome = await appender.submit([Draft(_event(number))], stream=stream)
        assert outcome.refusal is None


def _event(number: int) -> Record:
    return Record(type="measured", data={"number": number, "text": "x" * 100})
