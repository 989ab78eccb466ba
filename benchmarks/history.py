"""History: what a claim and an append cost behind 100,000 runs that have ended.

The runs are real ones, copied in the database: their events and streams are inserted again, by
SQL, at later positions and under other ids, as if they had been recorded one after the other.
What the events say inside is that of the runs they were copied from; nothing here reads it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import Any

from benchmarks.figures import percentile
from benchmarks.places import Place, query
from benchmarks.shapes import Count, no_op
from runfold import Runfold

RUNS = 100_000
"""How many have ended; ``--scale 10`` for a million."""
COPIED = 1_000
SINGLY = 200
DRAINED = 2_000
ROLES = {"dispatcher", "worker", "timekeeper"}

_OF_EVENTS = (
    "log_id, version, activation, attempt, cause, topic, step, key, state, blob"  # as they were
)
_EVENTS = """
    INSERT INTO {schema}events (position, stream, ts, {columns})
    SELECT e.position + g.n, e.stream + g.n, (SELECT max(ts) FROM {schema}events), {columns}
    FROM {shifts} g, {schema}events e
    WHERE e.position > {first} AND e.position <= {last} ORDER BY 1
"""
_STREAMS = """
    INSERT INTO {schema}streams (stream, log_id, id, flow)
    SELECT s.stream + g.n, s.log_id, {id}, s.flow
    FROM {shifts} g, {schema}streams s
    WHERE s.stream > {first} AND s.stream <= {last} ORDER BY 1
"""
_CURSOR = "UPDATE {schema}cursors SET position = (SELECT max(position) FROM {schema}events)"


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return latencies and the drain of an empty log, and of one with many ended runs."""
    count = Count(0)
    queue, job = no_op(count)
    rf = place.runfold(queues=[queue])
    found = {}
    async with rf.serve(ROLES):
        first = await rf.log.head()
        await _drain(rf, job, count, max(1, min(COPIED, int(RUNS * scale))))
        size = await rf.log.head() - first
        found |= await _figures(rf, job, count, scale, "few runs")
    async with rf.connect():
        head = await rf.log.head()
    copies = max(1, int(RUNS * scale) // COPIED)
    await _copy(place, first=first, size=size, after=head, copies=copies)
    async with rf.serve(ROLES):
        found |= await _figures(rf, job, count, scale, "many runs")
    return found


async def _figures(
    rf: Runfold, job: Any, count: Count, scale: float, name: str
) -> dict[str, float]:
    appends, starts = [], []
    for number in range(max(5, int(SINGLY * scale))):
        began = time.perf_counter()
        run = await rf.start(job, number)
        appends.append((time.perf_counter() - began) * 1000)
        await run.result(timeout=60)
        starts.append((count.last_at - began) * 1000)
    return {
        f"history: append, {name}": percentile(appends, 0.5),
        f"history: submit to start, {name}": percentile(starts, 0.5),
        f"history: drain, {name}": await _drain(
            rf, job, count, max(10, int(DRAINED * min(scale, 1)))
        ),
    }


async def _drain(rf: Runfold, job: Any, count: Count, jobs: int) -> float:
    count.expected = count.seen + jobs
    count.complete.clear()
    began = time.perf_counter()
    await rf.start_many(job, list(range(jobs)))
    await count.complete.wait()
    await rf.run_until_idle()
    return jobs / (time.perf_counter() - began)


async def _copy(place: Place, *, first: int, size: int, after: int, copies: int) -> None:
    """Insert ``copies`` of the ``size`` events behind ``first``, behind position ``after``."""
    shift, columns = after - first, _OF_EVENTS
    last = shift + (copies - 1) * size
    common: dict[str, Any] = {"first": first, "last": first + size, "columns": columns}
    if place.name == "postgresql":
        shifts = f"(SELECT generate_series({shift}, {last}, {size}) AS n)"
        id = "decode(md5(s.stream || ' ' || g.n), 'hex')"
        common |= {"schema": "runfold.", "shifts": shifts, "id": id}
        for statement in (_EVENTS, _STREAMS, _CURSOR, "ANALYZE"):
            await query(place.url, statement.format(**common))
        return
    series = f"WITH RECURSIVE up(n) AS (VALUES ({shift}) UNION ALL SELECT n + {size} FROM up"
    shifts = f"({series} WHERE n < {last}) SELECT n FROM up)"
    common |= {"schema": "", "shifts": shifts, "id": "randomblob(16)"}
    with contextlib.closing(sqlite3.connect(place.url.removeprefix("sqlite:///"))) as connection:
        for statement in (_EVENTS, _STREAMS, _CURSOR):
            connection.execute(statement.format(**common))
        connection.commit()
