"""Starting a run inside the caller's own transaction, on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg
import pytest

from runfold import (
    Flow,
    InvalidInput,
    PayloadTooLarge,
    RunFailed,
    Runfold,
    RunNotFound,
    Settings,
    UnknownTarget,
)
from scenarios.callers import ON_POSTGRES, BlockingCaller
from scenarios.scene import finished, history, scenario
from store.inbox_callers import CALLERS, Caller, asyncpg_connection

READ_COMMITTED = "READ COMMITTED"
every_caller = pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.__name__)


class RolledBack(Exception):
    """What a caller raises to roll back."""


@pytest.fixture(autouse=True)
def _django_beside_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


def orders() -> Flow[int, Any]:
    flow: Flow[int, Any] = Flow("orders", input=int)

    @flow.entry()
    async def ship(order: int) -> int:
        return order

    return flow


async def head(rf: Runfold) -> int:
    last = 0
    async for event in rf.events():
        last = event.id
    return last


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
@every_caller
@scenario
async def test_a_run_starts_when_its_callers_transaction_commits(
    postgres_url: str, caller: Caller, level: str
) -> None:
    async with Runfold(postgres_url, flows=[orders()]) as rf:
        async with caller(postgres_url, level) as connection:
            run = await rf.start("orders", 7, connection=connection, tags=["mine"])
            waiting = asyncio.create_task(run.result(timeout=10))
            # The transaction is open, however long: everybody else's work goes on.
            await finished(rf, "orders", 1)
            await rf.run_until_idle()
            with pytest.raises(RunNotFound, match="not committed"):
                await run.status()
            with pytest.raises(TimeoutError):
                await run.result(timeout=0)
            assert len((await rf.runs.list()).items) == 1
            assert not waiting.done()
        assert await waiting == 7
        assert (await run.state()).tags == ["mine"]
        assert (await rf.get(run.id)).id == run.id


@every_caller
@scenario
async def test_a_run_whose_transaction_is_rolled_back_never_was(
    postgres_url: str, caller: Caller
) -> None:
    async with Runfold(postgres_url, flows=[orders()]) as rf:
        await finished(rf, "orders", 1)
        before = await head(rf)
        with suppress(RolledBack):
            async with caller(postgres_url, READ_COMMITTED) as connection:
                lost = await rf.start("orders", 7, key="k", connection=connection)
                raise RolledBack
        await rf.run_until_idle()
        assert await head(rf) == before
        with pytest.raises(RunNotFound):
            await rf.get(lost.id)
        # The key is free: nothing has ever happened.
        assert await (await finished(rf, "orders", 8, key="k")).result() == 8


@every_caller
@scenario
async def test_many_runs_start_with_one_transaction(postgres_url: str, caller: Caller) -> None:
    async with Runfold(postgres_url, flows=[orders()]) as rf:
        async with caller(postgres_url, READ_COMMITTED) as connection:
            runs = await rf.start_many("orders", list(range(500)), connection=connection)
        assert [await run.result(timeout=10) for run in runs] == list(range(500))


@scenario
async def test_one_key_in_two_transactions_is_one_run(postgres_url: str) -> None:
    async with Runfold(postgres_url, flows=[orders()]) as rf:
        async with (
            asyncpg_connection(postgres_url, READ_COMMITTED) as one,
            asyncpg_connection(postgres_url, READ_COMMITTED) as other,
        ):
            first = await rf.start("orders", 1, key="k", connection=one)
            second = await rf.start("orders", 2, key="k", connection=other)
        assert first.id == second.id
        assert await first.result(timeout=10) == await second.result(timeout=10)
        await rf.run_until_idle()
        assert len((await rf.runs.list()).items) == 1
        async with asyncpg_connection(postgres_url, READ_COMMITTED) as late:
            third = await rf.start("orders", 3, key="k", connection=late)
            assert await third.result(timeout=10) == await first.result()


@scenario
async def test_options_hold_in_a_transaction_too(postgres_url: str) -> None:
    async with Runfold(postgres_url, flows=[orders()]) as rf:
        async with asyncpg_connection(postgres_url, READ_COMMITTED) as connection:
            run = await rf.start(
                "orders", 1, connection=connection, delay=0.3, priority=9, retry=2, timeout=5,
                deadline=60,
            )  # fmt: skip
        assert await run.result(timeout=10) == 1
        start, started = await history(run, "flow.start", "step.started")
        assert (started.ts - start.ts).total_seconds() >= 0.3
        state = await run.state()
        assert (state.priority, state.max_attempts) == (9, 2)
        assert state.deadline is not None


@scenario
async def test_what_is_refused_leaves_the_transaction_as_it_was(postgres_url: str) -> None:
    settings = Settings(payload_max=1000, payload_warn=500)
    anything: Flow[Any, Any] = Flow("anything")

    @anything.entry()
    async def take(data: Any) -> Any:
        return data

    async with Runfold(postgres_url, flows=[orders(), anything], settings=settings) as rf:
        async with asyncpg_connection(postgres_url, READ_COMMITTED) as connection:
            with pytest.raises(InvalidInput):
                await rf.start("orders", "seven", connection=connection)
            with pytest.raises(InvalidInput):
                await rf.start("orders", 7, priority=99, connection=connection)
            with pytest.raises(UnknownTarget):
                await rf.start("nobody", 7, connection=connection)
            with pytest.raises(PayloadTooLarge):
                await rf.start("anything", "x" * 2000, connection=connection)
            with pytest.raises(InvalidInput):
                await rf.start_many("orders", [1, "two"], connection=connection)
            kept = await rf.start("orders", 7, connection=connection)
        assert await kept.result(timeout=10) == 7
        await rf.run_until_idle()
        assert len((await rf.runs.list()).items) == 1


@scenario
async def test_what_is_no_connection_is_refused(postgres_url: str) -> None:
    async with Runfold(postgres_url, flows=[orders()]) as rf:
        for wrong in (object(), "postgresql://", 0, rf):
            with pytest.raises(InvalidInput, match="expected one of"):
                await rf.start("orders", 7, connection=wrong)


@scenario
async def test_plain_sql_starts_a_run(postgres_url: str) -> None:
    async with Runfold(postgres_url, flows=[orders()]) as rf:
        async with asyncpg_connection(postgres_url, READ_COMMITTED) as connection:
            id = await connection.fetchval(
                """
                SELECT runfold.start('orders', '7', key => 'order-7', tags => '{sql}',
                                     priority => 8, delay => 0.2)
                """
            )
            await rf.run_until_idle()
            with pytest.raises(RunNotFound):
                await rf.get(id)
            waiting = asyncio.create_task(found(rf, "order-7"))
        run = await waiting
        assert await run.result(timeout=10) == 7
        assert run.id == str(id)
        state = await run.state()
        assert (state.tags, state.priority, state.key) == (["sql"], 8, "order-7")
        start, started = await history(run, "flow.start", "step.started")
        assert (started.ts - start.ts).total_seconds() >= 0.2
        # The same key from Python is the same run.
        assert (await rf.start("orders", 9, key="order-7")).id == run.id


async def found(rf: Runfold, key: str) -> Any:
    async for _ in rf.events(types=["flow.start"], follow=True):
        return await rf.get(of="orders", key=key)
    raise AssertionError


@scenario
async def test_plain_sql_starts_at_a_moment(postgres_url: str) -> None:
    async with Runfold(postgres_url, flows=[orders()]) as rf:
        async with asyncpg_connection(postgres_url, READ_COMMITTED) as connection:
            due = await connection.fetchval("SELECT now() + interval '1 hour'")
            await connection.fetchval(
                "SELECT runfold.start('orders', '7', key => 'k', run_at => $1)", due
            )
        run = await found(rf, "k")
        assert await run.status() == "scheduled"
        assert (await run.state()).due_at == due


@scenario
async def test_plain_sql_in_a_namespace_reaches_that_namespace(postgres_url: str) -> None:
    async with Runfold(postgres_url, flows=[orders()], namespace="blue") as rf:
        with psycopg.connect(postgres_url) as connection:
            connection.execute(
                "SELECT runfold.start('orders', '7', key => 'k', namespace => 'blue')"
            )
        run = await found(rf, "k")
        assert await run.result(timeout=10) == 7
        with (
            psycopg.connect(postgres_url) as connection,
            pytest.raises(psycopg.errors.UndefinedObject, match="in namespace 'default'"),
        ):
            connection.execute("SELECT runfold.start('orders', '7')")


@scenario
async def test_a_wrong_input_from_sql_fails_its_run_alone(postgres_url: str) -> None:
    async with Runfold(postgres_url, flows=[orders()]) as rf:
        with psycopg.connect(postgres_url) as connection:
            connection.execute("SELECT runfold.start('orders', '\"seven\"', key => 'k')")
        run = await found(rf, "k")
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert caught.value.error.code == "VALIDATION_ERROR"


@pytest.mark.parametrize(
    "option",
    [
        "priority => 99", "delay => -1", "delay => 'NaN'", "deadline => 'Infinity'", "key => ''",
        "tags => '{\"\"}'", "run_at => now(), delay => 1", "run_at => 'infinity'",
    ],
)  # fmt: skip
@scenario
async def test_a_wrong_option_in_sql_is_refused(postgres_url: str, option: str) -> None:
    async with Runfold(postgres_url, flows=[orders()]).serve() as rf:
        before = await head(rf)
        with (
            psycopg.connect(postgres_url) as connection,
            pytest.raises(psycopg.errors.InvalidParameterValue),
        ):
            connection.execute(f"SELECT runfold.start('orders', '7', {option})")
        await rf.run_until_idle()
        assert await head(rf) == before


@pytest.mark.parametrize(
    "body",
    [
        "[]", "{}", "no json", '{"target": "orders", "priority": 99}',
        '{"target": "orders", "delay": -1}', '{"target": "orders", "tags": 7}',
        '{"target": "orders", "due_at": "soon"}', '{"target": "orders", "delay": NaN}',
    ],
)  # fmt: skip
@scenario
async def test_a_row_that_can_be_no_start_holds_up_nobody(postgres_url: str, body: str) -> None:
    async with Runfold(postgres_url, flows=[orders()]) as rf:
        insert = """
            INSERT INTO runfold.inbox (created_at, log_id, run_id, body)
            VALUES (now(), 1, uuid_send(gen_random_uuid()), %s)
        """
        with psycopg.connect(postgres_url) as connection:
            connection.execute(insert, [body])
        with psycopg.connect(postgres_url) as connection:
            connection.execute(insert, [json.dumps({"target": "orders", "input": 7, "key": "k"})])
        async for event in rf.events(types=["flow.completed"], follow=True):
            assert event.data["result"] == 7
            break


@pytest.mark.parametrize("caller", ON_POSTGRES, ids=lambda caller: caller.__name__)
def test_callers_that_block_start_runs_through_rf_sync(
    postgres_url: str, caller: BlockingCaller
) -> None:
    with Runfold(postgres_url, flows=[orders()]).sync as rf:
        with caller(postgres_url) as connection:
            run = rf.start("orders", 7, connection=connection)
            others = rf.start_many("orders", [8, 9], connection=connection)
            assert rf.start("orders", 1).result(timeout=10) == 1
            assert len(rf.runs.list().items) == 1
        assert [one.result(timeout=10) for one in (run, *others)] == [7, 8, 9]
        with suppress(RolledBack), caller(postgres_url) as connection:
            lost = rf.start("orders", 7, connection=connection)
            raise RolledBack
        rf.run_until_idle()
        with pytest.raises(RunNotFound):
            rf.get(UUID(lost.id))
