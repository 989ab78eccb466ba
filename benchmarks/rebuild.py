"""Rebuild: the runs view folded anew from the first event of a log, by one process and by four.

The log is written in bulk (``long_log``). ``--scale 10`` is the log of a million events.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks import long_log
from benchmarks.places import Place

EVENTS = 100_000
PROCESSES = 4
SCALE_MIN = 0.5
"""Below it several processes are not measured: to begin takes them longer than the work."""


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return events per second of rebuilds and of a verification of the runs view."""
    events = await long_log.record(place, max(1000, int(EVENTS * scale)))
    rf: Any = place.runfold()
    async with rf.connect():
        seconds = {"rebuild": await _rebuilt(rf, 1)}
        if scale >= SCALE_MIN:
            seconds[f"rebuild, {PROCESSES} processes"] = await _rebuilt(rf, PROCESSES)
        began = time.perf_counter()
        verified = await rf.projections.verify("runs")
        seconds["verify"] = time.perf_counter() - began
    assert verified.is_equal, verified
    return {figure: events / took for figure, took in seconds.items()}


async def _rebuilt(rf: Any, processes: int) -> float:
    began = time.perf_counter()
    await rf.projections.rebuild("runs", processes=processes)
    return time.perf_counter() - began
