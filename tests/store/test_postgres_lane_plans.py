"""Limits, lanes and closures on PostgreSQL read a few entries, however many lanes wait.

As in ``test_postgres_plans``: planned while the tables were empty, then run beside thousands of
jobs in lanes, hundreds of them parked, and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runfold.flow.work import Gate
from runfold.items import Closure, Item, Row
from runfold.store.sql.postgres import PostgresStore
from runfold.testing.contract_scene import WORKER, Scene, after, claim, event, new, row
from runfold.testing.contract_words import at_once, in_any
from store.test_postgres_plans import Counted

LANES, JOBS_PER_LANE = 400, 5
PARKED_PER_CLAIM = 24
"""How many lanes a claim of two parks before it gives up: 4 * 2 + 16."""
READ_MAX = 150
"""How many index entries one small batch may read, of any index."""
WINDOWS = "starts_pk"
"""A rate counts its window: as many entries as it admits starts, and not bounded otherwise."""
QUEUE = "queue:full"


def lane(key: str, queue: str = "full", **more: Any) -> Row:
    """Return a job of the lane of ``key``."""
    buckets = (f"queue:{queue}#0={key}", "step:flow/step#0")
    return row(queue=queue, key=key, limits=buckets, **more)


def settings(name: str, queue: str) -> Item:
    """Return an item with one limit of every sort, all with room for work."""
    scope = f"queue:{queue}"
    keyed, whole = at_once(f"{scope}#0", 1, keyed=True), in_any(10, f"{scope}#1", 10_000)
    step = in_any(10, "step:flow/step#0", 10_000)
    return new(name, flow=None, limits=[(scope, (keyed, whole)), ("step:flow/step", (step,))])


async def one_of_each(scene: Scene, name: str, queue: str) -> list[tuple[str, Callable[[], Any]]]:
    """Return batches of every kind, each ready to be committed once, in this order."""

    async def start(key: str, **more: Any) -> int:
        return await scene.start(f"{name}-{key}", lane(f"{name}-{key}", queue, **more))

    held = await start("held")
    floor = await scene.store.head()
    (job,) = await scene.claim(1, queue=queue, floors=[floor] * 10)
    assert job.stream == held
    await scene.start(f"{name}-next", lane(f"{name}-held", queue))
    timed = await start("timed", kind="retry", delay=0.0)
    dropped, paused = await start("dropped"), await start("paused")
    last = await scene.store.head()

    def commit(*items: Item, **more: Any) -> Callable[[], Any]:
        return lambda: scene.commit(*items, now=after(1), **more)

    def close(until: Any) -> Item:
        closures = [Closure(f"{QUEUE}={name}", until), Closure(f"queue:{name}", until)]
        return new(f"{name}-{until}", flow=None, closures=closures)

    wanted = claim(2, queue=queue, floors=[floor] * 10)
    done = Item([event()], held, lease=(job.id, WORKER), frees=True, holds=0.0)
    return [
        ("start", commit(new(f"{name}-new", rows=[lane(f"{name}-new", queue)]))),
        ("timer", commit(Item([event()], timed, timer=timed))),
        ("drop", commit(Item([event()], dropped, drops=[("step", 1)]))),
        ("pause", commit(Item([event()], paused, gate=Gate.PAUSED))),
        ("resume", commit(Item([event()], paused, gate=Gate.OPEN))),
        ("park and claim", commit(claims=[wanted])),
        ("complete and wake", commit(done)),
        ("close", commit(close(after(5)))),
        ("open", commit(close(None))),
        ("claim nothing", commit(claims=[claim(2, queue=queue, floors=[last + 99] * 10)])),
    ]


def test_batches_with_lanes_that_were_planned_on_empty_tables_read_little_when_they_are_full(
    postgres_url: str,
) -> None:
    async def test() -> None:
        store = PostgresStore(postgres_url)
        await store.open()
        scene, counted = Scene(store), Counted(store, postgres_url)
        await scene.record(settings("before", "empty"))
        for number in range(2):
            for _, batch in await one_of_each(scene, f"empty-{number}", "empty"):
                await batch()
        await _fill(scene)
        found = {}
        for kind, batch in await one_of_each(scene, "full", "full"):
            reads = await counted.reads(batch)
            reads.pop(WINDOWS, None)
            found[kind] = {index: n for index, n in reads.items() if n > READ_MAX}
        await store.close()
        assert found == {kind: {} for kind in found}

    asyncio.run(test())


async def _fill(scene: Scene) -> None:
    """Add lanes, each with one leased job, some parked and many waiting."""
    await scene.record(settings("full-limits", "full"))
    for n in range(0, LANES, 100):
        keys = [f"k{n + k}" for k in range(100)]
        rows = [lane(key) for key in keys]
        for turn in range(JOBS_PER_LANE):
            await scene.commit(*(new(f"{turn}-{r.key}", rows=[r]) for r in rows))
        assert len(await scene.claim(100, queue="full")) == 100
    for _ in range(LANES // PARKED_PER_CLAIM):
        assert await scene.claim(2, queue="full") == []
