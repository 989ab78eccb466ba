"""What a handler says while it runs: progress, output, server-sent events, listeners."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runfold import (
    Context,
    Flow,
    InvalidInput,
    LogEvent,
    PermanentError,
    Queue,
    RunFailed,
    Runfold,
    RunNotFound,
)
from runfold.client import feed, sse
from runfold.client.run import Run
from scenarios.heard import Heard
from scenarios.scene import finished, history, scenario

QUARTERS = [
    (25, "a quarter", {"rows": 1}), (50, "half", {"rows": 2}), (75, None, None), (100, "all", []),
]  # fmt: skip


def reporting() -> Queue:
    queue = Queue("reports")

    @queue.job()
    async def quarters(data: Any, ctx: Context) -> str:
        for percent, message, details in QUARTERS:
            ctx.progress(percent, message, details)
        return "done"

    @queue.job(retry=2)
    async def tell(text: str, ctx: Context) -> None:
        for part in text.split():
            ctx.write(part)
            ctx.write("-", stream="other")
        if ctx.attempt == 1:
            raise OSError("the pipe broke")

    @queue.job()
    async def fail(data: Any, ctx: Context) -> None:
        ctx.progress(10)
        raise PermanentError("no")

    @queue.job()
    async def plain(data: Any) -> Any:
        return data

    return queue


def waiting(may_end: asyncio.Event) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("waiting")

    @flow.entry()
    async def start(data: Any, ctx: Context) -> None:
        ctx.progress(1)
        await may_end.wait()

    return flow


async def listed(found: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in found]


async def said(run: Run[Any]) -> list[tuple[Any, ...]]:
    return [(p.percent, p.message, p.details) async for p in run.progress()]


def parsed(frame: bytes) -> tuple[int, str, dict[str, Any]]:
    """Return id, event and data of a frame, as an ``EventSource`` reads it."""
    id, event, data, *end = frame.decode().split("\n")
    assert end == ["", ""]
    assert (id[:4], event[:7], data[:6]) == ("id: ", "event: ", "data: ")
    return int(id[4:]), event[7:], json.loads(data[6:])


@scenario
async def test_progress_reaches_every_kind_of_listener_in_order_and_then_the_result(
    url: str,
) -> None:
    called, awaited = Heard(), Heard()

    async def slowly(event: LogEvent) -> None:
        await asyncio.sleep(0)
        awaited(event)

    async with Runfold(url, queues=[reporting()]) as rf:
        whole_log = rf.listen(called, types=["step.progress", "flow.completed"])
        run = await rf.start("reports/quarters")
        rf.listen(slowly, types=["step.progress"], run=run)
        early = asyncio.create_task(said(run))
        sent = asyncio.create_task(listed(run.sse(types=["step.progress"])))
        assert await run.result(timeout=10) == "done"
        assert await early == QUARTERS
        assert await said(run) == QUARTERS
        frames = [parsed(frame) for frame in await sent]
        kinds = [event for _, event, _ in frames]
        assert kinds == ["step.progress"] * 4 + ["flow.completed"]
        assert [data["data"]["percent"] for *_, data in frames[:4]] == [25, 50, 75, 100]
        assert frames[-1][2] == (await history(run, "flow.completed"))[0].json()
        await called.wait(5)
        await awaited.wait(4)
        whole_log()
        await finished(rf, "reports/quarters")
    assert called.types == kinds
    assert [event.data["percent"] for event in awaited.events] == [25, 50, 75, 100]


@scenario
async def test_progress_of_a_run_that_has_failed_ends_at_once(url: str) -> None:
    async with Runfold(url, queues=[reporting()]) as rf:
        run = await rf.start("reports/fail")
        with pytest.raises(RunFailed):
            await run.result(timeout=10)
        only = await listed(run.progress())
        assert [(p.percent, p.attempt, p.step_name) for p in only] == [(10, 1, "fail")]
        [recorded] = await history(run, "step.progress")
        assert (only[0].id, only[0].ts, only[0].step_id) == (
            recorded.id, recorded.ts, recorded.step_id,
        )  # fmt: skip


@scenario
async def test_output_says_of_which_attempt_it_is(url: str) -> None:
    async with Runfold(url, queues=[reporting()]) as rf:
        run = await rf.start("reports/tell", "a b c", retry=2)
        chunks = await listed(run.output())
        assert {chunk.attempt for chunk in chunks} == {1, 2}
        for attempt in (1, 2):
            assert "".join(one for one in chunks if one.attempt == attempt) == "abc"
        assert chunks[0].step_name == "tell"
        assert "".join(await listed(run.output("other"))) == "------"
        assert await listed(run.output("nothing-here")) == []
        with pytest.raises(InvalidInput, match="the name of a stream"):
            run.output(7)  # type: ignore[arg-type]


@scenario
async def test_a_stream_that_broke_goes_on_behind_the_last_event(url: str) -> None:
    async with Runfold(url, queues=[reporting()]) as rf:
        run = await finished(rf, "reports/quarters")
        everything = await listed(run.sse())
        events = await history(run)
        assert [parsed(frame)[2] for frame in everything] == [event.json() for event in events]
        for place, event in enumerate(events, 1):
            assert await listed(run.sse(after=str(event.id))) == everything[place:]
        assert await listed(run.sse(after=events[0].id)) == everything[1:]
        assert await listed(run.sse(after="")) == everything


@scenario
async def test_a_stream_without_events_is_kept_open(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold.client.run_watch.HEARTBEAT_SECONDS", 0.01)
    may_end = asyncio.Event()
    async with Runfold(url, flows=[waiting(may_end)]) as rf:
        run = await rf.start("waiting")
        seen = []
        async for one in run.sse():
            seen.append(one)
            if seen[-2:] == [sse.HEARTBEAT, sse.HEARTBEAT]:
                may_end.set()
    assert sse.HEARTBEAT == b": heartbeat\n\n"
    frames = [parsed(one)[1] for one in seen if one != sse.HEARTBEAT]
    assert frames[-1] == "flow.completed"


@pytest.mark.parametrize("after", ["abc", "-1", -1, "1.5", "²", "9" * 40, 1.5, True, b"1"])
@scenario
async def test_a_last_event_id_that_cannot_be_is_refused(url: str, after: Any) -> None:
    async with Runfold(url, queues=[reporting()]) as rf:
        run = await finished(rf, "reports/plain")
        with pytest.raises(InvalidInput) as caught:
            run.sse(after=after)
        assert caught.value.details[0]["loc"] == "after"


@scenario
async def test_types_that_no_event_has_are_refused(url: str) -> None:
    async with Runfold(url, queues=[reporting()]) as rf:
        run = await finished(rf, "reports/plain")
        for call in (run.events, run.sse, rf.events, lambda **kw: rf.listen(print, **kw)):
            with pytest.raises(InvalidInput, match=r"did you mean 'step\.completed'"):
                call(types=["step.complete"])
            with pytest.raises(InvalidInput, match="expected a list of event types"):
                call(types="log")
        for after in (-1, "3", True):
            with pytest.raises(InvalidInput, match="expected the id of an event"):
                rf.events(after=after)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="queue is 7"):
            rf.events(queue=7)  # type: ignore[arg-type]


@scenario
async def test_a_run_that_is_not_recorded_has_no_stream(url: str) -> None:
    async with Runfold(url, queues=[reporting()]) as rf:
        run = await finished(rf, "reports/plain")
        unknown = Run(
            run._engine, b"\0" * 16, flow="reports/plain", stream=0, result=run._value, fresh=False
        )
        for found in (unknown.events(), unknown.progress(), unknown.output(), unknown.sse()):
            with pytest.raises(RunNotFound):
                await anext(found)


@scenario
async def test_a_listener_that_fails_is_called_again(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()

    def fails(event: LogEvent) -> None:
        heard(event)
        raise ValueError("not today")

    async with Runfold(url, queues=[reporting()]) as rf:
        run = await finished(rf, "reports/plain")
        with caplog.at_level(logging.ERROR, "runfold.listen"):
            stop = rf.listen(fails, run=run)
            await heard.wait(len(await history(run)))
        stop()
        stop()
        assert heard.events == await history(run)
    assert len(caplog.records) == len(heard.events)
    assert "not today" in caplog.text


@scenario
async def test_a_listener_that_stops_itself_is_called_no_more(url: str) -> None:
    seen: list[LogEvent] = []
    finished_its_call = asyncio.Event()

    async def once(event: LogEvent) -> None:
        seen.append(event)
        stop()
        await asyncio.sleep(0)
        finished_its_call.set()

    async with Runfold(url, queues=[reporting()]) as rf:
        stop = rf.listen(once)
        await finished(rf, "reports/quarters")
        await finished_its_call.wait()
        await finished(rf, "reports/quarters")
    assert len(seen) == 1


@scenario
async def test_listeners_of_a_target_hear_nothing_else(url: str) -> None:
    heard = Heard()
    async with Runfold(url, queues=[reporting()]) as rf:
        before = await finished(rf, "reports/plain")
        rf.listen(heard, of="reports/plain", types=["flow.completed"])
        await finished(rf, "reports/quarters")
        run = await finished(rf, "reports/plain", 1)
        await heard.wait(1)
        with pytest.raises(InvalidInput, match="expected a function"):
            rf.listen("print")  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="expected a Run"):
            rf.listen(print, run=run.id)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="without of="):
            rf.listen(print, run=run, of="reports/plain")
    assert [event.run_id for event in heard.events] == [run.id]
    assert before.id != run.id


@scenario
async def test_a_follower_that_does_not_keep_up_misses_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SUBSCRIBER_EVENTS_MAX", 5)
    async with Runfold(url, queues=[reporting()]) as rf:
        following = rf.events(follow=True)
        seen = [await anext(following)]
        runs = await rf.start_many("reports/quarters", list(range(20)))
        for run in runs:
            await run.result(timeout=10)
        head = [event async for event in rf.events()]
        while len(seen) < len(head):
            seen.append(await anext(following))
        await following.aclose()
    assert seen == head


@scenario
async def test_who_follows_is_told_when_the_engine_is_left(url: str) -> None:
    heard: list[LogEvent] = []
    may_end = asyncio.Event()
    may_end.set()
    async with Runfold(url, flows=[waiting(may_end)]) as rf:
        run = await rf.start("waiting", delay=3600)
        rf.listen(heard.append)
        log = asyncio.create_task(listed(rf.events(follow=True)))
        progress = asyncio.create_task(listed(run.progress()))
        stream = asyncio.create_task(listed(run.sse()))
        await rf.run_until_idle()
    for task in (log, progress):
        with pytest.raises(feed.Left, match="was left while"):
            await task
    assert next(parsed(frame)[1] for frame in await stream) == "flow.start"
