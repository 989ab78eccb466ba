"""``ctx.transaction()`` in a simulation: rows and the completion are one commit, whatever fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from runfold import Context, Flow, Settings, SyncContext
from runfold.define.context import AttemptEnded
from runfold.testing import Faults, Simulation
from simulation.paying import AGAIN, PAYMENTS, attempts, create, paid, paying, paying_sync


def test_rows_are_there_when_the_attempt_completed_and_not_before() -> None:
    with Simulation(paying(), tables=create) as sim:
        run = sim.start("paying", 7)
        sim.advance(5)
        assert (run.status, paid(sim)) == ("running", [])
        sim.run_until_idle()
        assert (run.result, paid(sim)) == ("attempt 1", [7, 7])


def test_a_def_has_a_blocking_connection() -> None:
    with Simulation(paying_sync(), tables=create) as sim:
        run = sim.start("paying_sync", 7)
        sim.run_until_idle()
        assert (run.result, paid(sim)) == ("attempt 1", [7, 7])


def test_an_orm_session_and_a_stream_work_over_it() -> None:
    flow: Flow[int, list[int]] = Flow("orm", input=int)

    @flow.entry()
    async def write(amount: int, ctx: Context) -> list[int]:
        async with ctx.transaction() as connection:
            async with AsyncSession(bind=connection) as session:
                await session.execute(PAYMENTS.insert(), {"id": "a", "amount": amount})
                await session.commit()
            rows = await connection.stream(PAYMENTS.select())
            return [row.amount async for row in rows]

    with Simulation(flow, tables=create) as sim:
        run = sim.start(flow, 7)
        sim.run_until_idle()
        assert (run.result, paid(sim)) == ([7], [7])


def test_an_attempt_that_fails_leaves_nothing() -> None:
    left = [ValueError("in the block"), None]

    def fail_once() -> None:
        if (error := left.pop(0)) is not None:
            raise error

    with Simulation(paying(fail_once), tables=create) as sim:
        run = sim.start("paying", 7)
        sim.run_until_idle()
        assert (run.result, paid(sim)) == ("attempt 2", [7, 7])


# Faults.


@pytest.mark.parametrize("flow", [paying, paying_sync])
@pytest.mark.parametrize(
    ("amount", "ends"), [(0.1, ["step.stalled", "step.completed"]), (0.9, ["step.completed"])]
)
def test_its_process_dies_before_or_after_the_commit(
    flow: Any, amount: float, ends: list[str]
) -> None:
    todo = [lambda: sim.inject("crash_commit", amount)]
    target = flow(lambda: todo and todo.pop()())
    with Simulation(target, tables=create) as sim:
        run = sim.start(target, 7)
        sim.run_until_idle()
        assert (attempts(run), paid(sim)) == (ends, [7, 7])


def test_its_process_dies_in_the_middle_of_the_block() -> None:
    with Simulation(paying(), tables=create) as sim:
        run = sim.start("paying", 7)
        sim.advance(5)
        sim.crash()
        sim.run_until_idle()
        assert (attempts(run), paid(sim)) == (["step.stalled", "step.completed"], [7, 7])


def test_the_answer_to_the_commit_is_lost() -> None:
    with Simulation(paying(), tables=create) as sim:
        run = sim.start("paying", 7)
        sim.advance(9)
        sim.inject("lose_answer")
        sim.run_until_idle()
        assert [fault.kind for fault in sim.faults] == ["lose_answer"]
        assert (attempts(run), paid(sim)) == (["step.completed"], [7, 7])


@pytest.mark.parametrize("swallows", [False, True])
def test_the_connection_is_lost_at_a_statement(swallows: bool) -> None:
    flow: Flow[int, str] = Flow("losing", input=int)
    seen = []

    @flow.entry(retry=AGAIN)
    async def pay(amount: int, ctx: Context) -> str:
        async with ctx.transaction() as connection:
            await connection.execute(PAYMENTS.insert(), {"id": "a", "amount": amount})
            if ctx.attempt == 1:
                await asyncio.sleep(1.234)  # Until no part of the engine asks the store.
                sim.inject("fail_store")
            try:
                await connection.execute(PAYMENTS.insert(), {"id": "b", "amount": amount})
            except OperationalError as error:
                seen.append(error)
                if not swallows:
                    raise
        return f"attempt {ctx.attempt}"

    with Simulation(flow, tables=create) as sim:
        run = sim.start(flow, 7)
        sim.run_until_idle()
        assert "cannot be reached" in str(seen[0])
        assert (attempts(run), paid(sim)) == (["step.errored", "step.completed"], [7, 7])


def test_who_has_lost_the_lease_writes_nothing() -> None:
    with Simulation(paying(), tables=create, processes=2) as sim:
        run = sim.start("paying", 7)
        sim.advance(5)
        worker = int(sim.calls("pay")[0].worker.removeprefix("process-"))
        sim.freeze(worker, seconds=60)
        sim.run_until_idle()
        sim.advance(100)  # The frozen one goes on, and is refused.
        assert (attempts(run), paid(sim)) == (["step.stalled", "step.completed"], [7, 7])
        assert run.result == "attempt 2"


def test_a_zombie_that_completes_before_it_knows_is_refused() -> None:
    with Simulation(paying(), tables=create, processes=2) as sim:
        run = sim.start("paying", 7)
        sim.advance(9.5)
        sim.end_lease(int(sim.calls("pay")[0].worker.removeprefix("process-")))
        sim.advance(0.5)  # Half a second later it would learn of it.
        assert sim.calls("pay")[0].outcome == "completed"
        assert ("step.completed" in attempts(run), paid(sim)) == (False, [])
        sim.run_until_idle()
        assert (attempts(run), paid(sim)) == (["step.stalled", "step.completed"], [7, 7])


def test_one_transaction_is_open_at_a_time() -> None:
    with Simulation(paying(), tables=create) as sim:
        runs = [sim.start("paying", amount) for amount in (1, 2, 3)]
        sim.advance(15)
        assert len(paid(sim)) == 2
        sim.advance(10)
        assert len(paid(sim)) == 4
        sim.run_until_idle()
        assert {run.status for run in runs} == {"completed"}


def test_who_waits_for_its_turn_and_is_cancelled_lets_others_pass() -> None:
    with Simulation(paying(), tables=create, settings=Settings(grace=0)) as sim:
        runs = [sim.start("paying", amount) for amount in (1, 2, 3)]
        sim.advance(5)
        waiting = [run for run in runs if run.status == "running"]
        waiting[1].cancel()
        sim.run_until_idle()
        assert len(paid(sim)) == 4


def test_who_is_too_late_while_it_waits_for_its_turn_gets_none() -> None:
    late: Flow[int, None] = Flow("late", input=int)
    told: list[Exception] = []

    @late.entry(retry=1, timeout=3)
    def wait(amount: int, ctx: SyncContext) -> None:
        try:
            with ctx.transaction():
                pass
        except Exception as error:
            told.append(error)
            raise

    with Simulation(paying(), late, tables=create) as sim:
        first = sim.start("paying", 7)
        sim.advance(1)
        run = sim.start(late, 1)
        sim.run_until_idle()
        assert (first.status, paid(sim)) == ("completed", [7, 7])
        assert run.error is not None
        assert (run.error.code, [type(error) for error in told]) == ("JOB_TIMEOUT", [AttemptEnded])
        sim.start("paying", 8)
        sim.run_until_idle()
        assert paid(sim) == [7, 7, 8, 8]


@pytest.mark.parametrize("processes", [1, 2])
def test_each_is_written_once_whatever_dies(processes: int) -> None:
    plan = Faults(
        crash_worker=0.1, crash_commit=0.05, end_lease=0.1, fail_store=0.1, slow_store=0.1,
        lose_answer=0.1, freeze_dispatcher=0.03, restart_all=0.02,
    )  # fmt: skip
    flows = paying(), paying_sync()
    for seed in range(12):
        with Simulation(*flows, tables=create, seed=seed, processes=processes, faults=plan) as sim:
            runs = [sim.start(flow, number) for number in (1, 2) for flow in flows]
            sim.run_until_idle()
            assert {run.status for run in runs} == {"completed"}, (seed, sim.faults)
            assert paid(sim) == [1] * 4 + [2] * 4, (seed, sim.faults)


def test_it_can_be_played_again() -> None:
    plan = Faults(crash_worker=0.2, lose_answer=0.2, fail_store=0.2)

    def played(faults: Any) -> tuple[Any, ...]:
        with Simulation(flow, tables=create, seed=5, processes=2, faults=faults) as sim:
            runs = [sim.start(flow, number) for number in range(5)]
            sim.run_until_idle()
            rows = sim.connect()
            with rows as connection:
                written = connection.execute(PAYMENTS.select()).all()
            return sim.faults, [run.events for run in runs], written

    flow = paying_sync()
    first = played(plan)
    assert first[0]
    assert played(first[0]) == first
