"""``why`` says what stands in the way of what waits: each obstacle, on every store."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from runfold import Concurrency, Flow, MinDelay, Queue, RateLimit, Runfold
from runfold.flow.holding import Hold
from scenarios.scene import scenario

LATER = datetime(2100, 1, 1, tzinfo=UTC)


class Desk:
    """A flow of two steps whose first one waits until it is let go."""

    def __init__(self, **queue: Any) -> None:
        self.go, self.begun = asyncio.Event(), asyncio.Event()
        self.flow: Flow[Any, Any] = Flow("desk", deadline=3600)
        at = Queue("desk", **queue)

        @self.flow.entry("ask", queue=at, emits=["asked"])
        async def ask(order: Any, ctx: Any) -> None:
            self.begun.set()
            await self.go.wait()
            ctx.emit("asked", order)

        @self.flow.step("file", subscribes="asked", queue=at)
        async def file(order: Any) -> None: ...


@asynccontextmanager
async def held(url: str, desk: Desk) -> Any:
    """An engine in which the first run's handler is executing."""
    async with Runfold(url, flows=[desk.flow]) as rf:
        first = await rf.start(desk.flow, {"user": "ann"})
        await desk.begun.wait()
        yield rf, first
        desk.go.set()


async def only(run: Any) -> Hold:
    (hold,) = (await run.why()).holds
    return hold  # type: ignore[no-any-return]


@scenario
async def test_nobody_works(url: str) -> None:
    desk = Desk()
    async with Runfold(url, flows=[desk.flow]).serve({"dispatcher"}) as rf:
        run = await rf.start(desk.flow, 1)
        hold = await only(run)
        assert (hold.kind, hold.limit) == ("queued", None)
        assert "no worker is alive: serve the role 'worker'" in hold.text
        assert "1 are ready there" in hold.text


@scenario
async def test_a_queue_or_a_key_is_paused(url: str) -> None:
    desk = Desk(limits=[Concurrency(5, key="user")])
    async with Runfold(url, flows=[desk.flow]) as rf:
        await rf.queues.pause("desk", until=LATER)
        run = await rf.start(desk.flow, {"user": "ann"})
        hold = await only(run)
        assert (hold.limit, hold.until, hold.key) == ("queue:desk", LATER, "ann")
        assert "queue 'desk' is paused until 2100-01-01" in hold.text
        await rf.queues.pause("desk", key="ann")
        hold = await only(run)
        assert (hold.limit, hold.until) == ("queue:desk=ann", None)
        assert "queue 'desk' for key 'ann' is paused until it is resumed" in hold.text
        await rf.queues.resume("desk")
        await rf.queues.resume("desk", key="ann")
        desk.go.set()
        await run.result(timeout=10)
        assert (await run.why()).holds == ()


@scenario
async def test_a_limit_is_taken_up_by_another_run_with_the_key(url: str) -> None:
    desk = Desk(limits=[Concurrency(1, key="user")])
    async with held(url, desk) as (rf, first):
        second = await rf.start(desk.flow, {"user": "ann"})
        hold = await only(second)
        assert (hold.kind, hold.key, hold.held_by) == ("queued", "ann", (first.id,))
        assert hold.limit == "queue:desk#1:user=ann"
        assert "the limit of queue 'desk' for key 'ann' admits 1 at once" in hold.text
        assert f"taken up by ask of run {first.id}" in hold.text


@scenario
async def test_a_whole_queue_is_full(url: str) -> None:
    desk = Desk(concurrency=1)
    async with held(url, desk) as (rf, first):
        hold = await only(await rf.start(desk.flow, {}))
        assert (hold.limit, hold.held_by) == ("queue:desk#concurrency", (first.id,))


@scenario
async def test_a_rate_admits_no_more_until_then(url: str) -> None:
    desk = Desk(limits=[RateLimit(1, 600)])
    async with held(url, desk) as (rf, first):
        began = (await first.state()).started_at
        hold = await only(await rf.start(desk.flow, {}))
        assert hold.until == began + timedelta(seconds=600)
        assert "admits 1 starts in 600 s; the next at" in hold.text


@scenario
async def test_a_limit_of_a_step_counts_too(url: str) -> None:
    flow: Flow[Any, Any] = Flow("slow")

    @flow.entry("tick", limits=MinDelay(600))
    async def tick(_: Any) -> None: ...

    async with Runfold(url, flows=[flow]) as rf:
        await (await rf.start(flow, 1)).result(timeout=10)
        hold = await only(await rf.start(flow, 2))
        assert hold.limit is not None
        assert hold.limit.startswith("step:slow/tick#")


@scenario
async def test_an_attempt_executes_under_a_lease(url: str) -> None:
    desk = Desk()
    async with held(url, desk) as (rf, first):
        hold = await only(first)
        (member,) = await rf.workers.list()
        assert (hold.kind, hold.worker) == ("running", member.name)
        assert hold.until is not None
        assert "its lease holds until" in hold.text
        token = rf._node.membership.token
        await rf._store.leave(token)
        assert "whose lease is over" in (await only(first)).text


@scenario
async def test_a_time_that_nobody_keeps(url: str) -> None:
    desk = Desk()
    async with Runfold(url, flows=[desk.flow]).serve({"dispatcher", "worker"}) as rf:
        later = await only(await rf.start(desk.flow, 1, delay=600))
        assert later.kind == "delayed"
        assert later.until is not None
        soon = await rf.start(desk.flow, 1, delay=0.001)
        due_at = (await soon.state()).due_at
        while await rf._store.now() <= due_at:
            pass
        assert "no timekeeper is alive" in (await only(soon)).text


@scenario
async def test_nobody_decides(url: str) -> None:
    desk = Desk()
    desk.go.set()
    async with Runfold(url, flows=[desk.flow]).serve({"worker"}) as rf:
        run = await rf.start(desk.flow, 1)
        async with aclosing(run.events(types=["step.completed"], follow=True)) as events:
            await anext(events)
        hold = await only(run)
        assert hold.kind == "undecided"
        assert "no dispatcher is alive: serve the role 'dispatcher'" in hold.text
        assert "events behind" in hold.text


@scenario
async def test_a_deadline_is_named_while_the_run_goes_on(url: str) -> None:
    desk = Desk()
    async with held(url, desk) as (_, first):
        state, why = await first.state(), await first.why()
        assert why.deadline == state.deadline is not None
        assert f"deadline: {why.deadline.isoformat(timespec='milliseconds')}" in str(why)
        desk.go.set()
        await first.result(timeout=10)
        assert (await first.why()).deadline is None
