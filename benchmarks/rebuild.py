"""Rebuild: the runs view folded anew, from the first event of a log of 100,000, and compared."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.places import Place
from benchmarks.shapes import Count, four_steps

EVENTS = 100_000
EVENTS_PER_FLOW = 17


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return events per second of a rebuild and of a verification of the runs view."""
    runs = max(3, int(EVENTS * scale / EVENTS_PER_FLOW))
    count = Count(runs)
    flow = four_steps(count)
    rf: Any = place.runfold(flows=[flow])
    async with rf:
        for start in range(0, runs, 1000):
            numbers = range(start, min(start + 1000, runs))
            await rf.start_many(flow, [{"number": number} for number in numbers])
        await count.complete.wait()
        await rf.run_until_idle()
    async with rf.connect():
        (view,) = [one for one in await rf.projections.status() if one.name == "runs"]
        events = view.position + view.lag
        began = time.perf_counter()
        await rf.projections.rebuild("runs")
        rebuilt = time.perf_counter()
        verified = await rf.projections.verify("runs")
        done = time.perf_counter()
    assert verified.is_equal, verified
    return {"rebuild": events / (rebuilt - began), "verify": events / (done - rebuilt)}
