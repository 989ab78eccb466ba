"""kill -9 in the middle of archiving: each run is whole, here or there, and the rest goes later."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from runfold import Runfold
from runfold.flow import events as ev
from runfold.ports import Batch, Encoded, Item
from runfold.settings import Settings
from runfold.store import open_store

RUNS, EVENTS = 400, 5
ARCHIVER = Path(__file__).with_name("archiver.py")


def test_an_archiver_that_is_killed_leaves_every_run_whole(shared_url: str) -> None:
    async def scenario() -> None:
        store = open_store(shared_url, Settings(), "default")
        await store.open(migrate=True)
        try:
            await store.commit(Batch(1, 1, [_run(n) for n in range(RUNS + 1)]))
            streams = await store.runs(flow="flow", before=None, limit=RUNS + 1)
            await store.commit(
                Batch(1, 2, [Item([Encoded(ev.FlowCompleted.TOPIC, b"{}")], stream=stream,
                                  clears=True) for stream in streams])
            )  # fmt: skip
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


def _run(number: int) -> Item:
    events = [Encoded("flow.start", b"{}"), *[Encoded("log", b"{}")] * (EVENTS - 1)]
    return Item(events, id=number.to_bytes(16, "big"), flow="flow")


def _killed(url: str, delay: float) -> None:
    with subprocess.Popen(
        [sys.executable, str(ARCHIVER), url], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        time.sleep(delay)
        child.kill()
