"""Retry, restart and fork: a new run with the past of another, on every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runfold import (
    Context,
    Flow,
    InvalidInput,
    Run,
    Runfold,
    Unforkable,
    after,
    all_of,
    collect,
)
from scenarios.scene import finished, history, scenario, story


class Shop:
    """A flow that ships what it has packed and charged, and counts what it did."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.broken = True
        self.flow: Flow[Any, Any] = Flow("shop", input=int)
        flow = self.flow

        @flow.entry(emits=["order"])
        async def order(amount: int, ctx: Context) -> None:
            self.done.append("order")
            await ctx.state.set("amount", amount)
            ctx.emit("order", amount)

        @flow.step(subscribes="order", emits=["packed"])
        async def pack(amount: int, ctx: Context) -> None:
            self.done.append("pack")
            ctx.emit("packed", f"{amount} boxes")

        @flow.step(subscribes="order", emits=["charged"], retry=1)
        async def charge(amount: int, ctx: Context) -> None:
            if self.broken:
                raise ValueError("card declined")
            self.done.append("charge")
            ctx.emit("charged", amount)

        @flow.step(subscribes=all_of("packed", "charged"), returns=True)
        async def ship(data: dict[str, Any], ctx: Context) -> list[Any]:
            self.done.append("ship")
            return [data["packed"], data["charged"], await ctx.state.get("amount")]


async def failed_run(rf: Runfold, shop: Shop) -> Run[Any]:
    """Return a run whose ``charge`` has failed and whose ``pack`` has completed."""
    run = await rf.start(shop.flow, 3)
    await rf.run_until_idle()
    assert await run.status() == "failed"
    return run


async def origin_of(run: Run[Any]) -> Any:
    (start,) = await history(run, "flow.start")
    return start.data["origin"]


@scenario
async def test_a_retry_does_again_what_failed_and_nothing_else(url: str) -> None:
    shop = Shop()
    async with Runfold(url, flows=[shop.flow]) as rf:
        run = await failed_run(rf, shop)
        before = await history(run)
        shop.broken = False
        again = await run.retry()
        assert await again.result(timeout=10) == ["3 boxes", 3, 3]
        assert sorted(shop.done) == ["charge", "order", "pack", "ship"]
        origin = await origin_of(again)
        assert 1 < origin.pop("copied") < len(before)
        assert origin == {"runId": run.id, "version": len(before), "how": "retry"}
        assert await history(run) == before
        assert (await again.state()).tags == (await run.state()).tags


@scenario
async def test_a_restart_does_everything_again(url: str) -> None:
    shop = Shop()
    async with Runfold(url, flows=[shop.flow]) as rf:
        run = await failed_run(rf, shop)
        shop.broken, shop.done = False, []
        again = await run.restart()
        assert await again.result(timeout=10) == ["3 boxes", 3, 3]
        assert sorted(shop.done) == ["charge", "order", "pack", "ship"]
        assert await origin_of(again) == {
            "runId": run.id,
            "version": 1,
            "how": "restart",
            "copied": 1,
        }
        assert again.id != run.id


@scenario
async def test_a_fork_at_any_version_ends_as_its_origin(url: str) -> None:
    shop = Shop()
    shop.broken = False
    async with Runfold(url, flows=[shop.flow]) as rf:
        run = await finished(rf, shop.flow, 3)
        events = await history(run)
        for version in range(1, len(events)):
            new = await run.fork(at=version)
            assert await new.result(timeout=10) == ["3 boxes", 3, 3]
            copied = (await origin_of(new))["version"]
            assert copied <= version
            assert [e.type for e in await history(new)][:copied] == [
                e.type for e in events[:copied]
            ]
        assert await history(run) == events


@scenario
async def test_a_fork_takes_another_state_and_another_input(url: str) -> None:
    shop = Shop()
    shop.broken = False
    async with Runfold(url, flows=[shop.flow]) as rf:
        run = await finished(rf, shop.flow, 3)
        (completed,) = [e for e in await history(run, "step.completed") if e.step_name == "order"]
        told = await run.fork(at=completed.version, state={"amount": "none"})
        assert await told.result(timeout=10) == ["3 boxes", 3, "none"]
        other = await run.fork(at=1, input=5)
        assert await other.result(timeout=10) == ["5 boxes", 5, 5]
        assert (await other.state()).input == 5
        by_moment = await run.fork(at=completed.ts)
        assert await by_moment.result(timeout=10) == ["3 boxes", 3, 3]


