"""One seed, one schedule: in every process, whatever that does beside the simulation."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from runfold import Context, Flow
from runfold.runtime.bell import Bell
from runfold.runtime.node import Node
from runfold.testing import Simulation
from runfold.testing.simulation.loop import VirtualLoop
from runfold.testing.simulation.strands import Host, Strand

PROGRAM = Path(__file__).with_name("played.py")


def printed(cwd: Path, how: str, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        env={**os.environ, "DISTURBED": how, "PYTHONHASHSEED": hash_seed, "HOME": str(cwd)},
        cwd=cwd, capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    return printed(tmp_path_factory.mktemp("undisturbed"), "", "1")


@pytest.mark.parametrize("how", ["", "slow", "busy", "collects"])
def test_a_seed_gives_the_same_events_in_every_process(
    how: str, undisturbed: str, tmp_path: Path
) -> None:
    assert undisturbed.count("\n") > 300
    assert printed(tmp_path, how, "2") == undisturbed


def fan_out() -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("fan-out")

    @flow.entry(emits=["item"])
    async def spread(count: int, ctx: Context) -> None:
        for number in range(count):
            ctx.emit("item", number)

    @flow.step(subscribes="item")
    async def work(number: int, ctx: Context) -> None:
        await ctx.state.append("order", number)

    return flow


def order(seed: int) -> Any:
    with Simulation(fan_out(), seed=seed, processes=2) as sim:
        run = sim.start("fan-out", 12)
        sim.run_until_idle()
        return run.state.data["order"]


def test_another_seed_gives_another_order() -> None:
    assert len({str(order(seed)) for seed in range(5)}) == 5


def test_a_seed_keeps_its_order_when_the_engine_looks_for_work_more_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, start = [order(seed) for seed in range(5)], Node.start

    async def with_another_loop(node: Node) -> None:
        left = 5

        async def turn() -> bool:
            nonlocal left
            left -= 1
            return left > 0

        async def pause() -> float:
            return 0.1

        node.service.loop("another", turn, Bell(), pause)
        await start(node)

    monkeypatch.setattr(Node, "start", with_another_loop)
    assert [order(seed) for seed in range(5)] == before


def test_strands_keep_their_order_when_there_are_more() -> None:
    def took_turns(names: str) -> str:
        host, said = Host("host", 1), []
        loop = VirtualLoop(Host("outside", 1))
        loop.left = 1000

        def callback(name: str, left: int, context: Any) -> None:
            said.append(name)
            if left:
                loop.call_soon(callback, name, left - 1, context, context=context)

        for name in names:
            context = Strand(host, name).context()
            loop.call_soon(callback, name, 30, context, context=context)
        loop.run_forever()
        loop.unwind()
        loop.close()
        return "".join(said)

    both = took_turns("ab")
    assert both.count("a") == both.count("b") == 31
    assert 10 < sum(here != there for here, there in pairwise(both)) < 50
    assert took_turns("acb").replace("c", "") == both
    assert took_turns("cdab").replace("c", "").replace("d", "") == both


def test_a_generator_that_the_collector_finds_is_closed_at_the_end() -> None:
    closed: list[str] = []
    flow: Flow[Any, Any] = Flow("one")

    async def endless(name: str) -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(name)

    @flow.entry()
    async def leaves() -> None:
        async for _ in endless("at once"):
            break
        cycle: list[Any] = [endless("at the end")]
        cycle.append(cycle)
        await anext(cycle[0])

    with Simulation(flow) as sim:
        run = sim.start(flow)
        sim.run_until_idle()
        gc.collect()
        sim.advance(60)
        assert run.status == "completed"
        assert closed == ["at once"]
    assert closed == ["at once", "at the end"]
