"""Limits hold exactly when many processes claim at once and lose their connections: by the log.

What the log says is the proof: each step.started counts from its position to that of the
completion, and by its time in the window of a rate.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from datetime import timedelta

from runfold.items import Batch, Encoded, Item, Job, Stored
from runfold.store.sql.postgres import PostgresStore
from runfold.testing.contract_scene import LONG, claim, member, new, row
from runfold.testing.contract_words import at_once, in_any
from store.test_postgres_processes import kill_one

PROCESSES, WORKERS, JOBS = 2, 3, 120
KEYS = "abcd"
PER_KEY, AT_ONCE = 2, 5
STARTS, PER = 20, 0.2
"""At most so many starts in any so many seconds."""
HOLD_EVERY, HOLD = 20, 0.1
"""Every 20th job closes what admitted it, for so many seconds."""
LIMITS = (
    ("queue:q", (at_once("queue:q#0", PER_KEY, keyed=True), at_once("queue:q#1", AT_ONCE))),
    ("step:flow/step", (in_any(PER, "step:flow/step#0", STARTS),)),
)
TURNS_MAX = 3_000
PAUSE_SECONDS = 0.02
JOIN_SECONDS_MAX = 60


class Worker:
    """Claims and completes, with a token of its own, until the queue is empty."""

    def __init__(self, store: PostgresStore, token: int) -> None:
        self._store, self._token, self._number = store, token, 0
        self._held: list[Job] = []

    async def work(self) -> None:
        await self._store.join(member(self._token), LONG)
        for _ in range(TURNS_MAX):
            await self._claim()
            if self._held:
                await self._finish(self._held.pop(0))
            elif not any(q.ready + q.blocked + q.leased for q in await self._store.queues()):
                return
            else:
                await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError(f"jobs are left after {TURNS_MAX} turns")

    async def _claim(self) -> None:
        self._number += 1
        asked = claim(2, self._token, "q")
        batch = Batch(self._token, self._number, claims=[asked])
        answer = await self._store.commit(batch)
        # Of a claim whose answer was lost, the jobs are asked for.
        found = await self._store.leased(self._token) if answer.repeated else answer.jobs
        self._held += [job for job in found if job.id not in {held.id for held in self._held}]

    async def _finish(self, job: Job) -> None:
        self._number += 1
        holds = HOLD if int(job.inputs or 0) % HOLD_EVERY == 0 else None
        done = Encoded("hold" if holds else "done", b"{}", key=job.key)
        lease = (job.id, self._token)
        item = Item([done], job.stream, lease=lease, frees=True, holds=holds)
        answer = await self._store.commit(Batch(self._token, self._number, [item]))
        assert answer.outcomes[0].refusal is None


def serve(url: str, process: int) -> None:
    """Run the workers of one process."""

    async def workers() -> None:
        store = PostgresStore(url)
        await store.open()
        tokens = range(10 + process * WORKERS, 10 + (process + 1) * WORKERS)
        await asyncio.gather(*(Worker(store, token).work() for token in tokens))
        await store.close()

    asyncio.run(workers())


async def add_jobs(url: str) -> None:
    store = PostgresStore(url)
    await store.open()
    items = [new("settings", flow=None, limits=LIMITS)]
    for n in range(JOBS):
        key = KEYS[min(n % 7, len(KEYS) - 1)]  # One has more jobs than the others.
        buckets = (f"queue:q#0={key}", "step:flow/step#0")
        job = row(queue="q", key=key, limits=buckets, inputs=str(n), priority=1 + n % 3)
        items.append(new(f"run {n}", rows=[job]))
    answer = await store.commit(Batch(1, 1, items))
    assert {outcome.refusal for outcome in answer.outcomes} == {None}
    await store.close()


async def whole_log(url: str) -> list[Stored]:
    store = PostgresStore(url)
    await store.open()
    found = await store.read(after=0, limit=10_000)
    assert await store.queues() != []
    await store.close()
    return found


def test_limits_hold_exactly_when_processes_claim_at_once_and_lose_connections(
    postgres_url: str,
) -> None:
    asyncio.run(add_jobs(postgres_url))
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=serve, args=(postgres_url, n)) for n in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(JOIN_SECONDS_MAX / 100)
        kill_one(postgres_url)
    for process in processes:
        process.join(JOIN_SECONDS_MAX)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    check(asyncio.run(whole_log(postgres_url)))


def check(log: list[Stored]) -> None:
    leased: Counter[str | None] = Counter()
    most: Counter[str | None] = Counter()
    closed_until, most_of_all = log[0].ts, 0
    for one in log:
        if one.topic == "step.started":
            assert one.ts >= closed_until
            leased[one.key] += 1
            most[one.key] = max(most[one.key], leased[one.key])
            most_of_all = max(most_of_all, leased.total())
        elif one.topic in {"done", "hold"}:
            leased[one.key] -= 1
        if one.topic == "hold":
            closed_until = max(closed_until, one.ts + timedelta(seconds=HOLD))
    # Never more, and the limits were reached: the test had something to test.
    assert (max(most.values()), most_of_all) == (PER_KEY, AT_ONCE)
    starts = [one.ts for one in log if one.topic == "step.started"]
    assert len(starts) == JOBS
    gaps = [later - earlier for earlier, later in zip(starts, starts[STARTS:], strict=False)]
    assert min(gaps) >= timedelta(seconds=PER)
    assert leased.total() == 0
