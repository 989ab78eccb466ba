"""kill -9 in the middle of erasing, twice: readers go on, and a timekeeper finishes it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from runfold import Runfold
from runfold.flow import events as ev
from runfold.flow.events import FlowErased
from runfold.flow.seal import is_erased
from runfold.ports import Batch, Encoded, Item, Store, Stored
from runfold.runtime import erasure
from runfold.settings import Settings
from runfold.store import open_store

EVENTS = 600
RUN = UUID(int=7)
ERASER = Path(__file__).with_name("eraser.py")
PAGES = "100"
"""How many pages of two events one process erases at most: not all, even if it is killed late."""
SECRET = "jane@subject.example"


def test_an_erasure_that_is_killed_twice_is_finished_by_a_timekeeper(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "AGAIN_SECONDS", 0.0)

    async def scenario() -> None:
        store = open_store(shared_url, Settings(), "default")
        await store.open(migrate=True)
        try:
            stream = await _record(store)
            await _killed_when(shared_url, store, lambda run: _erased(run) > 10)
            assert await store.open_timers() == 1
            async with Runfold(shared_url).connect() as rf:
                assert (await rf.log.rebuild()).timers == 1
                assert (await rf.log.verify()).ok
            left = _erased(await _read(store))
            await _killed_when(shared_url, store, lambda run: _erased(run) > left + 10)
            run = await _read(store)
            assert 20 < _erased(run) < len(run)
            assert await store.open_timers() == 1
            async with Runfold(shared_url) as rf:
                while await store.open_timers():  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.01)
                found = await rf.log.verify()
            run = await store.read_stream(stream, limit=10_000)
            assert _erased(run) == len(run) == EVENTS
            assert SECRET not in repr(await _read(store))
            assert (found.ok, found.erased) == (True, EVENTS)
            said = [one for one in await _read(store) if one.topic == FlowErased.TOPIC]
            assert len(said) == 1
        finally:
            await store.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


async def _record(store: Store) -> int:
    start = ev.FlowStart(run_id=str(RUN), flow="flow", definition="none", input=SECRET)
    body = start.model_dump_json(by_alias=True, exclude_defaults=True).encode()
    line = b'{"level":"info","message":"%b"}' % SECRET.encode()
    events = [
        Encoded(ev.FlowStart.TOPIC, body),
        *[Encoded(ev.Log.TOPIC, line)] * (EVENTS - 2),
        Encoded(ev.FlowCompleted.TOPIC, b'{"duration":1}'),
    ]
    done = await store.commit(Batch(1, 1, [Item(events, id=RUN.bytes, flow="flow")]))
    return done.outcomes[0].stream


async def _read(store: Store) -> list[Stored]:
    """Return the whole log, read page by page as a reader does, which has no hole."""
    found: list[Stored] = []
    while page := await store.read(after=len(found), limit=300):
        found += page
    assert [one.position for one in found] == list(range(1, len(found) + 1))
    return found


def _erased(run: list[Stored]) -> int:
    return sum(is_erased(one.state) for one in run)


async def _killed_when(url: str, store: Store, is_reached: Callable[[list[Stored]], bool]) -> None:
    """Have a process erase the run, and kill it in the middle; read all the while."""
    child = await asyncio.to_thread(_begun, url)
    until = time.monotonic() + 20
    try:
        while not is_reached(await _read(store)) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0)
    finally:
        child.kill()
        child.communicate()


def _begun(url: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, str(ERASER), url, str(RUN), PAGES], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    return child
