"""A simulation runs flows as the engine does, in no time, and says what it cannot do."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runfold import Context, Flow, InvalidDefinition, Queue, RunFinished, SyncContext, after
from runfold.testing import Diverges, Same, Simulation, Stuck, histories, replay, stub


def of_one(handler: Any, **options: Any) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("one")
    flow.entry(**options)(handler)
    return flow


def test_an_async_handler_sleeps_in_virtual_time() -> None:
    async def nap() -> str:
        await asyncio.sleep(3600)
        return "rested"

    flow, began = of_one(nap), time.perf_counter()
    with Simulation(flow) as sim:
        run = sim.start(flow)
        assert (run.status, run.result) == ("running", None)
        before = sim.now
        sim.run_until_idle()
        assert (run.status, run.result) == ("completed", "rested")
        assert sim.now - before == timedelta(hours=1)
    assert time.perf_counter() - began < 2


def test_a_handler_may_time_out_in_virtual_time() -> None:
    async def waits() -> str:
        try:
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        except TimeoutError:
            return "gave up"
        return "never"

    flow = of_one(waits)
    with Simulation(flow) as sim:
        run = sim.start(flow)
        sim.run_until_idle()
        assert run.result == "gave up"


def test_a_sync_handler_asks_for_state_and_waits_for_events() -> None:
    def asks(given: int, ctx: SyncContext) -> list[Any]:
        ctx.state.add("count", given)
        return [ctx.state.get("count"), ctx.cancelled.wait(5), threading.Event().wait(30)]

    flow = of_one(asks)
    with Simulation(flow) as sim:
        run = sim.start(flow, 3)
        before = sim.now
        sim.run_until_idle()
        assert run.result == [3, False, False]
        assert sim.now - before == timedelta(seconds=35)
        assert run.state.data == {"count": 3}


def test_bounded_waits_of_the_library_go_by_the_virtual_clock() -> None:
    def waits() -> str:
        is_free = threading.Semaphore(0).acquire(timeout=30)
        try:
            return str(queue.Queue[str]().get(timeout=30))
        except queue.Empty:
            return f"empty, {is_free}"

    flow, began = of_one(waits), time.perf_counter()
    with Simulation(flow) as sim:
        run, before = sim.start(flow), sim.now
        sim.run_until_idle()
        assert (run.result, sim.now - before) == ("empty, False", timedelta(minutes=1))
    assert time.perf_counter() - began < 5


def test_a_delay_of_a_month_takes_no_time_and_is_exact() -> None:
    async def due(_: None, ctx: Context) -> Any:
        return ctx.due_at

    flow = of_one(due)
    with Simulation(flow) as sim:
        run = sim.start(flow, delay=timedelta(days=30))
        began = sim.now
        sim.run_until_idle()
        assert run.status == "scheduled"
        sim.advance(days=29, hours=23, minutes=59, seconds=59)
        assert run.status == "scheduled"
        sim.advance(seconds=1)
        sim.run_until_idle()
        assert run.status == "completed"
        fired = next(event.ts for event in run.events if event.type == "timer.due")
        assert timedelta() <= fired - began - timedelta(days=30) < timedelta(seconds=0.001)


def test_retries_pass_by_themselves_and_are_counted() -> None:
    async def shaky(_: None, ctx: Context) -> int:
        if ctx.attempt < 3:
            raise ValueError("not yet")
        return ctx.attempt

    flow = of_one(shaky, retry=3)
    with Simulation(flow) as sim:
        run = sim.start(flow)
        sim.run_until_idle()
        assert run.result == 3
        assert [(call.attempt, call.outcome) for call in sim.calls("shaky")] == [
            (1, "errored"), (2, "errored"), (3, "completed"),
        ]  # fmt: skip
        error = sim.calls(shaky)[0].error
        assert error is not None
        assert error.message == "not yet"


def test_a_run_that_fails_says_why() -> None:
    async def broken() -> None:
        raise ValueError("no stock")

    flow = of_one(broken, retry=1)
    with Simulation(flow) as sim:
        run = sim.start(flow)
        sim.run_until_idle()
        assert run.status == "failed"
        assert run.result is None
        assert run.error is not None
        assert run.error.message == "no stock"


def test_what_a_simulation_has_found_becomes_a_recorded_history(tmp_path: Path) -> None:
    async def double(number: int) -> int:
        return 2 * number

    async def fails(number: int) -> int:
        raise ValueError(number)

    flow = of_one(double)
    with Simulation(flow) as sim:
        run = sim.start(flow, 3)
        sim.run_until_idle()
        run.export().save(tmp_path / "three.capsule")
    (history,) = histories(tmp_path)
    assert (str(history), history.capsule.run_id) == ("three", run.id)
    assert replay(history, flow) == Same()
    other: Flow[Any, Any] = Flow("one")
    first = other.entry("double")(double)
    other.step(subscribes=after(first))(fails)
    assert isinstance(replay(history, other), Diverges)


def test_jobs_run_too() -> None:
    queue = Queue("mail")

    @queue.job()
    def send(to: str) -> str:
        return f"sent to {to}"

    with Simulation(queue) as sim:
        run = sim.start(send, "ada")
        sim.run_until_idle()
        assert run.result == "sent to ada"
        assert [call.input for call in sim.calls(send)] == ["ada"]


def two_steps() -> tuple[Flow[Any, Any], Any, Any]:
    flow: Flow[Any, Any] = Flow("two")

    @flow.entry()
    async def charge(amount: int) -> int:
        raise AssertionError("the real one must not be called")

    @flow.step(subscribes=after(charge))
    async def ship(paid: int) -> str:
        return f"shipped for {paid}"

    return flow, charge, ship


@pytest.mark.parametrize("named", [False, True])
def test_a_stub_takes_the_place_of_a_handler(named: bool) -> None:
    flow, charge, _ = two_steps()

    def fake(amount: int) -> int:
        return amount * 2

    with Simulation(flow, stubs=[stub("two/charge" if named else charge, fake)]) as sim:
        run = sim.start(flow, 21)
        sim.run_until_idle()
        assert run.result == "shipped for 42"


def test_a_stub_must_fit_what_the_step_declares() -> None:
    flow, charge, _ = two_steps()

    def fake(amount: str) -> int:
        return 1

    async def fake_result(amount: int) -> str:
        return ""

    with pytest.raises(InvalidDefinition, match=r"takes str, the step takes int"):
        Simulation(flow, stubs=[stub(charge, fake)])
    with pytest.raises(InvalidDefinition, match=r"returns str, the step returns int"):
        Simulation(flow, stubs=[stub(charge, fake_result)])
    with pytest.raises(InvalidDefinition, match="is for no step"):
        Simulation(flow, stubs=[stub("pay", fake_result)])


def test_until_stops_where_it_was_asked_to() -> None:
    flow, charge, ship = two_steps()
    with Simulation(flow, stubs=[stub(charge, lambda amount: amount)]) as sim:
        run = sim.start(flow, 1)
        sim.until(charge)
        assert [event.type for event in run.events if event.step_name == "charge"][-1] == (
            "step.completed"
        )
        assert sim.calls(ship) == []
        sim.until("ship", "started")
        run.cancel("enough")
        sim.run_until_idle()
        assert run.status == "cancelled"
        with pytest.raises(RunFinished):
            run.cancel()


def test_pause_and_resume() -> None:
    flow, charge, _ = two_steps()
    with Simulation(flow, stubs=[stub(charge, lambda amount: amount)]) as sim:
        run = sim.start(flow, 1)
        run.pause()
        sim.advance(days=3)
        assert (run.status, sim.calls()) == ("paused", [])
        run.resume()
        sim.run_until_idle()
        assert run.status == "completed"


def test_a_handler_that_waits_for_nothing_is_named() -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    flow = of_one(hangs)
    with Simulation(flow) as sim:
        run = sim.start(flow)
        with pytest.raises(Stuck, match=rf"{run.id}.*\n.*\n.*'hangs', attempt 1, has not returned"):
            sim.run_until_idle()


def test_a_handler_that_spins_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def spins() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    monkeypatch.setattr("runfold.testing.simulation.simulation.STEPS_MAX", 5000)
    flow = of_one(spins)
    with Simulation(flow) as sim:
        sim.start(flow)
        with pytest.raises(Stuck, match="5000 callbacks ran and recorded nothing"):
            sim.run_until_idle()


def test_what_cannot_happen_is_not_waited_for() -> None:
    flow, charge, _ = two_steps()
    with Simulation(flow, stubs=[stub(charge, lambda amount: amount)]) as sim:
        with pytest.raises(Stuck, match="no run"):
            sim.until("ship")
        with pytest.raises(ValueError, match="no step of this simulation"):
            sim.until("sail")


def test_it_works_inside_a_running_loop() -> None:
    async def test() -> Any:
        flow, charge, _ = two_steps()
        with Simulation(flow, stubs=[stub(charge, lambda amount: amount)]) as sim:
            run = sim.start(flow, 5)
            sim.run_until_idle()
            return run.result

    assert asyncio.run(test()) == "shipped for 5"


def test_several_processes_share_the_work() -> None:
    queue = Queue("work")

    @queue.job()
    async def work(number: int) -> int:
        await asyncio.sleep(1)
        return number

    with Simulation(queue, processes=3) as sim:
        runs = [sim.start(work, number) for number in range(60)]
        sim.run_until_idle()
        assert [run.result for run in runs] == list(range(60))
        assert len({call.worker for call in sim.calls()}) == 3
