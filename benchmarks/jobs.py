"""Jobs: start no-op jobs one by one and in bulk, then drain them with one worker."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.places import Place
from benchmarks.shapes import Count, no_op
from runfold import Runfold

JOBS = 10_000
"""How many are started in bulk, then drained: what one ``start_many`` may have."""
SINGLY = 2_000
CONCURRENT = 8


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return starts and drained jobs per second."""
    jobs, singly = max(10, int(JOBS * scale)), max(CONCURRENT, int(SINGLY * scale))
    count = Count(jobs + singly)
    queue, job = no_op(count)
    rf = place.runfold(queues=[queue])
    async with rf.connect():
        began = time.perf_counter()
        await asyncio.gather(*(_start(rf, job, singly // CONCURRENT) for _ in range(CONCURRENT)))
        one_by_one = time.perf_counter() - began
        started = singly // CONCURRENT * CONCURRENT
        began = time.perf_counter()
        await rf.start_many(job, list(range(jobs)))
        in_bulk = time.perf_counter() - began
    count.expected = started + jobs
    began, spent = time.perf_counter(), time.process_time()
    async with rf:
        await count.complete.wait()
        await rf.run_until_idle()
        drained, spent = time.perf_counter() - began, time.process_time() - spent
    return {
        "jobs: start, 8 concurrent": started / one_by_one,
        "jobs: start_many": jobs / in_bulk,
        "jobs: drain": count.expected / drained,
        "jobs: drain, processor": spent / count.expected * 1e6,
    }


async def _start(rf: Runfold, job: Any, count: int) -> None:
    for number in range(count):
        await rf.start(job, number)
