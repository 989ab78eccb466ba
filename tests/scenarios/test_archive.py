"""Runs that left for the archive: everything that is asked of them is answered as before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from runfold import Context, Flow, InvalidInput, Queue, RunFailed, RunFinished, Runfold
from scenarios.scene import chain, finished, scenario, story
from scenarios.test_views import orders, sell, sold

ALL = 0


async def until_archived(rf: Runfold, count: int) -> None:
    """Return when at least so many events are in the archive."""
    while (await rf.log.verify()).archived < count:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.02)


@scenario
async def test_what_is_asked_of_an_archived_run_is_answered_as_before(url: str) -> None:
    flow = chain()
    async with Runfold(url, flows=[flow]) as rf:
        run = await finished(rf, flow, 7, key="k", tags=["t"])
        other = await finished(rf, flow, 8)
        before = await story(run), await run.result(), await run.state()
        difference = await run.diff(other)
        why = await run.why()
        assert await rf.log.archive(older_than=ALL) == 1
        assert (await story(run), await run.result(), await run.state()) == before
        again = await rf.get(run.id)
        assert await again.result() == 7
        assert await again.why() == why
        assert (await again.state(version=3)).version == 3
        assert (await rf.start(flow, 7, key="k")).id == run.id
        forked = await again.fork(at=3)
        assert await forked.result(timeout=10) == 7
        assert await again.diff(other) == difference
        with pytest.raises(RunFinished):
            await again.cancel()
        found = await rf.log.verify()
        assert found.ok
        assert found.archived == len(before[0])


@scenario
async def test_an_archived_run_is_exported(url: str, tmp_path: Path) -> None:
    flow = chain()
    async with Runfold(url, flows=[flow]) as rf:
        run = await finished(rf, flow, 7)
        await finished(rf, flow, 8)
        before = (await run.export()).dumps()
        await rf.log.archive(older_than=ALL)
        assert (await run.export()).dumps() == before


@scenario
async def test_with_keep_0_a_run_leaves_at_once_and_who_waits_gets_the_result(url: str) -> None:
    flow: Flow[Any, Any] = Flow("brief", keep=0)

    @flow.entry()
    async def work(data: int) -> int:
        return data * 2

    async with Runfold(url, flows=[flow]) as rf:
        runs = [await rf.start(flow, n) for n in range(8)]
        assert await asyncio.gather(*(run.result(timeout=10) for run in runs)) == [
            n * 2 for n in range(8)
        ]
        await until_archived(rf, 1)
        assert [await run.result(timeout=10) for run in runs] == [n * 2 for n in range(8)]
        assert (await rf.log.verify()).ok


@scenario
async def test_a_queue_keeps_what_failed_by_itself(url: str) -> None:
    queue = Queue("mail", keep=0.01)

    @queue.job(retry=1)
    async def send(to: str) -> str:
        if to == "nobody":
            raise ValueError(to)
        return to

    async with Runfold(url, queues=[queue]) as rf:
        failed = await rf.start(send, "nobody")
        with pytest.raises(RunFailed):
            await failed.result(timeout=10)
        await finished(rf, send, "ann")
        await finished(rf, send, "bob")
        await until_archived(rf, 5)
        assert (await failed.state()).status == "failed"
        assert (await rf.log.verify()).archived in {5, 10}  # Of ann, and of bob by now; no more.
        events = [event.type async for event in failed.events()]
        assert await rf.log.archive(older_than=ALL) >= 1
        assert [event.type async for event in failed.events()] == events


@scenario
async def test_a_reader_sees_every_event_once_while_runs_leave(url: str) -> None:
    flow = chain()
    seen: list[int] = []
    is_over = asyncio.Event()
    async with Runfold(url, flows=[flow]) as rf:

        async def tail() -> None:
            async for event in rf.events(after=0, follow=True):
                seen.append(event.id)
                if is_over.is_set() and event.id >= await rf.log.head():
                    return

        tailing = asyncio.ensure_future(tail())
        for n in range(6):
            await asyncio.gather(*(finished(rf, flow, [n, m]) for m in range(4)))
            await rf.log.archive(older_than=ALL)
        is_over.set()
        await finished(rf, flow, "last")
        await tailing
        head = seen[-1]
        late = [event.id async for event in rf.events(after=0)]
    assert late[:head] == list(range(1, head + 1))
    assert seen == list(range(1, head + 1))


@scenario
async def test_views_and_lists_of_runs_are_as_before(url: str) -> None:
    flow, view = sell(), orders()
    async with Runfold(url, flows=[flow], projections=[view]) as rf:
        await sold(rf, *range(5))
        await rf.run_until_idle()
        before = [run.id for run in (await rf.runs.list()).items]
        assert await rf.log.archive(older_than=ALL) == 4
        assert [run.id for run in (await rf.runs.list()).items] == before
        names = {one.name for one in await rf.projections.status()}
        found = [await rf.projections.verify(name) for name in sorted(names)]
        assert [one.name for one in found if not one.is_equal] == []
        await rf.projections.rebuild("orders")
        assert sorted(row.amount for row in (await rf.view(view).list()).items) == [*range(5)]


@pytest.mark.parametrize("span", [-1, "1d", None, True, 1e12])
def test_a_span_that_is_none_is_refused(span: Any) -> None:
    async def main() -> None:
        async with Runfold("memory://") as rf:
            with pytest.raises(InvalidInput, match="older_than"):
                await rf.log.archive(older_than=span)

    asyncio.run(main())


@scenario
async def test_only_what_ended_long_enough_ago_is_moved(url: str) -> None:
    flow: Flow[Any, Any] = Flow("waits")
    gate = asyncio.Event()

    @flow.entry()
    async def wait(data: Any, ctx: Context) -> Any:
        if data == "wait":
            await gate.wait()
        return data

    async with Runfold(url, flows=[flow]) as rf:
        still = await rf.start(flow, "wait")
        await finished(rf, flow, 1)
        await finished(rf, flow, 2)
        assert await rf.log.archive(older_than=3600) == 0
        assert await rf.log.archive(older_than=ALL) == 1
        assert await rf.log.archive(older_than=ALL) == 0
        gate.set()
        assert await still.result(timeout=10) == "wait"
        assert await rf.log.archive(older_than=ALL) == 1
