"""Processes that keep or build views are killed; every view is what the log says all the same."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from processes.group import group
from processes.member import engine, flow
from runfold import Runfold, Settings, ViewNotReady

REBUILDER = Path(__file__).with_name("rebuilder.py")
RUNS = 30


async def _work(url: str, runs: int) -> int:
    """Let ``runs`` runs complete in this process; return the end of the log."""
    async with engine(url).serve({"dispatcher", "worker", "timekeeper"}) as rf:
        started = [await rf.start(flow, number) for number in range(runs)]
        for run in started:
            await run.result(timeout=30)
        return await rf._store.head()


async def _differing(url: str, head: int) -> list[str]:
    """Wait until all views are at ``head``; return those that are not what the log says."""
    async with Runfold(url, settings=Settings(lease=3)).connect() as rf:
        names = {one.name for one in await rf.projections.status()}
        assert {"runs", "steps", "queue_rates"} <= names
        for name in names:
            await asyncio.wait_for(rf.projections.wait(name, head), 30)
        return [name for name in names if not (await rf.projections.verify(name)).is_equal]


def test_a_keeper_that_is_killed_is_followed_by_another(shared_url: str) -> None:
    with group(shared_url) as members:
        first, second = members.start("projector"), members.start("projector")
        asyncio.run(_work(shared_url, RUNS))
        first.kill()
        asyncio.run(_work(shared_url, RUNS))
        second.kill()
        members.start("projector")
        head = asyncio.run(_work(shared_url, 5))
        assert asyncio.run(_differing(shared_url, head)) == []


@pytest.mark.parametrize("pages", [1, 4])
def test_a_rebuild_that_is_killed_goes_on(shared_url: str, pages: int) -> None:
    with group(shared_url) as members:
        members.start("projector")
        head = asyncio.run(_work(shared_url, RUNS))
        asyncio.run(_differing(shared_url, head))
    killed = subprocess.Popen(
        [sys.executable, str(REBUILDER), shared_url, "steps"], stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    for _ in range(pages):
        assert int(killed.stdout.readline()) < head
    killed.kill()
    killed.wait()
    killed.stdout.close()

    async def again() -> list[int]:
        seen: list[int] = []
        async with Runfold(shared_url, settings=Settings(lease=3)).connect() as rf:
            before = await rf.view("steps").count()
            for _ in range(100):
                try:
                    await rf.projections.rebuild("steps", progress=lambda at: seen.append(1))
                    break
                except ViewNotReady:  # Until the lease of the one that was killed is over.
                    await asyncio.sleep(0.1)
            assert await rf.view("steps").count() == before
            states = {one.state for one in await rf.projections.status() if one.name == "steps"}
            assert states == {"old", "live"}
        return seen

    assert asyncio.run(again())
    assert asyncio.run(_differing(shared_url, head)) == []
