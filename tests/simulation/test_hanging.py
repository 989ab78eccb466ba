"""A handler that keeps the turn is named by its line; so is whoever goes on for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runfold import Context, Flow, RateLimited, SyncContext
from runfold.testing import Hung, Simulation, Stuck
from runfold.testing.simulation import hanging, simulation

LOCK, BEGAN = threading.Lock(), threading.Event()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hanging, "PATIENCE", 0.2)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Have Ctrl-C do what it does: in the background of a shell it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def of_one(handler: Callable[..., Any]) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("one")
    flow.entry()(handler)
    return flow


async def loops(_: int) -> None:
    BEGAN.set()
    while True:
        pass


def loops_in_a_thread(_: int) -> None:
    BEGAN.set()
    while True:
        pass


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("handler", [loops, loops_in_a_thread])
def test_a_handler_that_loops_is_named_and_ended(handler: Callable[..., Any]) -> None:
    flow, before = of_one(handler), threading.active_count()
    with Simulation(flow) as sim:
        sim.start(flow, 1)
        with pytest.raises(Hung, match=rf"{__file__}:\d+: it loops, or waits"):
            sim.run_until_idle()
        with pytest.raises(Hung):  # It cannot go on.
            sim.advance(1)
    assert threading.active_count() == before


@pytest.mark.usefixtures("impatient")
def test_a_lock_that_is_kept_across_a_call_of_ctx_is_named() -> None:
    flow: Flow[Any, Any] = Flow("locked")

    @flow.entry(emits=["item"])
    async def split(count: int, ctx: Context) -> None:
        for number in range(count):
            ctx.emit("item", number)

    @flow.step(subscribes="item")
    def locks(_: int, ctx: SyncContext) -> None:
        with LOCK:
            ctx.state.set("count", ctx.state.get("count", 0) + 1)

    with Simulation(flow) as sim:
        sim.start(flow, 3)
        with pytest.raises(Hung, match=rf"{__file__}:\d+: .* a lock that is kept across a call"):
            sim.run_until_idle()
    assert not LOCK.locked()


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("handler", [loops, loops_in_a_thread])
def test_who_is_interrupted_is_let_go(
    handler: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold.testing.simulation.stage.STOP_SECONDS", 0.5)
    flow = of_one(handler)
    BEGAN.clear()

    def interrupt() -> None:
        BEGAN.wait()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with Simulation(flow) as sim:
        sim.start(flow, 1)
        with pytest.raises(KeyboardInterrupt):
            sim.run_until_idle()
    assert not [one.name for one in threading.enumerate() if "simulat" in one.name]


async def _logs(_: int, ctx: Context) -> None:
    while True:
        ctx.log.info("still there")
        await asyncio.sleep(1)


async def _is_never_charged(_: int) -> None:
    raise RateLimited(retry_after=1)


@pytest.mark.parametrize("handler", [_logs, _is_never_charged])
def test_who_records_for_ever_is_stuck(
    handler: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "EVENTS_MAX", 500)
    flow, began = of_one(handler), time.perf_counter()
    with Simulation(flow) as sim:
        run = sim.start(flow, 1)
        with pytest.raises(Stuck, match="500 events were recorded in one call, and it goes on"):
            sim.run_until_idle()
        assert run.status == "running"
    assert time.perf_counter() - began < 5
