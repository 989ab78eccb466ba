"""Listings: the newest 50 of 1,000 and of 1,000,000 runs by each filter, deep pages, counts.

Rows of the runs view are made in bulk, and asked for as ``rf.runs`` asks: this is what grows
with the number of runs. What it costs to show 50 of them is measured on runs that there are.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from benchmarks.places import Place, query
from benchmarks.shapes import Count, no_op
from runfold.client.run_query import RunQuery, run_query
from runfold.client.run_rows import RunRows
from runfold.ports_views import ViewPart, ViewTable, ViewWrite
from runfold.projections.views import RUNS
from runfold.projections.views.runs import RunRow
from runfold.runtime.keeper import table_of
from runfold.store.view_rows import table_name

SIZES = (1_000, 1_000_000)
LOOKS = 40
PAGE = 5_000
FLOWS, QUEUES, CUSTOMERS, STRIDE = 20, 5, 1_000, 17
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
HIGHEST = 2**63 - 1
QUESTIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "flow": {"flow": "flow-7"},
    "status": {"status": "failed"},
    "queue": {"queue": "queue-2"},
    "tag": {"tags": ["customer-7"]},
    "flow, status": {"flow": "flow-7", "status": "failed"},
    "queue, status": {"queue": "queue-2", "status": "failed"},
    "flow, queue": {"flow": "flow-7", "queue": "queue-2"},
    "tag, status": {"tags": ["customer-7"], "status": "completed"},
    "rare status": {"status": "paused"},
}


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return the p50 and p99, in ms, of each question at each size."""
    figures: dict[str, float] = {"list, whole call: 50 of 200, p50": await _shown(place)}
    rf: Any = place.runfold()
    async with rf.connect():
        views, table = rf.projections.store, table_of(RUNS, 1)
        rows = RunRows(rf.runs._session, rf.projections, None)  # type: ignore[arg-type]
        for size in SIZES:
            number = max(100, int(size * scale)) if size == SIZES[-1] else size
            await views.drop(table)
            await views.create(table, state="live")
            await _fill(views, table, number)
            if place.name == "postgresql":  # As autovacuum will, soon after.
                await query(place.url, f"VACUUM ANALYZE runfold.{table_name(1, table)}")
            named = "many" if size == SIZES[-1] else "few"
            looks = max(5, int(LOOKS * min(1.0, scale * 10)))
            figures |= await _figures(rows, table, number, named, looks)
    return figures


async def _figures(
    rows: RunRows, table: ViewTable, number: int, size: str, looks: int
) -> dict[str, float]:
    figures = {}
    newest = number * STRIDE
    middle = BEGAN + timedelta(seconds=number // 2)
    cases: dict[str, tuple[RunQuery, int]] = {
        name: (run_query(asked.get("flow"), **{k: v for k, v in asked.items() if k != "flow"}),
               HIGHEST)
        for name, asked in QUESTIONS.items()
    }  # fmt: skip
    cases["deep page"] = cases["all"][0], newest // 10
    cases["deep page of a flow"] = cases["flow"][0], newest // 10
    cases["since, until"] = (
        run_query(None, since=middle, until=middle + timedelta(hours=1)),
        HIGHEST,
    )
    for name, (asked, high) in cases.items():
        page = partial(_page, rows, table, asked, high)
        figures |= await _timed(f"list {name}: {size}", page, looks)
    for name in ("all", "flow", "status", "flow, status"):
        count = partial(rows.count_in, table, cases[name][0])
        figures |= await _timed(f"count {name}: {size}", count, looks)
    return figures


async def _page(rows: RunRows, table: ViewTable, asked: RunQuery, high: int) -> list[RunRow]:
    low, most = await rows._bounds(table, asked)
    return await rows._rows(table, asked, low, min(most, high), 51)


async def _timed(name: str, ask: Callable[[], Awaitable[Any]], looks: int) -> dict[str, float]:
    await ask()
    taken = []
    for _ in range(looks):
        began = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - began) * 1000)
    return {
        f"{name}, p50": statistics.median(taken),
        f"{name}, p99": statistics.quantiles(taken, n=100)[98],
    }


async def _fill(views: Any, table: ViewTable, number: int) -> None:
    await views.own(7, [ViewPart(*table[:3])], 3600)
    sheet = RUNS.sheet(whole=True, cache_max=10 * PAGE)
    for start in range(0, number, PAGE):
        for place in range(start, min(start + PAGE, number)):
            for row in _rows_of(place):
                sheet.put(row)
        put = [values for values in sheet.take().values() if values is not None]
        write = ViewWrite(table, 0, start, start + PAGE, put, (), [*sheet.counts.items()])
        assert await views.apply(7, [write]) == [True]


def _rows_of(number: int) -> list[RunRow]:
    """Return the rows of one run: nine of ten completed, one of ten with a tag."""
    status = {0: "failed", 1: "running", 2: "cancelled"}.get(number // 20 % 30, "completed")
    status = "paused" if number % 5003 == 0 else status
    at, of = BEGAN + timedelta(seconds=number), ["", f"customer-{number // 10 % CUSTOMERS}"]
    return [
        RunRow(
            tag=tag,
            stream=1 + number * STRIDE,
            flow=f"flow-{number % FLOWS}",
            status=status,
            queue=f"queue-{number % QUEUES}",
            tags="[]" if number % 10 else f'["{of[1]}"]',
            priority=5,
            attempt=1,
            version=17,
            input_version=1,
            created_at=at,
            due_at=None,
            started_at=at,
            finished_at=at if status == "completed" else None,
            progress=None,
            begun=True,
        )
        for tag in (of if number % 10 == 0 else of[:1])
    ]


async def _shown(place: Place) -> float:
    """Return the ms of a whole ``rf.runs.list`` of 50 among 200 runs."""
    count = Count(200)
    queue, job = no_op(count)
    async with place.runfold(queues=[queue]) as rf:
        await rf.start_many(job, list(range(200)))
        await count.complete.wait()
        await rf.run_until_idle()
        return (await _timed("list", rf.runs.list, LOOKS))["list, p50"]