@scenario
async def test_what_cannot_be_is_refused_and_nothing_is_recorded(url: str) -> None:
    shop = Shop()
    async with Runfold(url, flows=[shop.flow]) as rf:
        run = await failed_run(rf, shop)
        before = [event.id async for event in rf.events()]
        past, naive = datetime.now(UTC) - timedelta(days=1), datetime.now()  # noqa: DTZ005
        for wrong in (0, 1000, True, "3", past, naive):
            with pytest.raises(InvalidInput):
                await run.fork(at=wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="input"):
            await run.fork(at=1, input="three")
        with pytest.raises(Unforkable, match="alone reads the input"):
            await run.fork(at=8, input=4)
        with pytest.raises(InvalidInput, match="state"):
            await run.fork(at=1, state={"x": object()})
        with pytest.raises(InvalidInput, match="definition"):
            await run.fork(at=1, definition="old")  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="never ran"):
            await run.retry(from_step="ship")
        with pytest.raises(Unforkable, match=r"version \d+ or before"):
            await run.fork(at=(await run.state()).version)
        assert [event.id async for event in rf.events()] == before


@scenario
async def test_a_run_that_goes_on_can_be_forked(url: str) -> None:
    flow: Flow[Any, Any] = Flow("slow")
    may_end, begun, both = asyncio.Event(), asyncio.Event(), asyncio.Event()
    attempts: list[tuple[str, int]] = []

    @flow.entry()
    async def start(data: Any) -> int:
        return 1

    @flow.step(subscribes=after(start))
    async def wait(data: int, ctx: Context) -> int:
        attempts.append((ctx.run_id, ctx.attempt))
        (both if begun.is_set() else begun).set()
        await may_end.wait()
        return data + 1

    async with Runfold(url, flows=[flow]) as rf:
        run = await rf.start(flow)
        await begun.wait()
        at = (await run.state()).version
        with pytest.raises(Unforkable, match="only what has ended"):
            await run.retry()
        new = await run.fork(at=at)
        await both.wait()
        may_end.set()
        assert await new.result(timeout=10) == await run.result(timeout=10) == 2
        assert attempts == [(run.id, 1), (new.id, 1)]
        assert "step.released wait" in await story(new)


@scenario
async def test_forks_at_once_are_runs_of_their_own(url: str) -> None:
    shop = Shop()
    shop.broken = False
    async with Runfold(url, flows=[shop.flow]) as rf:
        run = await finished(rf, shop.flow, 3)
        at = (await history(run, "step.completed"))[0].version
        new = await asyncio.gather(*(run.fork(at=at, state={"amount": n}) for n in range(10)))
        assert [(await one.result(timeout=10))[2] for one in new] == list(range(10))
        assert len({one.id for one in new}) == 10


@scenario
async def test_a_fork_of_a_fork_of_a_retry(url: str) -> None:
    shop = Shop()
    async with Runfold(url, flows=[shop.flow]) as rf:
        run = await failed_run(rf, shop)
        shop.broken = False
        again = await run.retry()
        await again.result(timeout=10)
        third = await again.fork(at=(await again.state()).version - 1)
        fourth = await third.fork(at=2)
        assert await third.result(timeout=10) == await fourth.result(timeout=10)
        assert (await origin_of(fourth))["runId"] == third.id


@scenario
async def test_why_and_diff_of_recorded_runs(url: str) -> None:
    shop = Shop()
    async with Runfold(url, flows=[shop.flow]) as rf:
        run = await failed_run(rf, shop)
        answer = await run.why()
        assert [link.step for link in answer.chain] == ["order", "charge"]
        assert (answer.status, answer.step) == ("failed", None)
        asked = await run.why("ship")
        assert "blocked by charge" in str(asked)
        assert asked.holds[0].by == ("charge",)
        with pytest.raises(InvalidInput, match="no step"):
            await run.why("nothing")
        shop.broken = False
        again = await run.retry()
        await again.result(timeout=10)
        found = await run.diff(again)
        assert not found.same
        assert found.first is not None
        assert (found.first.step, found.first.field) == ("charge", "status")
        assert not [one for one in found.differences if one.step in {"order", "pack"}]
        restarted = await run.restart()
        await restarted.result(timeout=10)
        assert (await again.diff(restarted)).same
        with pytest.raises(InvalidInput, match="takes a run"):
            await run.diff(run.id)  # type: ignore[arg-type]


