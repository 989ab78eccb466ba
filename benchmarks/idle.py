"""Idle: what a process with all roles asks a database that nobody uses."""

from __future__ import annotations

import asyncio
import time

from benchmarks.places import Place, query
from benchmarks.shapes import Count, no_op

SECONDS = 20.0
_TRANSACTIONS = (
    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
)


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return processor ms a second, and on PostgreSQL transactions a second."""
    queue, _ = no_op(Count(0))
    rf = place.runfold(queues=[queue])
    seconds = max(1.0, SECONDS * scale)
    found: dict[str, float] = {}
    async with rf:
        await asyncio.sleep(1)
        before = await _asked(place)
        began, spent = time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        took, spent = time.perf_counter() - began, time.process_time() - spent
        found["idle: processor"] = spent / took * 1000
        if before is not None:
            await asyncio.sleep(1.5)  # A backend tells its statistics once a second at most.
            after = await _asked(place)
            assert after is not None
            took = time.perf_counter() - began
            # Each question about it is a transaction as well.
            found["idle: transactions"] = (after - before - 1) / took
    return found


async def _asked(place: Place) -> int | None:
    if place.name != "postgresql":
        return None
    return int(await query(place.url, _TRANSACTIONS))
