"""What handlers logged, by every filter that is offered, on every store."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from runfold import Context, Flow, InvalidInput, Runfold, RunNotFound, ViewNotReady
from runfold.client import projections
from runfold.runtime.ownership import Ownership
from scenarios.scene import finished, scenario


def chatty(name: str) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow(name)

    @flow.entry("say", emits=["said"])
    async def say(number: int, ctx: Context) -> None:
        for level in ("debug", "info", "warning"):
            getattr(ctx.log, level)(f"{level} {number}", number=number)
        ctx.emit("said", number)

    @flow.step("echo", subscribes="said")
    async def echo(number: int, ctx: Context) -> None:
        ctx.log.error(f"error {number}")
        ctx.log.info("echoed")

    return flow


async def _all(rf: Runfold, of: Any = None, **filters: Any) -> list[Any]:
    found, cursor = [], None
    while True:
        page = await rf.logs.list(of, cursor=cursor, limit=3, **filters)
        found += page.items
        if (cursor := page.next) is None:
            return found


@scenario
async def test_every_filter_finds_the_lines_that_the_log_has(url: str) -> None:
    flows = [chatty("one"), chatty("two")]
    async with Runfold(url, flows=flows) as rf:
        runs = [await finished(rf, flow, number) for number in range(3) for flow in flows]
        events = [event async for event in rf.events(types=["log"])]
        await rf.projections.wait("logs", events[-1].id)
        lines = await _all(rf)
        assert [line.id for line in lines] == [event.id for event in reversed(events)]
        first = lines[-1]
        assert (first.message, first.meta, first.level) == ("debug 0", {"number": 0}, "debug")
        assert (first.flow_name, first.step_name, first.attempt) == ("one", "say", 1)
        assert (first.run_id, first.ts) == (runs[0].id, events[0].ts)
        middle = events[len(events) // 2].ts
        for of, run, step, level, since, order in product(
            (None, "two"), (None, runs[2]), (None, "echo"), (None, "info", ["error", "debug"]),
            (None, middle), ("newest", "oldest"),
        ):  # fmt: skip
            if step is not None and of is None and run is None:
                continue
            wanted = [
                event.id
                for event in events
                if of in (None, event.flow_name)
                and (run is None or run.id == event.run_id)
                and step in (None, event.step_name)
                and (level is None or event.data["level"] in level)
                and (since is None or event.ts >= since)
            ]
            filters = {"run": run, "step": step, "level": level, "since": since, "order": order}
            found = [line.id for line in await _all(rf, of, **filters)]
            assert found == (wanted if order == "oldest" else wanted[::-1]), (of, filters)
        before = await _all(rf, until=middle)
        assert {line.id for line in before} == {one.id for one in events if one.ts < middle}
        assert await _all(rf, since=events[-1].ts + timedelta(seconds=1)) == []
        assert await _all(rf, run=runs[0].id) == await _all(rf, run=runs[0])


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"level": "loud"}, "level"),
        ({"level": []}, "level"),
        ({"step": "say"}, "step"),
        ({"order": "sideways"}, "order"),
        ({"limit": 0}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"since": "today"}, "since"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(filters: dict[str, Any], field: str) -> None:
    @scenario
    async def refused() -> None:
        async with Runfold("memory://") as rf:
            with pytest.raises(InvalidInput) as caught:
                await rf.logs.list(**filters)
            assert [one["loc"] for one in caught.value.details] == [field]

    refused()


@scenario
async def test_a_run_that_is_not_there_and_a_view_that_nobody_keeps_are_said() -> None:
    async with Runfold("memory://") as rf:
        for run in ("nonsense", "00000000-0000-4000-8000-000000000000"):
            with pytest.raises(RunNotFound, match="there is no run"):
                await rf.logs.list(run=run)
    async with Runfold("memory://").connect() as rf:
        with pytest.raises(ViewNotReady, match="'logs'"):
            await rf.logs.list()


@pytest.fixture
def may_look(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """What a process waits for before it makes its views, one by one, and then owns them."""
    may_look, renew = asyncio.Event(), Ownership.renew

    async def renewed(ownership: Ownership) -> Any:
        await may_look.wait()
        return await renew(ownership)

    monkeypatch.setattr(Ownership, "renew", renewed)
    return may_look


@scenario
async def test_who_asks_before_the_views_are_taken_gets_what_is_recorded(
    url: str, may_look: asyncio.Event
) -> None:
    async with Runfold(url, flows=[chatty("one")]) as rf:
        await finished(rf, "one", 1)
        asking = asyncio.gather(rf.logs.list(), rf.flows.stats("one"), rf.view("logs").list())
        await asyncio.sleep(0)
        may_look.set()
        lines, stats, _ = await asking
        assert (len(lines.items), stats.started) == (5, 1)


@scenario
async def test_views_that_are_not_taken_are_not_waited_for_for_ever(
    url: str, may_look: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "PATIENCE", 0.01)
    async with Runfold(url, flows=[chatty("one")]) as rf:
        await finished(rf, "one", 1)
        for asking in (rf.logs.list(), rf.flows.stats("one"), rf.view("logs").list()):
            with pytest.raises(ViewNotReady, match="is not built yet"):
                await asking
        may_look.set()
