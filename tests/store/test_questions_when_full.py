"""What is asked every second reads as little of a log with a history as of an empty one.

The database counts: index entries on PostgreSQL, steps of its machine on SQLite.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg

from runfold.ports import Item, Store
from runfold.store.sql.postgres import PostgresStore
from runfold.store.sql.sqlite import SqliteStore
from runfold.testing.contract_scene import (
    NOON,
    WORKER,
    Scene,
    after,
    claim,
    event,
    key_of,
    new,
    row,
)
from store.test_postgres_plans import Counted

RUNS = 2_000
LEASED = 20
READ_MAX = 60
"""How many index entries one question reads at most, of any index."""
STEPS = 10
"""How many steps of SQLite's machine are counted as one."""
STEPS_RATIO_MAX = 4
"""How many times the steps of an empty log a full one takes: its trees are a little deeper."""
SNAPSHOT_JOBS = 1_500

Question = Callable[[Store], Awaitable[Any]]
QUESTIONS: dict[str, Question] = {
    "pending": lambda store: store.pending(now=NOON),
    "pending, what is over too": lambda store: store.pending(sweeps=True, now=NOON),
    "due": lambda store: store.due(10, now=NOON),
    "inbox": lambda store: store.inbox(10),
    "stalled": lambda store: store.stalled(10, now=NOON),
    "expire": lambda store: store.expire(10, now=NOON),
    "held": lambda store: store.held(WORKER),
}


async def fill(scene: Scene) -> None:
    """Add runs that have ended, some with a leased job, and many that wait for their time."""
    for start in range(0, RUNS, 500):
        names = [f"{n}" for n in range(start, start + 500)]
        await scene.commit(*(new(name, event(), rows=[row()]) for name in names))
        jobs = await scene.claim(500)
        assert len(jobs) == 500
        await scene.commit(
            *(Item([event("flow.completed")], job.stream, lease=(job.id, WORKER), frees=True)
              for job in jobs)
        )  # fmt: skip
        later = [row(0, "sleep", due_at=after(n + 60)) for n in range(500)]
        await scene.commit(*(new(f"late-{start}-{n}", rows=[r]) for n, r in enumerate(later)))
    await scene.commit(*(new(f"held-{n}", rows=[row()]) for n in range(LEASED)))
    assert len(await scene.claim(LEASED)) == LEASED


class Read(Counted):
    """What one question reads, through the connection that answered the last one too."""

    async def _run(self, text: str) -> None:
        await self.store._readers.call(lambda link: link.rows(text))
        await super()._run(text)


def test_questions_on_postgresql_read_little(postgres_url: str) -> None:
    async def test() -> None:
        store = PostgresStore(postgres_url)
        await store.open()
        counted = Read(store, postgres_url)
        for question in QUESTIONS.values():  # Planned on empty tables.
            await question(store)
        await fill(Scene(store))
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("VACUUM")  # As it happens by itself, now and then.
        found = {}
        for name, question in QUESTIONS.items():
            reads = await counted.reads(lambda question=question: question(store))
            found[name] = {index: n for index, n in reads.items() if n > READ_MAX}
        await store.close()
        assert found == {name: {} for name in QUESTIONS}

    asyncio.run(test())


def test_questions_on_sqlite_take_few_steps(tmp_path: Path) -> None:
    async def steps(store: SqliteStore, question: Question) -> int:
        count, held = 0, store._held

        def counts() -> int:
            nonlocal count
            count += 1
            return 0

        for lane in (held.reader, held.writer):
            await lane.run(lambda connection: connection.set_progress_handler(counts, STEPS))
        await question(store)
        return count

    async def test() -> None:
        store = SqliteStore(f"sqlite:///{tmp_path / 'log.db'}")
        await store.open()
        scene = Scene(store)
        await scene.commit(*(new(f"first-{n}", rows=[row(queue="few")]) for n in range(LEASED)))
        assert len(await scene.claim(LEASED, queue="few")) == LEASED
        empty = {name: await steps(store, question) for name, question in QUESTIONS.items()}
        await fill(scene)
        full = {name: await steps(store, question) for name, question in QUESTIONS.items()}
        await store.close()
        assert {n: full[n] for n in full if full[n] > STEPS_RATIO_MAX * (empty[n] + 5)} == {}

    asyncio.run(test())


def test_claims_pass_over_what_a_snapshot_keeps_from_being_cleaned(postgres_url: str) -> None:
    # Somebody's open snapshot keeps every row that was removed since, and its index entries: a
    # claim that began at the front would read them all, more with each job that is done.
    async def test() -> None:
        store = PostgresStore(postgres_url)
        await store.open()
        scene, counted = Scene(store), Counted(store, postgres_url)
        await scene.start("before", row())
        with psycopg.connect(postgres_url) as holder:
            holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            holder.execute("SELECT count(*) FROM runfold.jobs")
            floors: Any = ()
            for start in range(0, SNAPSHOT_JOBS, 250):
                names = [f"{n}" for n in range(start, start + 250)]
                done = await scene.commit(
                    *(new(name, rows=[row()]) for name in names),
                    claims=[claim(251, floors=floors)],
                )
                floors = done.served[0].floors
                await scene.finish(*done.jobs)
            await scene.start("next", row())
            reads = await counted.reads(lambda: scene.claim(1, floors=floors))
            assert {index: n for index, n in reads.items() if n > READ_MAX} == {}
            assert [job.run_id for job in await scene.store.leased(WORKER)] == [key_of("next")]
            await scene.start("last", row())
            # From the beginning it is found as well, past all that is left there.
            reads = await counted.reads(lambda: scene.claim(1))
            assert reads["jobs_ready"] > SNAPSHOT_JOBS
            assert len(await scene.store.leased(WORKER)) == 2
        await store.close()

    asyncio.run(test())
