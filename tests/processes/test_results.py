"""Results of runs that another process works on and the log has let go: whoever waits has them."""

from __future__ import annotations

import asyncio

from processes.group import group
from processes.member import engine
from runfold import Queue, Runfold

RUNS = 12


def test_results_outlive_their_runs_in_the_log(shared_url: str) -> None:
    async def scenario() -> None:
        async with engine(shared_url).connect() as rf:
            runs = [await rf.start("brief", n) for n in range(RUNS)]
            waiting = asyncio.gather(*(run.result(timeout=20) for run in runs))
            doubled = [n * 2 for n in range(RUNS)]
            assert await waiting == doubled
            for _ in range(500):
                if (await rf.log.verify()).archived >= 2 * RUNS:
                    break
                await asyncio.sleep(0.05)
            else:
                raise AssertionError("they did not leave the log")
            assert [await run.result(timeout=5) for run in runs] == doubled
            late = [await rf.get(run.id) for run in runs]
            assert [await run.result(timeout=5) for run in late] == doubled

    with group(shared_url) as members:
        members.start("dispatcher,worker,timekeeper")
        asyncio.run(asyncio.wait_for(scenario(), 40))


def test_a_job_waits_for_a_process_that_knows_it(shared_url: str) -> None:
    known = Queue("default")

    @known.job()
    async def unheard_of(data: int) -> int:
        return data + 1

    async def scenario() -> None:
        rf = Runfold(shared_url, queues=[known])
        async with rf.connect():
            waits = await rf.start("default/unheard_of", 1, priority=10)
            run = await rf.start("brief", 4)
            assert await run.result(timeout=20) == 8  # The other process has passed it by.
            assert (await waits.state()).started_at is None
            (hold,) = (await waits.why()).holds
            assert "1 are ready there and 0 are worked on" in hold.text
        async with rf.serve({"worker"}):
            assert await (await rf.get(waits.id)).result(timeout=20) == 2

    with group(shared_url) as members:
        members.start("dispatcher,worker,timekeeper")
        asyncio.run(asyncio.wait_for(scenario(), 40))
