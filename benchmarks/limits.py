"""Limits: what they cost a drain of no-op jobs although none of them is ever reached.

Each variant drains a queue of its own in one database, so their ratios belong together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.places import SLOTS, Place
from benchmarks.shapes import Count
from runfold import Concurrency, Queue, RateLimit

JOBS = 4_000
KEYS = 100
EACH = "one at once, a key each"
"""As many keys as jobs: no place is waited for, each is looked at."""
VARIANTS: dict[str, Sequence[Any]] = {
    "none": (),
    "at once, no key": (Concurrency(2 * SLOTS),),
    "at once, 100 keys": (Concurrency(2 * SLOTS, key="to"),),
    "rate, no key": (RateLimit(10**6, 60),),
    "rate, 100 keys": (RateLimit(10**6, 60, key="to"),),
    EACH: (Concurrency(1, key="to"),),
}


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return drained jobs per second for each kind of limit."""
    jobs = max(10, int(JOBS * scale))
    return {
        f"limits: {name}": await _drained(
            place, Queue(f"limited-{n}", limits=limits), jobs, jobs if name == EACH else KEYS
        )
        for n, (name, limits) in enumerate(VARIANTS.items())
    }


async def _drained(place: Place, queue: Queue, jobs: int, keys: int) -> float:
    count = Count(jobs)

    @queue.job("no-op")
    async def job(data: Any) -> None:
        count.up()

    rf = place.runfold(queues=[queue])
    async with rf.connect():
        await rf.start_many(job, [{"to": number % keys} for number in range(jobs)])
    began = time.perf_counter()
    async with rf.serve({"dispatcher", "worker", "timekeeper"}):
        await count.complete.wait()
        await rf.run_until_idle()
        return jobs / (time.perf_counter() - began)
