"""What the tables of a simulation are: a database of its own, by the simulation's clock."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, OperationalError

from runfold import Context, Flow, SyncContext
from runfold.errors import RunfoldError
from runfold.testing import Faults, RealWorld, Simulation, assert_deterministic
from runfold.testing.determinism import NotDeterministic
from simulation.paying import AGAIN, PAYMENTS, amounts, attempts, create, paid, paying, paying_sync


def test_its_clock_is_the_simulations_and_its_chance_the_seeds() -> None:
    flow: Flow[Any, list[Any]] = Flow("clock")
    asked = (
        "SELECT CURRENT_TIMESTAMP, date('now', '+1 day'), strftime('%H', 'now'), "
        "datetime('2001-01-01'), random(), hex(randomblob(4))"
    )

    @flow.entry()
    def ask(_: Any, ctx: SyncContext) -> list[Any]:
        with ctx.transaction() as connection:
            return list(connection.execute(text(asked)).one())

    found = []
    for seed in (1, 1, 2):
        with Simulation(flow, tables=create, seed=seed) as sim:
            sim.advance(hours=5)
            run = sim.start(flow)
            sim.run_until_idle()
            assert run.result is not None
            found.append(run.result)
    assert found[0][:4] == ["2030-01-01 05:00:00", "2030-01-02", "05", "2001-01-01 00:00:00"]
    assert found[0] == found[1]
    assert found[0][4:] != found[2][4:]


def family(connection: Connection) -> None:
    """Create tables with references that are checked at once, and at the commit."""
    connection.exec_driver_sql("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
    for name, when in (("children", ""), ("wards", "DEFERRABLE INITIALLY DEFERRED")):
        connection.exec_driver_sql(
            f"CREATE TABLE {name} (parent INTEGER REFERENCES parents (id) {when})"
        )


@pytest.mark.parametrize("table", ["children", "wards"])
def test_references_hold_at_the_latest_at_the_commit(table: str) -> None:
    flow: Flow[Any, None] = Flow("family")

    @flow.entry(retry=1)
    async def write(_: Any, ctx: Context) -> None:
        async with ctx.transaction() as connection:
            await connection.execute(text(f"INSERT INTO {table} VALUES (7)"))

    with Simulation(flow, tables=family) as sim:
        run = sim.start(flow)
        sim.run_until_idle()
        assert run.status == "failed"
        assert "FOREIGN KEY constraint failed" in str(run.error)
        assert attempts(run) == ["step.errored"]
        with sim.connect() as connection:
            assert connection.exec_driver_sql(f"SELECT * FROM {table}").all() == []


def test_a_handler_that_commits_by_itself_fails_for_good() -> None:
    flow: Flow[Any, None] = Flow("hasty")

    @flow.entry(retry=AGAIN)
    async def write(_: Any, ctx: Context) -> None:
        async with ctx.transaction() as connection:
            await connection.commit()

    with Simulation(flow, tables=create) as sim:
        run = sim.start(flow)
        sim.run_until_idle()
        assert "committed or rolled back the transaction itself" in str(run.error)
        assert attempts(run) == ["step.errored"]


def in_a_process(_: Any, ctx: SyncContext) -> None:
    with ctx.transaction():
        pass


def test_a_process_of_its_own_has_none() -> None:
    flow: Flow[Any, Any] = Flow("apart")
    flow.entry("pay", process=True, retry=1)(in_a_process)
    with Simulation(flow, tables=create) as sim:
        run = sim.start(flow)
        sim.run_until_idle()
        assert "not there in a process of its own" in str(run.error)


def test_nothing_is_left_of_it() -> None:
    with Simulation(paying(), tables=create) as sim:
        sim.start("paying", 7)
        sim.advance(5)
        with sim.connect() as connection:
            path = Path(connection.exec_driver_sql("PRAGMA database_list").one()[2])
        assert path.exists()
    assert not path.parent.exists()
    del connection
    gc.collect()  # No connection is left open, which would warn.


# The test's own side.


def test_the_test_writes_too() -> None:
    with Simulation(paying_sync(), tables=create) as sim:
        with sim.connect() as connection:
            connection.execute(PAYMENTS.insert(), {"id": "mine", "amount": 1})
        rows = [{"id": "other", "amount": 2}, {"id": "mine", "amount": 2}]
        with pytest.raises(IntegrityError), sim.connect() as connection:
            connection.execute(PAYMENTS.insert(), rows)
        assert paid(sim) == [1]


def test_time_does_not_pass_in_its_block() -> None:
    with Simulation(paying_sync(), tables=create) as sim:
        with sim.connect(), pytest.raises(RunfoldError, match="leave the block"):
            sim.run_until_idle()
        with sim.connect(), pytest.raises(RunfoldError, match="in another one"), sim.connect():
            pass
        sim.run_until_idle()
    with pytest.raises(RunfoldError, match="not entered"):
        sim.connect()


@pytest.mark.parametrize("flow", [paying, paying_sync])
def test_without_tables_it_says_what_to_do(flow: Any) -> None:
    with Simulation(target := flow()) as sim:
        sim.start(target, 7)
        with pytest.raises(RealWorld, match=r"paying\.py:\d+; .*tables=metadata.create_all"):
            sim.run_until_idle()
        with pytest.raises(RunfoldError, match="tables="):
            sim.connect()


async def later(connection: Any) -> None:
    pass


@pytest.mark.parametrize("tables", [later, "CREATE TABLE"])
def test_tables_are_created_by_a_function(tables: Any) -> None:
    with pytest.raises(ValueError, match="expected a function"), Simulation(tables=tables):
        pass


def test_a_block_may_commit_by_itself() -> None:
    def committed(connection: Connection) -> None:
        create(connection)
        connection.commit()

    with Simulation(paying_sync(), tables=committed) as sim:
        with sim.connect() as connection:
            connection.execute(PAYMENTS.insert(), {"id": "mine", "amount": 1})
            connection.commit()
        assert paid(sim) == [1]


def test_tables_that_cannot_be_created_begin_nothing() -> None:
    def broken(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE (")

    sim = Simulation(paying(), tables=broken)
    for _ in range(2):
        with pytest.raises(OperationalError), sim:
            pass


# assert_deterministic.


def test_every_schedule_has_tables_of_its_own() -> None:
    outcome = assert_deterministic(paying_sync(), 7, tables=create, rows=amounts)
    assert outcome.rows == [7, 7]


def test_rows_that_depend_on_the_schedule_are_found() -> None:
    flow: Flow[int, None] = Flow("counted", input=int)

    @flow.entry(retry=AGAIN)
    def pay(amount: int, ctx: SyncContext) -> None:
        with ctx.transaction() as connection:
            row = {"id": str(ctx.attempt), "amount": ctx.attempt}
            connection.execute(PAYMENTS.insert(), row)

    with pytest.raises(NotDeterministic, match=r"rows: \[1\] or \[2\]"):
        assert_deterministic(
            flow, 7, tables=create, rows=amounts, faults=Faults(crash_worker=0.5), schedules=20
        )


def test_rows_without_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="tables="):
        assert_deterministic(paying_sync(), 7, rows=amounts)
