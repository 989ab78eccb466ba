"""kill -9 in the middle of the work: every run ends, and ends once."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from processes.group import Group, group
from processes.member import engine
from processes.payments import payments
from runfold import Run, Runfold

RUNS = 200


async def ended(rf: Runfold, count: int) -> None:
    """Return when so many runs have completed."""
    async for _ in rf.events(types=["flow.completed"], follow=True):
        count -= 1
        if not count:
            return


async def check(rf: Runfold, runs: list[Run[int]]) -> Counter[str]:
    """Every run has its result, ended once, and nothing follows its end."""
    results = [await run.result(timeout=40) for run in runs]
    assert results == [2 * n for n in range(RUNS)]
    types: dict[str | None, list[str]] = {}
    async for event in rf.events():
        if event.run_id is not None:
            types.setdefault(event.run_id, []).append(event.type)
    assert len(types) == RUNS
    for story in types.values():
        assert story.count("flow.completed") == 1
        assert story[-1] == "flow.completed"
        assert story.count("step.completed") == 4
    return Counter(kind for story in types.values() for kind in story)


def test_a_killed_worker_loses_nothing(shared_url: str) -> None:
    async def scenario(members: Group) -> None:
        async with engine(shared_url).serve({"dispatcher", "timekeeper"}) as rf:
            doomed = await asyncio.to_thread(members.start, "worker")
            runs = await rf.start_many("work", list(range(RUNS)))
            await ended(rf, 20)
            doomed.kill()
            await asyncio.to_thread(members.start, "worker")
            await check(rf, runs)

    with group(shared_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 60))


def test_a_killed_dispatcher_is_followed_by_another(shared_url: str) -> None:
    async def scenario(members: Group) -> None:
        leader = await asyncio.to_thread(members.start, "dispatcher,timekeeper")
        async with engine(shared_url).serve({"worker", "dispatcher", "timekeeper"}) as rf:
            runs = await rf.start_many("work", list(range(RUNS)))
            await ended(rf, 20)
            leader.kill()
            counts = await check(rf, runs)
            assert counts["step.stalled"] == 0

    with group(shared_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 60))


@pytest.mark.parametrize("kills", [3])
def test_processes_with_all_roles_are_killed_one_after_the_other(
    shared_url: str, kills: int
) -> None:
    async def scenario(members: Group) -> None:
        async with engine(shared_url).connect() as rf:
            doomed = await asyncio.to_thread(members.start, "dispatcher,worker,timekeeper")
            runs = await rf.start_many("work", list(range(RUNS)))
            for _ in range(kills):
                follower = await asyncio.to_thread(members.start, "dispatcher,worker,timekeeper")
                doomed.kill()
                doomed = follower
            await check(rf, runs)

    with group(shared_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 90))


def test_what_handlers_wrote_is_there_once_for_each_completion(shared_url: str) -> None:
    """Workers are killed in the middle of ``ctx.transaction()``, before and after its commit."""

    async def scenario(members: Group) -> None:
        async with engine(shared_url).serve({"dispatcher", "timekeeper"}) as rf:
            rows = payments(shared_url)
            runs = await rf.start_many("pays", list(range(RUNS)))
            for kills in range(1, 5):
                doomed = await asyncio.to_thread(members.start, "worker")
                await ended(rf, 20 * kills)
                doomed.kill()  # In the middle of whatever it does.
            await asyncio.to_thread(members.start, "worker")
            for run in runs:
                assert await run.result(timeout=60) == "paid"
            assert sorted(rows()) == sorted((run.id, n) for n, run in enumerate(runs))

    with group(shared_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 90))
