"""Wide runs: their ends share commits, and nothing of them waits for the sweep."""

from __future__ import annotations

from typing import Any

import pytest

from runfold import Context, Flow, Runfold, Settings, collect
from runfold.runtime import fusing, sweep
from scenarios.scene import finished, scenario


def fan_out() -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("fan-out")

    @flow.entry(emits=["item"])
    async def start(size: int, ctx: Context) -> None:
        for n in range(size):
            ctx.emit("item", n)

    @flow.step(subscribes="item", emits=["done"])
    async def one(n: int, ctx: Context) -> None:
        ctx.emit("done", n)

    @flow.step(subscribes=collect("done"), returns=True)
    async def count(items: list[int]) -> int:
        return len(items)

    return flow


@scenario
async def test_the_ends_of_one_run_share_commits(url: str) -> None:
    async with Runfold(url, flows=[fan_out()], settings=Settings(slots=100)) as rf:
        before = rf._node.appender.counters.commits
        assert await (await finished(rf, "fan-out", 100)).result() == 100
        assert rf._node.appender.counters.commits - before < 50


@scenario
async def test_more_decisions_than_one_commit_holds_go_on_at_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "EVERY", 3600.0)
    monkeypatch.setattr(fusing, "FUSED_MAX", 20)
    monkeypatch.setattr(fusing, "DECISIONS_MAX", 10)
    async with Runfold(url, flows=[fan_out()]) as rf:
        await finished(rf, "fan-out", 1)  # The dispatcher leads now, and has swept once.
        assert await (await finished(rf, "fan-out", 60)).result() == 60
