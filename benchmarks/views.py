"""Views: what keeping them live costs, and how soon an event is visible in one."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.places import Place
from benchmarks.shapes import Count, four_steps
from runfold.projections.views import RUNS

RUNS_COUNT = 1_000
LOOKS = 200


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return flows per second with all built-in views live and without, and the delay of one."""
    runs = max(3, int(RUNS_COUNT * scale))
    without = await _flows(place, runs, {"dispatcher", "worker", "timekeeper"})
    live = await _flows(place, runs, None)
    delays = await _delays(place, max(5, int(LOOKS * scale)))
    return {
        "flows, no views": without,
        "flows, views live": live,
        "append to visible, p50": statistics.median(delays) * 1000,
        "append to visible, p99": statistics.quantiles(delays, n=100)[98] * 1000,
    }


async def _flows(place: Place, runs: int, roles: set[str] | None) -> float:
    count = Count(runs)
    flow = four_steps(count)
    rf: Any = place.runfold(flows=[flow])
    async with rf.serve(roles):
        await rf.run_until_idle()
        began = time.perf_counter()
        await rf.start_many(flow, [{"number": number} for number in range(runs)])
        await count.complete.wait()
        await rf.run_until_idle()
        return runs / (time.perf_counter() - began)


async def _delays(place: Place, looks: int) -> list[float]:
    """Return how long after a start was recorded its run was in the view, in seconds."""
    flow = four_steps(Count(10**9))
    rf: Any = place.runfold(flows=[flow])
    delays = []
    async with rf:
        await rf.run_until_idle()
        for number in range(looks):
            run = await rf.start(flow, {"number": number})
            began = time.perf_counter()
            await rf.projections.wait(RUNS.name, run._stream)
            delays.append(time.perf_counter() - began)
    return delays