@scenario
async def test_why_says_what_a_run_waits_for(url: str) -> None:
    shop = Shop()
    async with Runfold(url, flows=[shop.flow]).serve({"dispatcher", "timekeeper"}) as rf:
        runs = await rf.start_many(shop.flow, [1, 2, 3])
        (hold,) = (await runs[0].why()).holds
        assert (hold.kind, hold.step, hold.queue) == ("queued", "order", "default")
        assert "3 are ready there and 0 are worked on" in hold.text
        await runs[0].pause()
        (hold,) = (await runs[0].why("order")).holds
        assert hold.kind == "paused"


def grown(extra: bool, other_path: bool = False) -> Flow[Any, Any]:
    """Return a flow as its code was, with a step more, or with another path."""
    flow: Flow[Any, Any] = Flow("grown")

    @flow.entry(emits=["go"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("go", data)

    @flow.step(subscribes=after(start) if other_path else "go", returns=True)
    async def work(data: Any) -> Any:
        if data == "fails" and not extra:
            raise ValueError("not yet")
        return [data]

    if extra:

        @flow.step(subscribes="go")
        async def audit(data: Any) -> Any:
            return data

    return flow


@scenario
async def test_a_retry_follows_the_recorded_definition_or_the_one_that_is_served(
    url: str, tmp_path: Any
) -> None:
    url = f"sqlite:///{tmp_path / 'kept.db'}" if url == "memory://" else url
    async with Runfold(url, flows=[grown(extra=False)]) as rf:
        run = await rf.start("grown", "fails", retry=1)
        await rf.run_until_idle()
    async with Runfold(url, flows=[grown(extra=True)]) as rf:
        run = await rf.get(run.id)
        assert await (await run.retry()).result(timeout=10) == ["fails"]
        served = await run.retry(definition="served")
        assert await served.result(timeout=10) == ["fails"]
        assert "step.completed audit" in await story(served)
        assert "step.completed audit" in await story(await ended(await run.restart()))
    async with Runfold(url, flows=[grown(extra=True, other_path=True)]) as rf:
        run = await rf.get(run.id)
        with pytest.raises(Unforkable, match="does not come about"):
            await run.fork(at=6, definition="served")
        again = await run.fork(at=2, definition="served")
        assert await again.result(timeout=10) == [None]


async def ended(run: Run[Any]) -> Run[Any]:
    await run.result(timeout=10)
    return run


@scenario
async def test_a_wide_fork_leads_to_each_step_once(url: str) -> None:
    flow: Flow[Any, Any] = Flow("wide")
    ran: list[int] = []

    @flow.entry(emits=["item"])
    async def start(size: int, ctx: Context) -> None:
        for n in range(size):
            ctx.emit("item", n)

    @flow.step(subscribes="item")
    async def map(n: int) -> int:
        ran.append(n)
        return n

    @flow.step(subscribes=collect(after(map)), returns=True)
    async def add(numbers: list[int]) -> int:
        return sum(numbers)

    async with Runfold(url, flows=[flow]) as rf:
        run = await finished(rf, flow, 600)
        total = await run.result()
        ran.clear()
        completed = await history(run, "step.completed")
        new = await run.fork(at=completed[300].version)
        assert await new.result(timeout=15) == total
        assert len(await history(new, "step.completed")) == 602
        assert len(ran) == len(set(ran)) <= 301


def test_blocking_calls(url: str) -> None:
    shop = Shop()
    rf = Runfold(url, flows=[shop.flow])
    with rf.sync:
        run = rf.sync.start(shop.flow, 3)
        rf.sync.run_until_idle()
        shop.broken = False
        for again in (run.retry(), run.restart(), run.fork(at=1), run.retry(from_step="order")):
            assert again.result(timeout=10) == ["3 boxes", 3, 3]
        assert run.why("charge").status == "failed"
        assert again.diff(again).same
