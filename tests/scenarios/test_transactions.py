"""What a handler writes in ``ctx.transaction()`` and its completion: both, once, or neither."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import text

from processes.payments import payments
from runfold import Context, Flow, RunFailed, Runfold, Settings, SyncContext
from runfold.errors import RunCancelled
from scenarios.scene import history, scenario, story

INSERT = text("INSERT INTO payments (id, amount) VALUES (:id, :amount)")


def paying(**options: Any) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("paying")

    @flow.entry(**options)
    async def pay(data: Any, ctx: Context) -> str:
        async with ctx.transaction() as connection:
            await connection.execute(INSERT, {"id": ctx.job_id, "amount": data})
        return "paid"

    return flow


@scenario
async def test_what_it_wrote_is_there_when_it_completed(shared_url: str) -> None:
    flow = paying()
    async with Runfold(shared_url, flows=[flow]) as rf:
        rows = payments(shared_url)
        run = await rf.start(flow, 7)
        assert await run.result(timeout=10) == "paid"
        assert [amount for _, amount in rows()] == [7]
        assert (await story(run))[-2:] == ["step.completed pay", "flow.completed"]


@scenario
async def test_a_def_gets_a_blocking_connection(shared_url: str) -> None:
    flow: Flow[Any, Any] = Flow("paying")

    @flow.entry()
    def pay(data: Any, ctx: SyncContext) -> str:
        with ctx.transaction() as connection:
            connection.execute(INSERT, {"id": "a", "amount": data})
        return "paid"

    async with Runfold(shared_url, flows=[flow]) as rf:
        rows = payments(shared_url)
        run = await rf.start(flow, 7)
        assert await run.result(timeout=10) == "paid"
        assert rows() == [("a", 7)]


@scenario
async def test_an_attempt_that_fails_leaves_nothing(shared_url: str) -> None:
    flow: Flow[Any, Any] = Flow("paying")

    @flow.entry(retry=2)
    async def pay(data: Any, ctx: Context) -> str:
        async with ctx.transaction() as connection:
            await connection.execute(INSERT, {"id": str(ctx.attempt), "amount": data})
            ctx.log.info("written", attempt=ctx.attempt)
        if ctx.attempt == 1:
            message = "after the block"
            raise ValueError(message)
        return "paid"

    async with Runfold(shared_url, flows=[flow]) as rf:
        rows = payments(shared_url)
        run = await rf.start(flow, 7, retry=2)
        assert await run.result(timeout=10) == "paid"
        assert rows() == [("2", 7)]
        logged = [event.data["meta"]["attempt"] for event in await history(run, "log")]
        assert logged == [1, 2]


@scenario
async def test_a_block_that_raises_is_undone_and_the_attempt_may_go_on(shared_url: str) -> None:
    flow: Flow[Any, Any] = Flow("paying")

    @flow.entry()
    async def pay(data: Any, ctx: Context) -> str:
        try:
            async with ctx.transaction() as connection:
                await connection.execute(INSERT, {"id": "a", "amount": data})
                message = "inside"
                raise ValueError(message)
        except ValueError:
            return "not paid"

    async with Runfold(shared_url, flows=[flow]) as rf:
        rows = payments(shared_url)
        run = await rf.start(flow, 7)
        assert await run.result(timeout=10) == "not paid"
        assert rows() == []


@scenario
async def test_there_is_one_for_each_attempt(shared_url: str) -> None:
    flow: Flow[Any, Any] = Flow("paying")

    @flow.entry(retry=1)
    async def pay(data: Any, ctx: Context) -> None:
        async with ctx.transaction() as connection:
            await connection.execute(INSERT, {"id": "a", "amount": data})
        async with ctx.transaction():
            pass

    async with Runfold(shared_url, flows=[flow]) as rf:
        rows = payments(shared_url)
        run = await rf.start(flow, 7)
        with pytest.raises(RunFailed, match="there is one, and it commits with the attempt"):
            await run.result(timeout=10)
        assert rows() == []


@scenario
async def test_a_handler_that_commits_by_itself_fails(shared_url: str) -> None:
    flow: Flow[Any, Any] = Flow("paying")

    @flow.entry()
    async def pay(_: Any, ctx: Context) -> None:
        async with ctx.transaction() as connection:
            await connection.commit()

    async with Runfold(shared_url, flows=[flow]) as rf:
        run = await rf.start(flow, 7)
        with pytest.raises(RunFailed, match="has committed or rolled back the transaction itself"):
            await run.result(timeout=10)


@scenario
async def test_an_attempt_that_lost_its_lease_writes_nothing(shared_url: str) -> None:
    flow: Flow[Any, Any] = Flow("paying")
    written, go = asyncio.Event(), asyncio.Event()

    @flow.entry()
    async def pay(data: Any, ctx: Context) -> None:
        await ctx.cancelled.wait()
        async with ctx.transaction() as connection:
            await connection.execute(INSERT, {"id": "a", "amount": data})
        written.set()
        await go.wait()

    async with Runfold(shared_url, flows=[flow], settings=Settings(grace=0)) as rf:
        rows = payments(shared_url)
        run = await rf.start(flow, 7)
        async for event in run.events(follow=True):
            if event.type == "step.started":
                break
        await run.cancel("enough")
        with pytest.raises(RunCancelled):
            await run.result(timeout=10)
        go.set()
    assert rows() == []


@scenario
async def test_an_attempt_that_ends_while_its_transaction_begins_leaves_none(
    shared_url: str,
) -> None:
    first, late = Flow("first", input=str), Flow("late", input=str)
    waits: list[SyncContext] = []
    is_there, has_it = threading.Event(), threading.Event()

    @first.entry()
    def hold(_: str, ctx: SyncContext) -> str:
        assert is_there.wait(10)
        with ctx.transaction():  # The other one waits for its connection, or for its lock.
            has_it.set()
            waits[0].cancelled.wait()
        return "paid"

    @late.entry(timeout=0.3, retry=1)
    def wait(how: str, ctx: SyncContext) -> str:
        if how == "too long":
            waits.append(ctx)
            is_there.set()
            assert has_it.wait(10)
        with ctx.transaction():
            return "paid"

    settings = Settings(transactions=1)
    async with Runfold(shared_url, flows=[first, late], settings=settings) as rf:
        runs = await rf.start(late, "too long"), await rf.start(first, "")
        assert await runs[1].result(timeout=10) == "paid"
        with pytest.raises(RunFailed, match="timeout"):
            await runs[0].result(timeout=10)
        last = await rf.start(late, "at once")
        assert await last.result(timeout=5) == "paid"


@pytest.mark.parametrize("arrives", [True, False])
@scenario
async def test_the_answer_to_its_commit_is_lost(
    shared_url: str, arrives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runfold.store.sql.transactions import AsyncTransaction

    flow, commit, lost = paying(), AsyncTransaction.commit, []

    async def cut(self: AsyncTransaction, batch: Any) -> Any:
        if lost:
            return await commit(self, batch)
        lost.append(batch)
        if arrives:
            await commit(self, batch)
        message = "connection lost"
        raise ConnectionError(message)

    monkeypatch.setattr(AsyncTransaction, "commit", cut)
    async with Runfold(shared_url, flows=[flow]) as rf:
        rows = payments(shared_url)
        run = await rf.start(flow, 7)
        assert await run.result(timeout=10) == "paid"
        assert [amount for _, amount in rows()] == [7]
        told = await story(run)
        assert told.count("step.completed pay") == 1
        assert told.count("step.errored pay") == (0 if arrives else 1)


@scenario
async def test_memory_has_no_database() -> None:
    flow = paying(retry=1)
    async with Runfold("memory://", flows=[flow]) as rf:
        run = await rf.start(flow, 7)
        with pytest.raises(RunFailed, match="memory:// is none"):
            await run.result(timeout=10)


def in_a_process(_: Any, ctx: SyncContext) -> None:
    with ctx.transaction():
        pass


@scenario
async def test_a_process_of_its_own_has_none() -> None:
    flow: Flow[Any, Any] = Flow("paying")
    flow.entry("pay", process=True, retry=1)(in_a_process)
    async with Runfold("memory://", flows=[flow]) as rf:
        run = await rf.start(flow, 7)
        with pytest.raises(RunFailed, match="not there in a process of its own"):
            await run.result(timeout=20)
