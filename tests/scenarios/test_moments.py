"""The state at any time is the fold of what was recorded up to that time, and nothing else."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold import Context, Flow, Retry, Runfold, collect
from runfold.flow.run import fold
from runfold.wire import run_state
from scenarios.scene import finished


def counting() -> Flow[Any, Any]:
    """A flow that changes its state in every way, in attempts that fail and side by side."""
    flow: Flow[Any, Any] = Flow("counting", state_cleanup=0.05)

    @flow.entry(emits=["n"])
    async def start(count: int, ctx: Context) -> None:
        await ctx.state.set("short", 1, ttl=0.02)
        await ctx.state.set("gone", 1)
        for n in range(count):
            ctx.emit("n", n)

    @flow.step(subscribes="n", emits=["done"], retry=Retry(3, base=0.005, jitter=0))
    async def work(n: int, ctx: Context) -> None:
        await ctx.state.add("sum", n)
        await ctx.state.append("seen", n)
        await ctx.state.delete("gone")
        ctx.progress(n)
        if n % 3 == 0 and ctx.attempt == 1:
            raise OSError("again")
        ctx.emit("done", n)

    @flow.step(subscribes=collect("done"), returns=True)
    async def end(done: list[int]) -> int:
        return len(done)

    return flow


@pytest.fixture
def recorded(url: str) -> Any:
    rf = Runfold(url, flows=[counting()])
    with rf.sync:
        run = rf.sync.start("counting", 7)
        assert run.result(timeout=10) == 7
        yield run, run.export()


@given(place=st.floats(-0.1, 1.5), at_event=st.integers(0, 80) | st.none())
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_state_at_any_moment_is_the_fold_of_the_prefix(
    recorded: Any, place: float, at_event: int | None
) -> None:
    run, capsule = recorded
    history = capsule.history
    first, last = history[0].ts, history[-1].ts
    at = first + (last - first) * place
    if at_event is not None:
        at = history[at_event % len(history)].ts
    prefix = [one for one in history if one.ts <= at]
    if not prefix:
        with pytest.raises(ValueError, match="did not exist"):
            run.state(at=at)
        return
    assert run.state(at=at) == run_state(fold(capsule.definition, prefix), at)
    version = prefix[-1].version
    by_version = run_state(fold(capsule.definition, prefix), prefix[-1].ts)
    assert run.state(version=version) == by_version


def test_a_state_of_the_past_never_changes(url: str) -> None:
    async def scenario() -> None:
        async with Runfold(url, flows=[counting()]) as rf:
            run = await finished(rf, "counting", 3)
            now = await run.state()
            assert now.finished_at is not None
            later = now.finished_at + timedelta(days=1)
            before = [await run.state(at=now.finished_at), await run.state(at=later)]
            await run.fork(at=2)
            await rf.run_until_idle()
            assert [await run.state(at=now.finished_at), await run.state(at=later)] == before

    asyncio.run(asyncio.wait_for(scenario(), 20))
