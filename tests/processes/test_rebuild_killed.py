"""kill -9 in the middle of a rebuild: nothing has changed, and the next one does it all."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from runfold import Runfold
from runfold.runtime.rebuild import rebuild
from runfold.settings import Settings
from runfold.store import open_store
from runtime.tables import tables_of

RUNS = 300
CHILD = """
import asyncio, sys
from runfold import Runfold

async def main():
    async with Runfold(sys.argv[1]).connect() as rf:
        def told(done, count):
            print("begun", flush=True)
            sys.stdin.read()  # Until it is killed: names are back, jobs are not.
        await rf.log.rebuild(progress=told)

asyncio.run(main())
"""


def test_a_rebuild_that_is_killed_has_changed_nothing(shared_url: str) -> None:
    from processes.member import flow

    async def scenario() -> None:
        async with Runfold(shared_url, flows=[flow]).connect() as rf:
            await rf.start_many(flow, list(range(RUNS)))
        store = open_store(shared_url, Settings(), "default")
        await store.open()
        try:
            tables = tables_of(store)
            before = tables.rows()
            await asyncio.to_thread(_killed, shared_url)
            assert tables.rows() == before
            tables.drop()
            async with Runfold(shared_url).connect() as rf:
                done = await rebuild(store, rf._codec)
            assert done.jobs == RUNS
            assert tables.rows() == before
        finally:
            await store.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def _killed(url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        child.kill()
