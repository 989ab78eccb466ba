"""Starting a run inside the caller's own transaction, on SQLite and in memory."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from runfold import InvalidInput, Run, Runfold, RunNotFound
from runfold.settings import Settings
from runfold.store.memory import MemoryStore
from scenarios.callers import ON_SQLITE, BlockingCaller, sqlite3_connection
from scenarios.scene import finished, scenario
from scenarios.test_inbox import RolledBack, orders


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'runfold.db'}"


every_caller = pytest.mark.parametrize("caller", ON_SQLITE, ids=lambda caller: caller.__name__)


@every_caller
def test_a_run_starts_when_its_callers_transaction_commits(
    file: str, caller: BlockingCaller
) -> None:
    with Runfold(file, flows=[orders()]).sync as rf:
        with caller(file) as connection:
            run = rf.start("orders", 7, connection=connection)
            others = rf.start_many("orders", [8, 9], connection=connection)
            with pytest.raises(RunNotFound, match="not committed"):
                run.status()
            with pytest.raises(TimeoutError):
                run.result(timeout=0)
        assert [one.result(timeout=10) for one in (run, *others)] == [7, 8, 9]


@every_caller
def test_a_run_whose_transaction_is_rolled_back_never_was(
    file: str, caller: BlockingCaller
) -> None:
    with Runfold(file, flows=[orders()]).sync as rf:
        rf.start("orders", 1).result(timeout=10)
        with suppress(RolledBack), caller(file) as connection:
            lost = rf.start("orders", 7, key="k", connection=connection)
            raise RolledBack
        rf.run_until_idle()
        with pytest.raises(RunNotFound):
            rf.get(lost.id)
        assert rf.start("orders", 8, key="k").result(timeout=10) == 8


def test_others_wait_for_a_caller_that_holds_the_file_and_lose_nothing(file: str) -> None:
    with Runfold(file, flows=[orders()]).sync as rf:
        answers: list[int] = []

        def another() -> None:
            answers.append(rf.start("orders", 2).result(timeout=20))

        with sqlite3_connection(file) as connection:
            run = rf.start("orders", 1, connection=connection)
            thread = threading.Thread(target=another)
            thread.start()
            thread.join(0.3)
            assert answers == []
        thread.join(20)
        assert answers == [2]
        assert run.result(timeout=10) == 1


@scenario
async def test_a_handler_of_a_loop_enlists_through_sqlite3(file: str) -> None:
    async with Runfold(file, flows=[orders()]) as rf:
        await rf.run_until_idle()
        with sqlite3_connection(file) as connection:
            run = await rf.start("orders", 7, connection=connection)
        assert await run.result(timeout=10) == 7


@pytest.mark.parametrize("kind", ["connection", "session"])
@scenario
async def test_async_sqlalchemy_on_a_file(file: str, kind: str) -> None:
    engine = create_async_engine(file.replace("sqlite", "sqlite+aiosqlite"), poolclass=NullPool)
    async with Runfold(file, flows=[orders()]) as rf:
        if kind == "connection":
            async with engine.begin() as connection:
                run: Run[int] = await rf.start("orders", 7, connection=connection)
        else:
            async with AsyncSession(engine) as session, session.begin():
                run = await rf.start("orders", 7, connection=session)
        assert await run.result(timeout=10) == 7


@every_caller
def test_a_connection_to_another_file_is_refused(
    file: str, tmp_path: Path, caller: BlockingCaller
) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    with (
        Runfold(file, flows=[orders()]).sync as rf,
        caller(other) as connection,
        pytest.raises(InvalidInput, match="expected the file of this store"),
    ):
        rf.start("orders", 7, connection=connection)


def test_what_is_no_connection_is_refused(file: str) -> None:
    with Runfold(file, flows=[orders()]).sync as rf:
        for wrong in (object(), "sqlite://", 0):
            with pytest.raises(InvalidInput, match="expected one of"):
                rf.start("orders", 7, connection=wrong)


@scenario
async def test_a_block_stands_for_a_transaction_in_memory() -> None:
    store = MemoryStore(Settings())
    async with Runfold(store, flows=[orders()]) as rf:
        with store.transaction() as block:
            run = await rf.start("orders", 7, connection=block)
            waiting = asyncio.create_task(run.result(timeout=10))
            await finished(rf, "orders", 1)
            with pytest.raises(RunNotFound):
                await run.status()
        assert await waiting == 7
        with suppress(RolledBack), store.transaction() as block:
            lost = await rf.start("orders", 8, connection=block)
            raise RolledBack
        await rf.run_until_idle()
        with pytest.raises(RunNotFound):
            await rf.get(lost.id)
