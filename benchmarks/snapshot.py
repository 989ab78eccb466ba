"""A snapshot that somebody holds while jobs come and go: what it costs those who come later.

500 jobs a second are started and done for a minute while a transaction of another connection
keeps its snapshot (on SQLite: a reader keeps the log of the file from being cut); ``--scale 10``
holds it for ten minutes. What is drained at the end, with the snapshot still held, is compared
with what was drained at the beginning.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.figures import percentile
from benchmarks.places import Place
from benchmarks.shapes import Count, no_op
from runfold import Runfold

SECONDS = 60.0
A_SECOND = 500
DRAINED = 3_000


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return drains before and with a held snapshot, and the slowest second between them."""
    count = Count(0)
    queue, job = no_op(count)
    rf = place.runfold(queues=[queue])
    drained = max(20, int(DRAINED * min(scale, 1)))
    async with rf.serve({"dispatcher", "worker", "timekeeper"}):
        await _rounds(rf, job, count, 0.2)
        before = await _drain(rf, job, count, drained)
        async with _held(place):
            took = await _rounds(rf, job, count, max(0.5, SECONDS * scale))
            under = await _drain(rf, job, count, drained)
    return {
        "snapshot: drain before": before,
        "snapshot: drain under it": under,
        "snapshot: of what it was": under / before * 100,
        "snapshot: done in, p99": percentile(took, 0.99),
    }


async def _rounds(rf: Runfold, job: Any, count: Count, seconds: float) -> list[float]:
    """Return how many ms each tenth of a second's jobs took to be done, so many a second."""
    took, end, each = [], time.perf_counter() + seconds, 0.1
    while (began := time.perf_counter()) < end:
        await _drain(rf, job, count, int(A_SECOND * each))
        spent = time.perf_counter() - began
        took.append(spent * 1000)
        await asyncio.sleep(max(0.0, each - spent))
    return took


async def _drain(rf: Runfold, job: Any, count: Count, jobs: int) -> float:
    count.expected = count.seen + jobs
    count.complete.clear()
    began = time.perf_counter()
    await rf.start_many(job, list(range(jobs)))
    await count.complete.wait()
    return jobs / (time.perf_counter() - began)


@contextlib.asynccontextmanager
async def _held(place: Place) -> AsyncIterator[None]:
    if place.name != "postgresql":
        path = place.url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM logs").fetchone()
            yield
        return
    import asyncpg

    holder = await asyncpg.connect(place.url)
    try:
        await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await holder.fetchval("SELECT count(*) FROM runfold.logs")
        yield
    finally:
        await holder.close()
