"""Writers in several processes, their connections killed now and then, and one tailing reader."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from multiprocessing.synchronize import Barrier

import psycopg

from runfold.items import Batch, Encoded, Stored
from runfold.store.sql.postgres import PostgresStore
from runfold.testing.contract_scene import LONG, WORKER, claim, event, member, new, row

PROCESSES, WRITERS, BATCHES = 2, 4, 25
KILL_EVERY = 60
"""A connection is killed each time the reader has come this many events further."""
PAUSE_SECONDS = 0.01
"""How long the reader leaves the processor to the writers when there is nothing new."""
JOIN_SECONDS_MAX = 60


def write(url: str, process: int, opened: Barrier) -> None:
    """Start runs and claim their jobs, with several writers side by side."""

    async def writer(store: PostgresStore, appender: int) -> None:
        for number in range(BATCHES):
            note = Encoded("log", f"{appender}:{number}".encode())
            start = new(f"{appender}:{number}", event("flow.start"), note, rows=[row(1)])
            answer = await store.commit(Batch(appender, number, [start], [claim(2)]))
            assert answer.outcomes[0].refusal is None

    async def writers() -> None:
        store = PostgresStore(url)
        await store.open()
        opened.wait(JOIN_SECONDS_MAX)  # Nobody's connection is killed before all are there.
        await store.join(member(WORKER), LONG)
        appenders = [process * WRITERS + n for n in range(WRITERS)]
        await asyncio.gather(*(writer(store, appender) for appender in appenders))
        await store.close()

    asyncio.run(writers())


def kill_one(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM ("
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1) one"
        )


async def tail(url: str, is_over: Callable[[], bool]) -> list[Stored]:
    """Return every event that a reader sees until the writers are gone and nothing is left."""
    store = PostgresStore(url)
    await store.open()
    seen: list[Stored] = []
    ended = False
    while not ended:
        over = is_over()
        page = await store.read(after=seen[-1].position if seen else 0, limit=100)
        seen += page
        ended = over and not page
        if page and len(seen) // KILL_EVERY != (len(seen) - len(page)) // KILL_EVERY:
            kill_one(url)
        if not page:
            await asyncio.sleep(PAUSE_SECONDS)
    await store.close()
    return seen


def test_every_event_is_read_once_in_one_order_and_every_job_claimed_once(
    postgres_url: str,
) -> None:
    context = multiprocessing.get_context("spawn")
    opened = context.Barrier(PROCESSES)
    processes = [
        context.Process(target=write, args=(postgres_url, n, opened)) for n in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    seen = asyncio.run(
        tail(postgres_url, lambda: not any(process.is_alive() for process in processes))
    )
    for process in processes:
        process.join(JOIN_SECONDS_MAX)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert [one.position for one in seen] == list(range(1, len(seen) + 1))
    notes = [one.state for one in seen if one.topic == "log"]
    assert len(notes) == len(set(notes)) == PROCESSES * WRITERS * BATCHES
    started = [one.stream for one in seen if one.topic == "step.started"]
    assert len(started) == len(set(started)) == len(notes)
