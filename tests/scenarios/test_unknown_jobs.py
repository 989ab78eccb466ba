"""Jobs that no running worker knows: they wait, hold up nobody, and are shown."""

from __future__ import annotations

from typing import Any

from runfold import Concurrency, Queue, Runfold
from scenarios.scene import scenario


def mail(*names: str, **options: Any) -> Queue:
    queue = Queue("mail", **options)

    async def send(data: Any) -> Any:
        return data

    for name in names:
        queue.job(name)(send)
    return queue


async def why(run: Any) -> str:
    (hold,) = (await run.why()).holds
    return str(hold.text)


@scenario
async def test_a_job_waits_for_a_worker_that_knows_it_and_is_shown(url: str) -> None:
    rf = Runfold(url, queues=[mail("old", "new")])
    async with rf.connect():
        first = await rf.start("mail/new", 1, priority=10)
        assert "no worker is alive" in await why(first)
    old = Runfold(rf._store, queues=[mail("old")])
    async with old:
        assert await (await old.start("mail/old", 2)).result(timeout=10) == 2
        found = await old.get(first.id)
        assert "this process has no handler for it" in await why(found)
        assert (await old.queues.stats("mail")).ready == 1
        (waits,) = (await old.runs.list(queue="mail", order="next")).items
        assert (waits.id, waits.status, waits.started_at) == (first.id, "running", None)
    async with rf:
        assert await (await rf.get(first.id)).result(timeout=10) == 1


@scenario
async def test_of_a_lane_only_the_lane_waits_for_what_nobody_knows(url: str) -> None:
    limits = [Concurrency(1, key="to")]
    rf = Runfold(url, queues=[mail("old", "new", limits=limits)])
    async with rf.connect():
        unknown = await rf.start("mail/new", {"to": "zoe"})
        await rf.start("mail/old", {"to": "zoe"})
        other = await rf.start("mail/old", {"to": "adam"})
    old = Runfold(rf._store, queues=[mail("old", limits=limits)])
    async with old:
        assert await (await old.get(other.id)).result(timeout=10) == {"to": "adam"}
        await old.run_until_idle()
        assert await old.runs.count(status="PENDING") == 2
    async with rf:
        assert await (await rf.get(unknown.id)).result(timeout=10) == {"to": "zoe"}
        await rf.run_until_idle()
        assert await rf.runs.count(status="completed") == 3
