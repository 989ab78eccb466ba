"""Who is next: runs listed in the order in which workers will take them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runfold import Concurrency, Flow, InvalidInput, Queue, RetryableError, Runfold
from scenarios.floor import ONE, Floor, done
from scenarios.scene import scenario


async def names(rf: Runfold, **filters: Any) -> list[Any]:
    """Return the inputs of the runs in line, read two at a time."""
    found: list[Any] = []
    cursor: str | None = None
    while True:
        page = await rf.runs.list(order="next", limit=2, cursor=cursor, **filters)
        found += [item.input for item in page.items]
        cursor = page.next
        if cursor is None:
            return found


@scenario
async def test_the_list_says_what_workers_then_do(url: str) -> None:
    floor, queue = Floor(), Queue("q", limits=[Concurrency(2, key="who")])
    floor.free.set()

    @queue.job()
    async def visit(data: dict[str, Any]) -> None:
        await floor.visit(data)

    rf = Runfold(url, queues=[queue], settings=ONE)
    async with rf.connect():
        inputs = [{"n": n, "who": who} for n, who in enumerate("aaabbc")]
        runs = [await rf.start(visit, data, priority=1 + data["n"] % 2) for data in inputs]
        expected = await names(rf, queue="q")
        assert expected == await names(rf) == await names(rf, of=visit, status="PENDING")
        assert [data["n"] for data in expected] == [1, 3, 5, 0, 4, 2]
        assert await names(rf, queue="other") == await names(rf, status="completed") == []
    async with rf:
        await done([await rf.get(run.id) for run in runs])
        assert floor.order == expected
        assert await names(rf) == []


@scenario
async def test_a_pause_changes_nothing_and_what_is_due_later_comes_last(url: str) -> None:
    queue = Queue("q")

    @queue.job()
    async def note(data: Any) -> None: ...

    rf = Runfold(url, queues=[queue])
    async with rf.connect():
        await rf.queues.pause("q")
        await rf.start(note, "later", delay=60, tags=["x"])
        await rf.start(note, "soon", delay=timedelta(seconds=30))
        held = await rf.start(note, "held", priority=10)
        await held.pause()
        await rf.start(note, "second")
        best = await rf.start(note, "first", priority=9, tags=["x"])
        assert await names(rf) == ["first", "second", "held", "soon", "later"]
        assert await names(rf, tags=["x"]) == ["first", "later"]
        await best.cancel()
        await held.resume()
    async with rf:
        assert await names(rf) == ["held", "second", "soon", "later"]


@scenario
async def test_a_run_is_listed_where_its_next_step_waits(url: str) -> None:
    flow: Flow[Any, Any] = Flow("f")

    @flow.entry(queue="here", emits=["x"])
    async def first(data: Any, ctx: Any) -> None:
        ctx.emit("x", data)

    @flow.step(subscribes="x", queue="there", retry=2)
    async def second(data: Any) -> None:
        raise RetryableError("not now", retry_after=3600)

    async with Runfold(url, flows=[flow]) as rf:
        await rf.queues.pause("there")
        run = await rf.start(flow, 1)
        await rf.run_until_idle()
        assert await names(rf, queue="there") == [1]
        assert await names(rf, queue="here") == []
        await rf.queues.resume("there")
        async for _ in run.events(types=["step.retry"], follow=True):
            break
        assert await names(rf, queue="there") == [1]  # Its retry waits for its time.
        await run.cancel()
        await rf.run_until_idle()
        assert await names(rf) == []


@pytest.mark.parametrize("cursor", ["7", "1.2.3.4", "a.b.c.d.e", 7, "1.2.3.4.5.6", "0.0.0.0.-1"])
@scenario
async def test_a_cursor_of_something_else_is_refused(cursor: Any) -> None:
    async with Runfold("memory://") as rf:
        with pytest.raises(InvalidInput, match="cursor"):
            await rf.runs.list(order="next", cursor=cursor)
