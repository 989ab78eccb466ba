"""A view built in parts by several processes, of which some are killed: the rows are the same."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from processes.member import engine, flow
from runfold import InvalidInput, Projection, Runfold, Settings, ViewNotReady
from runfold.runtime import view_build
from runfold.runtime.view_build import BuildProgress

BUILDER = Path(__file__).with_name("parts_builder.py")
SETTINGS = Settings(lease=3)
RUNS = 30
PAGES = 3
"""After so many of two parts one of them has written one: the last of each is on its way."""


async def _work(url: str) -> None:
    async with engine(url) as rf:
        for run in [await rf.start(flow, number, tags=["t"]) for number in range(RUNS)]:
            await run.result(timeout=30)
        await rf.run_until_idle()


def test_parts_are_gone_on_with_after_a_kill_of_those_who_build_them(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_build, "PAGE", 20)

    async def main() -> None:
        await _work(shared_url)
        async with Runfold(shared_url, settings=SETTINGS).connect() as rf:
            before = (await rf.view("runs").list(limit=100)).items
            with pytest.raises(ViewNotReady, match="it goes on where it stood"):
                await rf.projections.rebuild("runs", processes=2, progress=_killer())
            parts = [one for one in await rf.projections.status() if one.state == "building"]
            assert len(parts) == 2
            assert max(part.position for part in parts) > 0
            await _is_built(rf, before)

    asyncio.run(asyncio.wait_for(main(), 180))


@pytest.mark.slow
def test_parts_are_gone_on_with_after_a_kill_of_the_parent(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_build, "PAGE", 20)

    async def main() -> None:
        await _work(shared_url)
        await asyncio.to_thread(_parent_killed, shared_url)
        async with Runfold(shared_url, settings=SETTINGS).connect() as rf:
            await _is_built(rf, (await rf.view("runs").list(limit=100)).items)

    asyncio.run(asyncio.wait_for(main(), 180))


async def _is_built(rf: Runfold, before: list[Any]) -> None:
    """Rebuild, once whoever was killed has no lease any more; look at what comes of it."""
    told: list[BuildProgress] = []
    for _ in range(100):
        try:
            await rf.projections.rebuild("runs", processes=2, progress=told.append)
            break
        except ViewNotReady:
            await asyncio.sleep(0.1)
    assert (await rf.view("runs").list(limit=100)).items == before
    assert (await rf.projections.verify("runs")).is_equal
    assert await rf.view("runs").count(tag="") == RUNS
    states = [one.state for one in await rf.projections.status() if one.name == "runs"]
    assert sorted(states) == ["live", "old"]
    assert told
    assert all(0 <= one.position <= one.head for one in told)


def _killer() -> Callable[[BuildProgress], None]:
    """Return what kills the processes that build, once they have written a page."""
    told: list[BuildProgress] = []

    def tell(progress: BuildProgress) -> None:
        told.append(progress)
        for child in multiprocessing.active_children() if len(told) > PAGES else ():
            if child.name == "runfold-rebuild" and child.pid is not None:
                os.kill(child.pid, signal.SIGKILL)

    return tell


def _parent_killed(url: str) -> None:
    builder = subprocess.Popen(
        [sys.executable, str(BUILDER), url, "runs", "2"], stdout=subprocess.PIPE, text=True
    )
    assert builder.stdout is not None
    builder.stdout.readline()
    builder.kill()
    builder.communicate()


@pytest.mark.parametrize("processes", [0, 65, True, "2", None, 1.5])
def test_a_number_that_is_none_is_refused(processes: Any) -> None:
    async def main() -> None:
        async with Runfold("memory://").connect() as rf:
            with pytest.raises(InvalidInput, match="expected 1 to 64"):
                await rf.projections.rebuild("runs", processes=processes)

    asyncio.run(main())


@dataclass
class Start:
    run: str


def test_what_cannot_be_divided_or_found_elsewhere_is_refused(tmp_path: Path) -> None:
    local: Projection[Start] = Projection("local", Start, key="run", parallel=True)

    @local.on("flow.start")
    def started(rows: Any, event: Any) -> None:
        rows.put(Start(event.run_id))

    async def refused(rf: Runfold, name: str, why: str) -> None:
        with pytest.raises(InvalidInput, match=why):
            await rf.projections.rebuild(name, processes=2)
        assert not [one for one in await rf.projections.status() if one.state == "building"]

    async def main() -> None:
        url = f"sqlite:///{tmp_path / 'log.db'}"
        async with Runfold(url, projections=[local]).connect() as rf:
            await refused(rf, "local", "no other process can find projection 'local'")
            await refused(rf, "flow_rates", "one process folds it")
        async with Runfold("memory://").connect() as rf:
            await refused(rf, "runs", "no other process sees a store in memory")

    asyncio.run(main())
