"""Leases between processes: the slow keep theirs, the dead lose theirs, clocks do not matter."""

from __future__ import annotations

import asyncio

import pytest

from processes.group import Group, group
from processes.member import engine
from runfold import Run, Runfold

LONGER_THAN_A_LEASE = 4.5


async def started(run: Run[object]) -> None:
    """Return when an attempt of the run was claimed."""
    async for event in run.events(follow=True):
        if event.type == "step.started":
            return


async def types(run: Run[object]) -> list[str]:
    return [event.type async for event in run.events()]


def test_a_worker_that_blocks_its_loop_keeps_its_job(shared_url: str) -> None:
    async def scenario(members: Group) -> None:
        async with engine(shared_url).serve({"dispatcher", "timekeeper"}) as rf:
            await asyncio.to_thread(members.start, "worker")
            run = await rf.start("slow", LONGER_THAN_A_LEASE)
            await started(run)
            await asyncio.to_thread(members.start, "worker,timekeeper")
            assert (await run.result(timeout=30))[1] == 1
            assert "step.stalled" not in await types(run)

    with group(shared_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 60))


def test_a_killed_workers_attempt_is_charged_and_runs_again(shared_url: str) -> None:
    async def scenario(members: Group) -> None:
        async with engine(shared_url).serve({"dispatcher", "timekeeper"}) as rf:
            doomed = await asyncio.to_thread(members.start, "worker")
            run = await rf.start("slow", 1.5)
            await started(run)
            doomed.kill()
            await asyncio.to_thread(members.start, "worker")
            result = await run.result(timeout=30)
            story = await types(run)
            assert result[1] == 2
            assert story.count("step.stalled") == 1
            assert story.count("step.completed") == 1

    with group(shared_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 60))


@pytest.mark.parametrize("skew", [40, -40])
def test_clocks_that_differ_take_no_live_lease(
    postgres_url: str, skew: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough that a busy host does not end one, and far less than the clocks are apart.
    monkeypatch.setenv("LEASE", "15")

    async def scenario(members: Group) -> None:
        async with engine(postgres_url).serve({"dispatcher", "timekeeper"}) as rf:
            await asyncio.to_thread(members.start, "worker")
            run = await rf.start("slow", 1.5)
            await started(run)
            await asyncio.to_thread(members.start, "worker,timekeeper", skew=skew)
            await many(rf)
            assert (await run.result(timeout=30))[1] == 1
            events = [event async for event in rf.events()]
            assert "step.stalled" not in {event.type for event in events}
            moments = [event.ts for event in events]
            assert moments == sorted(moments)

    with group(postgres_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 60))


async def many(rf: Runfold) -> None:
    """Have both workers busy."""
    runs = await rf.start_many("work", list(range(20)))
    assert [await run.result(timeout=20) for run in runs] == [2 * n for n in range(20)]
