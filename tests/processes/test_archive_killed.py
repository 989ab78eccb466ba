"""kill -9 in the middle of archiving: each run is whole, here or there, and the rest goes later."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from runfold import Runfold
from runfold.flow import events as ev
from runfold.ports import Batch, Encoded, Item, Store, Stored
from runfold.settings import Settings
from runfold.store import open_store

RUNS, EVENTS = 400, 5
ARCHIVER = Path(__file__).with_name("archiver.py")


def test_an_archiver_that_is_killed_leaves_every_run_whole(shared_url: str) -> None:
    async def scenario() -> None:
        store = open_store(shared_url, Settings(), "default")
        await store.open(migrate=True)
        try:
            streams = await _record(store)
            before = await store.read(after=0, limit=10_000)
            for delay in (0.0, 0.01, 0.03):
                await asyncio.to_thread(_killed, shared_url, delay)
                assert await store.read(after=0, limit=10_000) == before
                counted = await store.counted()
                assert counted.log + counted.archive == counted.head == len(before)
                assert len(await store.archived(streams)) * (EVENTS + 1) == counted.archive
            async with Runfold(shared_url).connect() as rf:
                await rf.log.archive(older_than=0)
            assert len(await store.archived(streams)) == RUNS
            assert await store.read(after=0, limit=10_000) == before
        finally:
            await store.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_reader_in_another_process_meets_each_event_once_while_runs_move(
    shared_url: str,
) -> None:
    async def scenario() -> None:
        store = open_store(shared_url, Settings(), "default")
        await store.open(migrate=True)
        try:
            await _record(store)
            before = await store.read(after=0, limit=10_000)
            child = await asyncio.to_thread(_begun, shared_url)
            archived: set[int] = set()
            while child.poll() is None:
                assert await _paged(store, 37) == before
                archived.add((await store.counted()).archive)
            child.communicate()
            assert child.returncode == 0
            assert await _paged(store, 37) == before
            assert len(archived) > 1  # It has read while some had moved and others not.
            counted = await store.counted()
            assert (counted.log, counted.head) == (EVENTS + 1, len(before))
        finally:
            await store.close()

    asyncio.run(asyncio.wait_for(scenario(), 120))


async def _paged(store: Store, limit: int) -> list[Stored]:
    """Return the whole log as a reader meets it that goes on from where it is."""
    found: list[Stored] = []
    while page := await store.read(after=found[-1].position if found else 0, limit=limit):
        found += page
    return found


async def _record(store: Store) -> list[int]:
    """Record runs that have ended; return their numbers."""
    await store.commit(Batch(1, 1, [_run(n) for n in range(RUNS + 1)]))
    streams = await store.runs(flow="flow", before=None, limit=RUNS + 1)
    end = Encoded(ev.FlowCompleted.TOPIC, b"{}")
    items = [Item([end], stream=stream, clears=True) for stream in streams]
    await store.commit(Batch(1, 2, items))
    return streams


def _run(number: int) -> Item:
    events = [Encoded("flow.start", b"{}"), *[Encoded("log", b"{}")] * (EVENTS - 1)]
    return Item(events, id=number.to_bytes(16, "big"), flow="flow")


def _begun(url: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, str(ARCHIVER), url], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    return child


def _killed(url: str, delay: float) -> None:
    child = _begun(url)
    time.sleep(delay)
    child.kill()
    child.communicate()
