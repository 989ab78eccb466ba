"""Bytes per run: what a four-step flow leaves in the log and its indexes."""

from __future__ import annotations

import sqlite3

from benchmarks.places import Place, query
from benchmarks.shapes import Count, four_steps

RUNS = 1_000
TABLES = ("events", "streams", "blobs")
"""The log: its events, what their stream numbers stand for, and values kept beside it."""


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return bytes and events for each run."""
    runs = max(50, int(RUNS * scale))
    count = Count(runs)
    flow = four_steps(count)
    rf = place.runfold(flows=[flow])
    async with rf:
        before = await _bytes(place)
        await rf.start_many(flow, [{"number": number} for number in range(runs)])
        await count.complete.wait()
        await rf.run_until_idle()
        events = await rf._node.store.head()
    return {"log bytes": (await _bytes(place) - before) / runs, "events": (events - 1) / runs}


async def _bytes(place: Place) -> int:
    if place.name == "postgresql":
        sizes = " + ".join(f"pg_total_relation_size('runfold.{table}')" for table in TABLES)
        return int(await query(place.url, f"SELECT {sizes}"))
    return _sqlite_bytes(place.url.removeprefix("sqlite:///"))


def _sqlite_bytes(file: str) -> int:
    connection = sqlite3.connect(file)
    try:
        (found,) = connection.execute(
            "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN"
            f" (SELECT name FROM sqlite_master WHERE tbl_name IN {TABLES})"
        ).fetchone()
        return int(found)
    finally:
        connection.close()
