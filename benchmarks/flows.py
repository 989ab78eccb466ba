"""Flows: 1,000 runs of start -> {process, validate} -> finish, from the start to the last end."""

from __future__ import annotations

import time

from benchmarks.places import Place
from benchmarks.shapes import Count, four_steps

RUNS = 1_000


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return flows per second, starting included, and the processor time of each."""
    runs = max(3, int(RUNS * scale))
    count = Count(runs)
    flow = four_steps(count)
    rf = place.runfold(flows=[flow])
    async with rf:
        began, spent = time.perf_counter(), time.process_time()
        await rf.start_many(flow, [{"number": number} for number in range(runs)])
        await count.complete.wait()
        await rf.run_until_idle()
        took, spent = time.perf_counter() - began, time.process_time() - spent
    return {"flows": runs / took, "flows: processor": spent / runs * 1e6}
