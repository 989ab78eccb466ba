"""Bytes per run: what a four-step flow leaves in the log and its indexes, and with all views."""

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
        before, views = await _bytes(place), await _bytes(place, views=True)
        await rf.start_many(flow, [{"number": number} for number in range(runs)])
        await count.complete.wait()
        await rf.run_until_idle()
        events = await rf._node.store.head()
    log, with_views = await _bytes(place), await _bytes(place, views=True)
    return {
        "log bytes": (log - before) / runs,
        "log and views, bytes": (log - before + with_views - views) / runs,
        "events": (events - 1) / runs,
    }


async def _bytes(place: Place, *, views: bool = False) -> int:
    """Return the bytes of the log, or of all views."""
    if place.name != "postgresql":
        return _sqlite_bytes(place.url.removeprefix("sqlite:///"), views=views)
    which = "relname LIKE 'view\\_%'" if views else f"relname IN {TABLES}"
    return int(
        await query(
            place.url,
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class WHERE "
            f"relnamespace = 'runfold'::regnamespace AND relkind = 'r' AND {which}",
        )
    )


def _sqlite_bytes(file: str, *, views: bool) -> int:
    which = "tbl_name GLOB 'view_*'" if views else f"tbl_name IN {TABLES}"
    connection = sqlite3.connect(file)
    try:
        (found,) = connection.execute(
            "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN"
            f" (SELECT name FROM sqlite_master WHERE {which})"
        ).fetchone()
        return int(found)
    finally:
        connection.close()
