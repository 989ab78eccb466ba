"""Looking at runs: their state at any time, their events, and everyone who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runfold import (
    Context,
    Flow,
    LogEvent,
    PermanentError,
    Queue,
    Retry,
    RunFailed,
    Runfold,
    RunState,
)
from scenarios.scene import finished, history, scenario


def busy() -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("busy")

    @flow.entry(emits=["go"], retry=Retry(3, base=0.01, jitter=0))
    async def start(data: Any, ctx: Context) -> None:
        ctx.progress(10)
        await ctx.state.set("tries", ctx.attempt)
        await ctx.state.append("log", ctx.attempt)
        if ctx.attempt == 1:
            raise OSError("again")
        ctx.emit("go", data)

    @flow.step(subscribes="go", queue="cpu", returns=True)
    async def finish(data: Any, ctx: Context) -> Any:
        await ctx.state.add("tries", 10)
        ctx.progress(90)
        return data

    return flow


def folded(events: list[LogEvent]) -> dict[str, Any]:
    """Return what little of a state a reader of the events would say."""
    data: dict[str, Any] = {}
    for event in events:
        if event.type == "state":
            key, value, did = event.data["key"], event.data["value"], event.data["operation"]
            if did == "add":
                data[key] = data.get(key, 0) + value
            elif did == "append":
                data[key] = [*data.get(key, []), value]
            else:
                data[key] = value
    ends = [e.type.removeprefix("flow.") for e in events if e.type == "flow.completed"]
    progress = [e.data["percent"] for e in events if e.type == "step.progress"]
    return {
        "status": ends[-1] if ends else "running",
        "data": data,
        "progress": progress[-1] if progress else None,
        "version": events[-1].version,
        "position": events[-1].id,
    }


def shown(state: RunState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in folded_fields}


folded_fields = ("status", "data", "progress", "version", "position")


@scenario
async def test_the_state_at_any_version_is_the_fold_of_the_prefix(url: str) -> None:
    async with Runfold(url, flows=[busy()]) as rf:
        run = await finished(rf, "busy", 7)
        events = await history(run)
        for place, event in enumerate(events, start=1):
            state = await run.state(version=event.version)
            assert shown(state) == folded(events[:place])
            assert event.version == place
        now = await run.state()
        assert await run.state(version=len(events)) == now
    assert now.data == {"tries": 12, "log": [2]}
    assert (now.created_at, now.finished_at) == (events[0].ts, events[-1].ts)
    assert (now.input, now.result, now.error) == (7, 7, None)


@scenario
async def test_the_state_at_a_moment_is_the_fold_of_what_was_recorded_by_then(url: str) -> None:
    async with Runfold(url, flows=[busy()]) as rf:
        run = await finished(rf, "busy", 7)
        events = await history(run)
        for event in events:
            state = await run.state(at=event.ts)
            assert shown(state) == folded([e for e in events if e.ts <= event.ts])
        assert (await run.state(at=datetime.now(UTC) + timedelta(days=1))).status == "completed"


@scenario
async def test_there_is_no_state_before_the_start_or_after_the_end(url: str) -> None:
    async with Runfold(url, flows=[busy()]) as rf:
        run = await finished(rf, "busy", 7)
        (start,) = await history(run, "flow.start")
        for wrong in (0, -1, 1000):
            with pytest.raises(ValueError, match="version is"):
                await run.state(version=wrong)
        with pytest.raises(ValueError, match="did not exist"):
            await run.state(at=start.ts - timedelta(seconds=1))
        with pytest.raises(ValueError, match="time zone"):
            await run.state(at=datetime(2026, 1, 1))  # noqa: DTZ001


@scenario
async def test_steps_tell_where_they_are(url: str) -> None:
    async with Runfold(url, flows=[busy()]) as rf:
        run = await finished(rf, "busy", 7)
        steps = (await run.state()).steps
        assert [(s.name, s.number, s.status, s.attempt) for s in steps] == [
            ("start", 1, "completed", 2),
            ("finish", 1, "completed", 1),
        ]
        assert [step.id for step in steps] == [f"{run.id}__start", f"{run.id}__finish"]
        statuses = [
            [step.status for step in (await run.state(version=event.version)).steps]
            for event in await history(run)
        ]
    assert ["queued"] in statuses
    assert ["running"] in statuses
    assert ["retrying"] in statuses
    assert ["completed", "running"] in statuses


@scenario
async def test_events_of_a_run_by_type_and_from_a_place_on(url: str) -> None:
    async with Runfold(url, flows=[busy()]) as rf:
        run, other = await finished(rf, "busy", 1), await finished(rf, "busy", 2)
        events = await history(run)
        for place in (0, 1, len(events) // 2, len(events)):
            after = events[place - 1].id if place else 0
            assert [event async for event in run.events(after=after)] == events[place:]
        emits = [event async for event in run.events(types=["emit"])]
        assert [event.data for event in emits] == [{"name": "go", "payload": 1}]
        followed = [event async for event in run.events(after=events[3].id, follow=True)]
        assert followed == events[4:]
        assert {event.run_id for event in await history(other)} == {other.id}


@scenario
async def test_events_of_a_run_are_followed_while_they_happen(url: str) -> None:
    flow: Flow[Any, Any] = Flow("gated")
    may_end = asyncio.Event()

    @flow.entry()
    async def start(data: Any, ctx: Context) -> str:
        ctx.progress(1)
        await may_end.wait()
        return "ended"

    async with Runfold(url, flows=[flow]) as rf:
        run = await rf.start(flow)
        seen = []
        async for event in run.events(follow=True):
            seen.append(event.type)
            if event.type == "step.progress":
                assert [e.type for e in await history(run)] == seen
                may_end.set()
    assert seen[-2:] == ["step.completed", "flow.completed"]


@scenario
async def test_events_of_the_log_are_filtered(url: str) -> None:
    mail = Queue("mail")

    @mail.job()
    async def send(data: Any) -> None:
        return None

    async with Runfold(url, flows=[busy()], queues=[mail]) as rf:
        run = await finished(rf, "busy", 1)
        job = await finished(rf, send)
        everything = [event async for event in rf.events()]
        assert [event.id for event in everything] == list(range(1, len(everything) + 1))

        async def found(**filters: Any) -> list[LogEvent]:
            return [event async for event in rf.events(**filters)]

        assert await found(of="busy") == await history(run)
        assert await found(of=send) == await history(job)
        assert await found(after=everything[4].id) == everything[5:]
        assert await found(after=everything[-1].id) == []
        assert {event.type for event in await found(types=["emit", "state"])} == {"emit", "state"}
        cpu = await found(queue="cpu")
        assert [(event.type, event.step_name) for event in cpu] == [
            ("step.scheduled", "finish"), ("step.started", "finish"),
            ("step.progress", "finish"), ("step.completed", "finish"),
        ]  # fmt: skip
        assert await found(queue="mail", types=["step.started"], of=send) == await history(
            job, "step.started"
        )
        kinds = {event.type for event in everything if event.run_id is None}
        assert kinds == {"flow.defined"}


@scenario
async def test_the_log_is_followed_beyond_its_end(url: str) -> None:
    async with Runfold(url, flows=[busy()]) as rf:
        await finished(rf, "busy", 1)
        head = [event.id async for event in rf.events()][-1]

        async def next_end() -> LogEvent:
            async for event in rf.events(after=head, types=["flow.completed"], follow=True):
                return event
            raise AssertionError

        waiting = asyncio.create_task(next_end())
        run = await finished(rf, "busy", 2)
        event = await waiting
    assert (event.run_id, event.data["result"]) == (run.id, 2)


def gated(opens: Callable[[], asyncio.Event]) -> Queue:
    queue = Queue("q")

    @queue.job()
    async def wait(data: Any) -> Any:
        await opens().wait()
        if data == "fail":
            raise PermanentError("no")
        return data

    return queue


@scenario
async def test_everyone_who_waits_gets_the_result(url: str) -> None:
    gate = asyncio.Event()
    async with Runfold(url, queues=[gated(lambda: gate)]) as rf:
        run = await rf.start("q/wait", {"a": 1})
        handles = [run, run, await rf.get(run.id), await rf.get(run.id)]
        waiting = [asyncio.create_task(one.result()) for one in handles]
        impatient = asyncio.create_task(run.result(timeout=0.05))
        with pytest.raises(TimeoutError, match=rf"{run.id} has no result after 0.05 seconds"):
            await impatient
        waiting[0].cancel()
        gate.set()
        results = await asyncio.gather(*waiting[1:])
        assert results == [{"a": 1}] * 3
        assert results[0] is not results[1]
        late = await rf.get(run.id)
        assert await late.result() == await run.result(timeout=0) == {"a": 1}


@scenario
async def test_timeout_zero_only_looks(url: str) -> None:
    gate = asyncio.Event()
    async with Runfold(url, queues=[gated(lambda: gate)]) as rf:
        run = await rf.start("q/wait", 1)
        with pytest.raises(TimeoutError):
            await run.result(timeout=0)
        with pytest.raises(TimeoutError):
            await (await rf.get(run.id)).result(timeout=0)
        gate.set()
        assert await run.result(timeout=10) == 1
        assert await run.result(timeout=0) == 1


@scenario
async def test_a_failure_is_told_to_each_who_asks(url: str) -> None:
    gate = asyncio.Event()
    gate.set()
    async with Runfold(url, queues=[gated(lambda: gate)]) as rf:
        run = await rf.start("q/wait", "fail")
        for handle in (run, run, await rf.get(run.id)):
            with pytest.raises(RunFailed, match="failed in step 'wait': EXECUTION_ERROR: no"):
                await handle.result(timeout=10)
        with pytest.raises(RunFailed):
            await run.result(timeout=0)


@scenario
async def test_a_hundred_results_are_awaited_at_once(url: str) -> None:
    gate = asyncio.Event()
    gate.set()
    async with Runfold(url, queues=[gated(lambda: gate)]) as rf:
        runs = await rf.start_many("q/wait", list(range(100)))
        assert await asyncio.gather(*(run.result(timeout=15) for run in runs)) == list(range(100))
