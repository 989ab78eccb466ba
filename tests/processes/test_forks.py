"""A fork is one commit: kill -9 in the middle leaves it whole, or leaves nothing of it."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from processes.group import environment
from processes.member import engine
from runfold import Runfold

FORKER = Path(__file__).with_name("forker.py")
KILLS = 3


def kill_one(url: str, run_id: str, version: int, after: float) -> None:
    command = [sys.executable, str(FORKER), url, run_id, str(version)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        begun = process.stdout.readline()
        time.sleep(after)
        process.kill()
    assert begun == "ready\n"


async def forks(rf: Runfold) -> dict[str, list[str]]:
    """Return the types of the events of every fork in the log, by run."""
    found: dict[str, list[str]] = {}
    async for event in rf.events():
        if event.type == "flow.start" and event.data.get("origin"):
            found[event.run_id or ""] = []
        if event.run_id in found:
            found[event.run_id].append(event.type)
    return found


@pytest.mark.parametrize("seed", [1])
def test_a_killed_fork_is_whole_or_not_there(shared_url: str, seed: int) -> None:
    async def scenario() -> None:
        async with engine(shared_url) as rf:
            run = await rf.start("work", 7)
            assert await run.result(timeout=20) == 14
            events = [event async for event in run.events()]
            # Before the join: the dispatcher, away now, has nothing to add.
            version = next(e.version for e in events if e.step_name == "finish") - 1
        chance = random.Random(seed)
        for _ in range(KILLS):
            after = chance.uniform(0.0, 0.1)
            await asyncio.to_thread(kill_one, shared_url, run.id, version, after)
        async with engine(shared_url).connect() as rf:
            found = await forks(rf)
            whole = [e.type for e in events[:version]]
            assert found
            for story in found.values():
                assert story == [*whole, "step.scheduled"]
        async with engine(shared_url) as rf:
            await rf.run_until_idle()
            for run_id in found:
                assert await (await rf.get(run_id)).result(timeout=20) == 14

    asyncio.run(asyncio.wait_for(scenario(), 60))
