"""Faults come from the seed, are told one by one, and can be played again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runfold import Context, Flow, Queue
from runfold.testing import Fault, Faults, Simulation

EVERYTHING = Faults(
    crash_worker=0.1, crash_commit=0.03, crash_dispatcher=0.02, freeze_dispatcher=0.02,
    repeat_delivery=0.03, end_lease=0.05, slow_step=0.1, slow_store=0.1, fail_store=0.03,
    lose_answer=0.05, conflict=0.05, lose_ring=0.2, delay_ring=0.2, repeat_ring=0.2,
    jump_clock=0.005, restart_all=0.005,
)  # fmt: skip


def work(seconds: float = 1.0, **options: Any) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("work")

    @flow.entry(**options)
    async def handler(number: int) -> int:
        await asyncio.sleep(seconds)
        return number

    return flow


def history(faults: Any, seed: int = 5) -> tuple[list[Any], list[Fault]]:
    flow = work(retry=5)
    with Simulation(flow, seed=seed, faults=faults, processes=2) as sim:
        runs = [sim.start(flow, number) for number in range(5)]
        sim.run_until_idle()
        assert [run.result for run in runs] == list(range(5))
        return [event.json() for run in runs for event in run.events], sim.faults


def test_what_went_wrong_can_be_played_again() -> None:
    events, faults = history(EVERYTHING)
    assert len(faults) > 10
    assert history(EVERYTHING) == (events, faults)
    assert history(faults) == (events, faults)
    assert history(EVERYTHING, seed=6)[1] != faults


def test_single_faults_can_be_left_out() -> None:
    _, faults = history(EVERYTHING)
    without = [fault for fault in faults if fault.kind != "crash_worker"]
    assert len(without) < len(faults)
    assert {fault.kind for fault in history(without)[1]} <= {fault.kind for fault in without}
    assert history([])[1] == []
    assert history([])[0] == history(None)[0]


@pytest.mark.parametrize("amount", [0.1, 0.34, 0.6, 0.99])
def test_a_worker_that_crashes_around_a_handler_costs_an_attempt(amount: float) -> None:
    flow = work(60.0)
    with Simulation(flow) as sim:
        sim.advance(seconds=1)
        sim.inject("crash_worker", amount)
        run = sim.start(flow, 7)
        sim.run_until_idle()
        assert run.result == 7
        assert [fault.kind for fault in sim.faults] == ["crash_worker"]
        assert "step.stalled" in [event.type for event in run.events]
        assert run.state.attempt == 2


@pytest.mark.parametrize("amount", [0.2, 0.8])
def test_a_crash_around_a_commit_loses_nothing(amount: float) -> None:
    flow = work()
    with Simulation(flow) as sim:
        run = sim.start(flow, 7)
        sim.until("handler", "started")
        sim.inject("crash_commit", amount)
        sim.run_until_idle()
        assert run.result == 7
        assert [event.type for event in run.events].count("step.completed") == 1
        assert sim.faults[0].kind == "crash_commit"


def test_a_lost_answer_repeats_nothing() -> None:
    flow = work()
    with Simulation(flow) as sim:
        run = sim.start(flow, 7)
        sim.inject("lose_answer", times=5)
        sim.run_until_idle()
        types = [event.type for event in run.events]
        assert types == [
            "flow.start", "step.scheduled", "step.started", "step.completed", "flow.completed"
        ]  # fmt: skip
        assert len(sim.faults) == 5


def test_what_a_worker_without_lease_did_is_not_recorded() -> None:
    flow = work(100.0)
    with Simulation(flow, processes=2) as sim:
        run = sim.start(flow, 7)
        sim.until("handler", "started")
        sim.end_lease(int(run.events[-1].data["worker"][-1]))
        sim.run_until_idle()
        assert run.result == 7
        assert "step.stalled" in [event.type for event in run.events]
        assert [event.type for event in run.events].count("step.completed") == 1


def test_a_zombie_completes_what_others_have_taken_and_is_refused() -> None:
    flow = work(3.0, retry=5)
    with Simulation(flow, processes=2) as sim:
        run = sim.start(flow, 7)
        sim.advance(seconds=1)
        (call,) = sim.calls("handler")
        sim.end_lease(int(call.worker[-1]))
        sim.run_until_idle()
        assert [(one.attempt, one.outcome) for one in sim.calls()] == [
            (1, "completed"),
            (2, "completed"),
        ]
        assert [event.attempt for event in run.events if event.type == "step.completed"] == [2]
        assert "step.stalled" in [event.type for event in run.events]


def test_another_process_takes_over_from_one_that_never_returns() -> None:
    flow = work(10.0)
    with Simulation(flow, processes=2) as sim:
        runs = [sim.start(flow, number) for number in range(20)]
        sim.advance(seconds=5)
        sim.crash(1, restart_after=None)
        sim.run_until_idle()
        assert [run.result for run in runs] == list(range(20))


def test_a_frozen_process_goes_on_where_it_was() -> None:
    flow = work(10.0)
    with Simulation(flow) as sim:
        run = sim.start(flow, 7)
        sim.advance(seconds=5)
        sim.freeze(seconds=10)
        sim.advance(seconds=9)
        assert run.status == "running"
        sim.run_until_idle()
        assert (run.result, run.state.attempt) == (7, 1)


def test_the_clock_may_jump_both_ways() -> None:
    flow = work()
    with Simulation(flow) as sim:
        run = sim.start(flow, 7, delay=3600)
        sim.jump_clock(3600)
        sim.advance(seconds=10)
        assert run.status == "completed"
        sim.jump_clock(-7200)
        later = sim.start(flow, 8)
        sim.run_until_idle()
        assert later.result == 8
        assert later.events[0].ts >= run.events[-1].ts


def test_everything_may_die_at_once() -> None:
    flow = work(10.0)
    with Simulation(flow, processes=3) as sim:
        runs = [sim.start(flow, number) for number in range(9)]
        sim.advance(seconds=5)
        sim.restart(after=3)
        sim.run_until_idle()
        assert [run.result for run in runs] == list(range(9))


def test_no_fault_takes_the_last_attempt_unless_told_to() -> None:
    queue = Queue("once")

    @queue.job(retry=1)
    async def once(number: int) -> int:
        await asyncio.sleep(1)
        return number

    always = Faults(crash_worker=1.0, end_lease=1.0, crash_commit=0.2, restart_all=0.2)
    with Simulation(queue, faults=always) as sim:
        run = sim.start(once, 1)
        sim.run_until_idle()
        assert run.result == 1
    with Simulation(
        queue, faults=Faults(crash_worker=1.0, spare_last_attempt=False), seed=2
    ) as sim:
        sim.advance(seconds=1)
        run = sim.start(once, 1)
        sim.run_until_idle()
        assert run.error is not None
        assert run.error.code == "STALLED"


def test_plans_and_faults_are_checked() -> None:
    with pytest.raises(ValueError, match=r"crash_worker is 2, expected a probability"):
        Faults(crash_worker=2)
    with pytest.raises(ValueError, match=r"kind is 'rain', expected one of crash_worker"):
        Fault("rain", 1, 0.5)
    with Simulation(work()) as sim:
        with pytest.raises(ValueError, match="there is no fault 'rain'"):
            sim.inject("rain")
        with pytest.raises(ValueError, match="process is 2, expected a whole number from 1 to 1"):
            sim.crash(2)
    assert Faults.none() == Faults()
    assert Faults.default().crash_worker > 0


@pytest.mark.parametrize("seed", range(5))
def test_who_appends_and_never_rings_costs_seconds(seed: int) -> None:
    flow: Flow[Any, Any] = Flow("relay")

    @flow.entry(emits="next")
    async def first(number: int, ctx: Context) -> None:
        await asyncio.sleep(1)
        ctx.emit("next", number)

    @flow.step(subscribes="next")
    async def second(number: int) -> int:
        await asyncio.sleep(1)
        return number + 1

    with Simulation(flow, seed=seed, faults=Faults(lose_ring=1.0), processes=3) as sim:
        runs = [sim.start(flow, number) for number in range(9)]
        sim.advance(seconds=30)
        assert [run.result for run in runs] == list(range(1, 10))
