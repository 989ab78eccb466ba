"""Latency: an idle engine, one thing at a time."""

from __future__ import annotations

import time

from benchmarks.figures import percentile
from benchmarks.places import Place
from benchmarks.shapes import Count, four_steps, no_op

JOBS = 300
FLOWS = 150
WARM_UP = 10


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return milliseconds from submit to the handler's first line, and for whole flows."""
    jobs, flows = max(3, int(JOBS * scale)), max(3, int(FLOWS * scale))
    count = Count(0)
    queue, job = no_op(count)
    flow = four_steps(Count(0))
    rf = place.runfold(flows=[flow], queues=[queue])
    starts, wholes = [], []
    async with rf:
        for number in range(WARM_UP + jobs):
            began = time.perf_counter()
            run = await rf.start(job, number)
            await run.result(timeout=30)
            starts.append((count.last_at - began) * 1000)
        for number in range(WARM_UP + flows):
            began = time.perf_counter()
            run = await rf.start(flow, {"number": number})
            await run.result(timeout=30)
            wholes.append((time.perf_counter() - began) * 1000)
    return {
        "submit to start, p50": percentile(starts[WARM_UP:], 0.5),
        "submit to start, p99": percentile(starts[WARM_UP:], 0.99),
        "idle flow, p50": percentile(wholes[WARM_UP:], 0.5),
    }
