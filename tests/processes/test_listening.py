"""Listeners of one process hear what another one does: all of it, in order, soon."""

from __future__ import annotations

import asyncio
import time

from processes.group import Group, group
from processes.member import engine
from processes.test_connections import kill_connections
from runfold import LogEvent
from scenarios.heard import Heard

SOON = 0.1
"""Seconds from the record of an event to its listener in another process; see the benchmark
``follow`` for the ninety-ninth percentile."""


def test_a_client_hears_what_other_processes_record(shared_url: str) -> None:
    delays: list[float] = []
    heard = Heard()

    def listener(event: LogEvent) -> None:
        delays.append(time.time() - event.ts.timestamp())
        heard(event)

    async def scenario(members: Group) -> None:
        await asyncio.to_thread(members.start, "dispatcher,worker,timekeeper")
        async with engine(shared_url).connect() as rf:
            rf.listen(listener)
            run = await rf.start("work", 1)
            sse = asyncio.create_task(listed(run))
            for n in range(30):
                await (await rf.start("work", n)).result(timeout=20)
            everything = [event async for event in rf.events()]
            await heard.wait(len([event for event in everything if event.run_id]))
            frames = await sse
            events = [event async for event in run.events()]
            assert [frame.split(b"\n")[0] for frame in frames] == [
                f"id: {event.id}".encode() for event in events
            ]
        assert heard.events == everything[-len(heard.events) :]

    with group(shared_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 60))
    assert sorted(delays)[len(delays) // 2] < SOON


def test_listeners_go_on_when_their_connections_are_killed(postgres_url: str) -> None:
    heard = Heard()

    async def scenario(members: Group) -> None:
        await asyncio.to_thread(members.start, "dispatcher,worker,timekeeper")
        async with engine(postgres_url).connect() as rf:
            rf.listen(heard, types=["flow.start", "flow.completed"])
            for n in range(5):
                run = await rf.start("work", n)
                await asyncio.to_thread(kill_connections, postgres_url)
                await run.result(timeout=30)
            ends = [e async for e in rf.events(types=["flow.start", "flow.completed"])]
            await heard.wait(len(ends))
            assert heard.events == ends

    with group(postgres_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 60))


async def listed(run) -> list[bytes]:
    return [frame async for frame in run.sse()]
