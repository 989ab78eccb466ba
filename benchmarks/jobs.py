"""Jobs: start no-op jobs one by one and in bulk, then drain them with one worker."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Any

from benchmarks.places import Place
from benchmarks.shapes import Count, no_op
from runfold import Queue, Runfold

JOBS = 10_000
"""How many are started in bulk, then drained: what one ``start_many`` may have."""
SINGLY = 2_000
CONCURRENT = 8
ROLES = frozenset({"dispatcher", "worker", "timekeeper"})
"""What drains, when no views are kept."""


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
    drained, spent = await _drain(rf, rf, count, started + jobs)
    async with rf.connect():
        await rf.start_many(job, list(range(jobs)))
    alone, _ = await _drain(rf, rf.serve(ROLES), count, started + 2 * jobs)
    resumed = await _drain_resumed(rf, queue, job, count, jobs)
    return {
        "jobs: start, 8 concurrent": started / one_by_one,
        "jobs: start_many": jobs / in_bulk,
        "jobs: drain": (started + jobs) / drained,
        "jobs: drain, processor": spent / (started + jobs) * 1e6,
        "jobs: drain, no projector": jobs / alone,
        "jobs: drain, resumed": jobs / resumed,
    }


async def _drain(
    rf: Runfold, serving: AbstractAsyncContextManager[Any], count: Count, expected: int
) -> tuple[float, float]:
    """Return the seconds, and those of the processor, until everything is done."""
    count.expect(expected)
    began, spent = time.perf_counter(), time.process_time()
    async with serving:
        await count.complete.wait()
        await rf.run_until_idle()
        return time.perf_counter() - began, time.process_time() - spent


async def _drain_resumed(rf: Runfold, queue: Queue, job: Any, count: Count, jobs: int) -> float:
    """Return the seconds that jobs take which a process has seen start, in a paused queue."""
    count.expect(count.seen + jobs)
    async with rf:
        await rf.queues.pause(queue)
        await rf.start_many(job, list(range(jobs)))
        await rf.run_until_idle()
        began = time.perf_counter()
        await rf.queues.resume(queue)
        await count.complete.wait()
        await rf.run_until_idle()
        return time.perf_counter() - began


async def _start(rf: Runfold, job: Any, count: int) -> None:
    for number in range(count):
        await rf.start(job, number)
