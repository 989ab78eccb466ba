"""Idle: what a process with all roles asks a database that nobody uses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.places import Place, query
from benchmarks.shapes import Count, no_op
from runfold.store.sql.postgres_driver import Link

SECONDS = 20.0
SETTLED_SECONDS = 11.0
"""After so long without a question a backend has told its statistics, those of the start too."""
_TRANSACTIONS = (
    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
)


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return processor ms a second; on PostgreSQL also questions of the process a second, and
    transactions of the server, which has some of its own."""
    queue, _ = no_op(Count(0))
    rf = place.runfold(queues=[queue])
    seconds = max(1.0, SECONDS * scale)
    found: dict[str, float] = {}
    async with rf:
        await asyncio.sleep(max(1.0, SETTLED_SECONDS * scale) if place.name == "postgresql" else 1)
        before = await _asked(place)
        began, spent = time.perf_counter(), time.process_time()
        with _counted() as asked:
            await asyncio.sleep(seconds)
        took, spent = time.perf_counter() - began, time.process_time() - spent
        found["idle: processor"] = spent / took * 1000
        if before is not None:
            found["idle: questions"] = asked.seen / took
            await asyncio.sleep(1.5)  # A backend tells its statistics once a second at most.
            after = await _asked(place)
            assert after is not None
            took = time.perf_counter() - began
            # Each question about it is a transaction as well.
            found["idle: transactions"] = (after - before - 1) / took
    return found


@contextmanager
def _counted() -> Iterator[Count]:
    """Count every statement that this process sends, of any thread."""
    count, rows = Count(0), Link.rows

    async def counted(link: Link, text: str, values: Any = ()) -> list[Any]:
        count.up()
        return await rows(link, text, values)

    Link.rows = counted  # type: ignore[method-assign]
    try:
        yield count
    finally:
        Link.rows = rows  # type: ignore[method-assign]


async def _asked(place: Place) -> int | None:
    if place.name != "postgresql":
        return None
    return int(await query(place.url, _TRANSACTIONS))
