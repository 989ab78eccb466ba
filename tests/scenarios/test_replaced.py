"""Keys whose last start counts: replaced while nothing has begun, put off with every start."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runfold import (
    Concurrency,
    Context,
    Flow,
    InvalidInput,
    KeyConflict,
    PermanentError,
    Queue,
    RunFailed,
    Runfold,
    Settings,
    after,
)
from runfold.testing import Simulation
from scenarios.floor import Floor
from scenarios.scene import history, scenario


def noting(seen: list[Any], **options: Any) -> Queue:
    queue = Queue("q", **options)

    @queue.job()
    async def note(data: Any, ctx: Context) -> Any:
        assert ctx.input == data
        seen.append(data)
        return data

    return queue


@scenario
async def test_the_last_start_counts_until_the_run_begins(url: str) -> None:
    seen: list[Any] = []
    async with Runfold(url, queues=[noting(seen)]) as rf:
        await rf.queues.pause("q")
        run = await rf.start("q/note", 1, key="k", on_conflict="replace", tags=["a"])
        other = await rf.start("q/note", "other")
        for value in (2, 3, 3):
            again = await rf.start("q/note", value, key="k", on_conflict="replace", tags=["b"])
            assert again.id == run.id
        state = await run.state()
        assert (state.input, state.status, state.tags) == (3, "running", ["a"])
        assert (await run.state(version=2)).input == 1
        listed = (await rf.runs.list(tags=["a"])).items
        assert [(one.id, one.input) for one in listed] == [(run.id, 3)]
        told = [event.data for event in await history(run, "flow.input_replaced")]
        assert told == [{"input": 2, "requeued": False}, {"input": 3, "requeued": False}]
        await rf.queues.resume("q")
        assert await run.result(timeout=10) == 3
        await other.result(timeout=10)
        assert seen == [3, "other"]  # It has kept its place.
        with pytest.raises(KeyConflict, match="has begun with another input"):
            await rf.start("q/note", 4, key="k", on_conflict="replace")
        same = await rf.start("q/note", 3, key="k", on_conflict="replace")
        assert same.id == run.id
    assert seen == [3, "other"]


@scenario
async def test_another_value_of_the_key_of_a_limit_is_another_lane(url: str) -> None:
    floor, queue = Floor(), Queue("q", limits=[Concurrency(1, key="who")])

    @queue.job()
    async def visit(data: dict[str, Any]) -> str:
        await floor.visit(data["n"], data["who"])
        return str(data["who"])

    async with Runfold(url, queues=[queue]) as rf:
        await rf.start("q/visit", {"n": 1, "who": "adam"})
        await floor.holds(1)
        waits = await rf.start("q/visit", {"n": 2, "who": "adam"}, key="k")
        await rf.start("q/visit", {"n": 2, "who": "zoe"}, key="k", on_conflict="replace")
        await floor.holds(2)  # What holds back adam does not hold back zoe.
        floor.free.set()
        assert await waits.result(timeout=10) == "zoe"
        (told,) = await history(waits, "flow.input_replaced")
        assert told.data["requeued"] is True
        (started,) = await history(waits, "step.started")
        assert started.data["key"] == "zoe"


@scenario
async def test_a_delayed_start_keeps_its_time_when_its_input_is_replaced(url: str) -> None:
    seen: list[Any] = []
    async with Runfold(url, queues=[noting(seen)]) as rf:
        run = await rf.start("q/note", 1, key="k", delay=0.4)
        due_at = (await run.state()).due_at
        await rf.start("q/note", 2, key="k", delay=60, on_conflict="replace")
        state = await run.state()
        assert (state.due_at, state.status) == (due_at, "scheduled")
        assert await run.result(timeout=10) == 2
        (started,) = await history(run, "step.started")
        assert due_at is not None
        assert started.ts >= due_at


@scenario
async def test_every_start_puts_a_debounced_run_off_and_the_last_input_counts(url: str) -> None:
    seen: list[Any] = []
    how: Any = {"key": "doc-7", "delay": 0.4, "on_conflict": "debounce"}
    async with Runfold(url, queues=[noting(seen)]) as rf:
        first = await rf.start("q/note", 1, **how)
        for value in (2, 3, 3):
            assert (await rf.start("q/note", value, **how)).id == first.id
        (item,) = (await rf.runs.list()).items
        state = await first.state()
        assert (item.due_at, item.input, item.status) == (state.due_at, 3, "scheduled")
        told = await history(first, "flow.input_replaced")
        assert len(told) == 3  # Also the same input puts it off.
        assert await first.result(timeout=10) == 3
        (started,) = await history(first, "step.started")
        assert (started.ts - told[-1].ts).total_seconds() >= 0.4
        assert started.ts >= state.due_at  # type: ignore[operator]

        second = await rf.start("q/note", 3, **how)  # A new burst: the next run of the key.
        assert second.id != first.id
        assert (await rf.start("q/note", 4, **how)).id == second.id
        assert (await rf.get(of="q/note", key="doc-7")).id == second.id
        assert await second.result(timeout=10) == 4
        third = await rf.start("q/note", 5, **how)
        assert (await third.state()).key == "doc-7"
        await third.cancel()  # What has ended is not put off either.
        fourth = await rf.start("q/note", 6, **how)
        assert await fourth.result(timeout=10) == 6
        assert (await rf.get(of="q/note", key="doc-7")).id == fourth.id
        assert (await rf.start("q/note", 9, key="doc-7")).id == first.id
    assert seen == [3, 4, 6]


@scenario
async def test_a_debounced_run_is_put_off_no_longer_than_it_may(url: str) -> None:
    seen: list[Any] = []
    how: Any = {"key": "k", "delay": 3600, "on_conflict": "debounce", "max_delay": 0.5}
    async with Runfold(url, queues=[noting(seen)]) as rf:
        run = await rf.start("q/note", 0, **how)
        await rf.start("q/note", 1, **how)
        state = await run.state()
        assert state.due_at is not None
        assert state.created_at is not None
        # Not exactly: time passes between the question how late it is and the commit.
        assert 0.4 < (state.due_at - state.created_at).total_seconds() < 60
        assert await run.result(timeout=10) == 1


def test_the_longest_delay_counts_from_the_first_start() -> None:
    seen: list[Any] = []
    how: Any = {"key": "k", "delay": 30, "on_conflict": "debounce", "max_delay": 50}
    queue = noting(seen)
    with Simulation(queue) as sim:
        sim.start("q/note", 0, **how)
        for data in (1, 2):
            sim.advance(20)
            sim.start("q/note", data, **how)
        sim.advance(9.9)
        assert seen == []
        sim.advance(0.2)
    assert seen == [2]


@scenario
async def test_a_run_that_is_ready_is_put_off_again(url: str) -> None:
    seen: list[Any] = []
    how: Any = {"key": "k", "on_conflict": "debounce"}
    async with Runfold(url, queues=[noting(seen)]) as rf:
        await rf.queues.pause("q")
        run = await rf.start("q/note", 1, **how, delay=0.01)
        async for _ in run.events(types=["timer.due"], follow=True):
            break
        assert await run.status() == "running"
        await rf.start("q/note", 2, **how, delay=0.3)
        assert await run.status() == "scheduled"
        assert (await rf.queues.stats("q")).delayed == 1
        await rf.queues.resume("q")
        assert await run.result(timeout=10) == 2
        (told,) = await history(run, "flow.input_replaced")
        (started,) = await history(run, "step.started")
        assert told.data == {"input": 2, "delay": 0.3, "requeued": True}
        assert (started.ts - told.ts).total_seconds() >= 0.3
    assert seen == [2]


@scenario
async def test_a_deadline_in_seconds_counts_from_the_time_to_which_it_was_put_off(
    url: str,
) -> None:
    how: Any = {"key": "k", "on_conflict": "debounce", "delay": 0.5, "deadline": 0.2}
    release = asyncio.Event()
    queue = Queue("q")

    @queue.job()
    async def hang() -> None:
        await release.wait()

    async with Runfold(url, queues=[queue], settings=Settings(grace=0.1)) as rf:
        run = await rf.start("q/hang", **how)
        await asyncio.sleep(0.3)
        await rf.start("q/hang", **how)
        state = await run.state()
        assert state.due_at is not None
        assert state.deadline == state.due_at + timedelta(seconds=0.2)
        with pytest.raises(RunFailed, match="DEADLINE_EXCEEDED"):
            await run.result(timeout=10)
        (started,) = await history(run, "step.started")
        assert started.ts >= state.due_at  # It has begun, and was not ended before.
        release.set()


@scenario
async def test_all_steps_and_all_descendants_see_the_input_that_counts(url: str) -> None:
    flow: Flow[Any, Any] = Flow("two")
    fails = [True]

    @flow.entry()
    async def first(data: int, ctx: Context) -> int:
        if fails:
            raise PermanentError("not yet")
        return data

    @flow.step(subscribes=after(first), returns=True)
    async def second(data: int, ctx: Context) -> list[int]:
        return [data, ctx.input]

    async with Runfold(url, flows=[flow]) as rf:
        run = await rf.start(flow, 1, key="k", delay=3600)
        await rf.start(flow, 2, key="k", delay=3600, on_conflict="replace")
        early = await run.fork(at=2)
        late = await run.fork(at=3)
        assert ((await early.state()).input, (await late.state()).input) == (1, 2)
        assert (await late.state()).due_at == (await run.state()).due_at
        await rf.start(flow, 3, key="k", delay=0.01, on_conflict="debounce")
        with pytest.raises(RunFailed):
            await run.result(timeout=10)
        fails.clear()
        for again in (await run.retry(), await run.restart(), await run.fork(at=4)):
            assert await again.result(timeout=10) == [3, 3]
        await early.cancel()
        await late.cancel()
        assert (await run.export(["input"])).history[3].event.input == "[redacted]"


@scenario
async def test_of_a_replacement_and_a_claim_that_race_one_counts(url: str) -> None:
    seen: dict[str, Any] = {}
    queue = Queue("q")

    @queue.job()
    async def note(data: list[Any]) -> None:
        seen[data[0]] = data[1]

    async with AsyncExitStack() as stack:
        rf = await stack.enter_async_context(Runfold(url, queues=[queue]))
        rfs = [rf]
        if not url.startswith("memory"):
            other = Runfold(url, queues=[queue])
            rfs.append(await stack.enter_async_context(other.connect()))
        taken: dict[str, set[int]] = {}

        async def replace(key: str, value: int) -> None:
            using = rfs[value % len(rfs)]
            try:
                await using.start("q/note", [key, value], key=key, on_conflict="replace")
            except KeyConflict:
                return
            taken.setdefault(key, set()).add(value)

        for key in (f"k{n}" for n in range(25)):
            await asyncio.gather(*(replace(key, value) for value in range(4)))
        await rf.run_until_idle()
        for item in (await rf.runs.list()).items:
            run = await rf.get(item.id)
            assert item.key is not None
            assert item.status == "completed"
            assert item.input == [item.key, seen[item.key]]
            assert seen[item.key] in taken[item.key]
            types = [event.type async for event in run.events()]
            assert "flow.input_replaced" not in types[types.index("step.started") :]
        assert len(seen) == 25


@scenario
async def test_what_was_replaced_is_rebuilt(url: str) -> None:
    seen: list[Any] = []
    rf = Runfold(url, queues=[noting(seen)])
    async with rf.connect():
        ready = await rf.start("q/note", 1, key="ready")
        await rf.start("q/note", 2, key="ready", on_conflict="replace")
        put_off = await rf.start("q/note", 3, key="later", delay=0.1)
        how: Any = {"key": "later", "on_conflict": "debounce", "delay": 0.8}
        await rf.start("q/note", 4, **how)
        due_at = (await put_off.state()).due_at
        await rf.log.rebuild()
    async with rf:
        again = await rf.get(put_off.id)
        assert (await again.state()).due_at == due_at
        assert await (await rf.get(ready.id)).result(timeout=10) == 2
        assert await again.result(timeout=10) == 4
        (started,) = await history(again, "step.started")
        assert due_at is not None
        assert started.ts >= due_at
    assert seen == [2, 4]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"on_conflict": "last", "key": "k"}, "on_conflict"),
        ({"on_conflict": "replace"}, "on_conflict"),
        ({"on_conflict": "replace", "key": "k", "connection": object()}, "on_conflict"),
        ({"on_conflict": "debounce", "key": "k"}, "delay"),
        ({"on_conflict": "debounce", "key": "k", "delay": 0}, "delay"),
        ({"on_conflict": "debounce", "key": "k", "run_at": datetime.now(UTC)}, "delay"),
        ({"on_conflict": "replace", "key": "k", "max_delay": 5}, "max_delay"),
        ({"on_conflict": "debounce", "key": "k", "delay": 1, "max_delay": 0}, "max_delay"),
    ],
    ids=["last", "no key", "connection", "no delay", "no time", "moment", "no debounce", "no max"],
)
@scenario
async def test_what_cannot_be_replaced_so_is_refused(options: dict[str, Any], field: str) -> None:
    async with Runfold("memory://", queues=[noting([])]) as rf:
        with pytest.raises(InvalidInput) as refused:
            await rf.start("q/note", 1, **options)
        assert refused.value.details[0]["loc"] == field
        assert (await rf.runs.list()).items == []
