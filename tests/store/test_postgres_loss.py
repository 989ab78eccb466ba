"""What happens when a connection, an answer or the database itself is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runfold.errors import InvalidSettings, StoreUnavailable
from runfold.items import Batch, Item, Member, Outcome, Refusal
from runfold.ports import LogRewound
from runfold.store.sql import postgres_line, postgres_renewer
from runfold.store.sql.postgres import PostgresStore
from runfold.store.sql.postgres_driver import Link
from runfold.testing.contract_scene import (
    LONG,
    WORKER,
    Scene,
    claim,
    event,
    key_of,
    member,
    new,
    row,
)

PLAIN, POOLED = "", "&statement_cache_size=0"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two tries."""
    monkeypatch.setattr(postgres_line, "PAUSES", (0.0,) * 7)


@pytest.fixture(params=[PLAIN, POOLED], ids=["prepared", "behind a pooler"])
def store(request: pytest.FixtureRequest, postgres_url: str, quick: None) -> PostgresStore:
    return PostgresStore(postgres_url + request.param)


def run(store: PostgresStore, test: Coroutine[Any, Any, None]) -> None:
    async def opened() -> None:
        await store.open()
        try:
            await test
        finally:
            await store.close()

    asyncio.run(opened())


def sql(url: str, text: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text)  # type: ignore[arg-type]


def cut(url: str) -> None:
    """End every other connection to the database."""
    sql(
        url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


def lose_next_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next commit is carried out, and its answer never arrives."""
    real = Link.row
    lost: list[bool] = []

    async def row_of(self: Link, text: str, values: Any = ()) -> Any:
        answer = await real(self, text, values)
        if "runfold.commit" in text and not lost:
            lost.append(True)
            raise ConnectionResetError("the answer is lost")
        return answer

    monkeypatch.setattr(Link, "row", row_of)


def test_a_lost_connection_is_made_again(store: PostgresStore, postgres_url: str) -> None:
    async def test() -> None:
        scene = Scene(store)
        await scene.start("a")
        cut(postgres_url)
        assert await store.head() == 1
        cut(postgres_url)
        await scene.start("b")
        assert await store.head() == 2

    run(store, test())


def test_a_commit_whose_answer_was_lost_is_recorded_once(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        scene = Scene(store)
        first = await scene.start("a")
        lose_next_answer(monkeypatch)
        answer = await scene.commit(
            new("b", event(), event()),
            new("a"),
            Item([event()], stream=first, version=9),
            Item([event()], stream=first),
            Item([event()], stream=first),
        )
        assert answer.repeated
        assert answer.first_position == 2
        assert answer.outcomes == [
            Outcome(None, 2, 2, 1),
            Outcome(Refusal.EXISTS, first),
            Outcome(Refusal.VERSION),
            Outcome(None, first, 4, 2),
            Outcome(None, first, 5, 3),
        ]
        assert await store.head() == 5

    run(store, test())


def test_a_claim_whose_answer_was_lost_is_asked_for(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        scene = Scene(store)
        await scene.start("a", row())
        lose_next_answer(monkeypatch)
        answer = await scene.commit(claims=[claim(1)])
        assert answer.repeated
        assert list(answer.jobs) == []
        assert [job.run_id for job in await store.leased(WORKER)] == [key_of("a")]

    run(store, test())


def test_a_database_that_does_not_come_back_is_unavailable(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Any) -> Link:
        raise ConnectionRefusedError("nobody listens")

    async def test() -> None:
        scene = Scene(store)
        await scene.start("a")
        store._writer.drop()
        monkeypatch.setattr(postgres_line, "connect", refuse)
        with pytest.raises(StoreUnavailable, match=r"/runfold_test_\d+.* cannot be reached"):
            await scene.start("b")

    run(store, test())


def test_a_log_that_lost_its_last_events_is_noticed_once(
    store: PostgresStore, postgres_url: str
) -> None:
    async def test() -> None:
        scene = Scene(store)
        await scene.start("a")
        await scene.start("b")
        sql(postgres_url, "DELETE FROM runfold.events WHERE position = 2")
        sql(postgres_url, "DELETE FROM runfold.streams WHERE stream = 2")
        sql(postgres_url, "DELETE FROM runfold.open_runs WHERE stream = 2")
        sql(postgres_url, "DELETE FROM runfold.batches WHERE first_position = 2")
        cut(postgres_url)
        with pytest.raises(LogRewound, match=r"lacks event 2 .* and ends at 1"):
            await store.head()
        assert await store.head() == 1
        await scene.start("c")
        assert await store.head() == 2

    run(store, test())


def test_a_log_that_went_on_differently_is_noticed(store: PostgresStore, postgres_url: str) -> None:
    async def test() -> None:
        scene = Scene(store)
        await scene.start("a")
        await store.read(after=0, limit=10)
        sql(postgres_url, "UPDATE runfold.events SET ts = ts + interval '1 second'")
        cut(postgres_url)
        with pytest.raises(LogRewound):
            await scene.start("b")

    run(store, test())


def test_events_that_went_to_the_archive_are_not_lost(
    store: PostgresStore, postgres_url: str
) -> None:
    async def test() -> None:
        scene = Scene(store)
        await scene.start("a")
        other = PostgresStore(postgres_url)
        await other.open()
        await Scene(other, appender=2).start("b")
        await other.close()
        sql(postgres_url, "DELETE FROM runfold.events WHERE position = 1")
        cut(postgres_url)
        assert await store.head() == 2

    run(store, test())


def test_another_log_under_the_same_name_is_noticed(
    store: PostgresStore, postgres_url: str
) -> None:
    async def test() -> None:
        await Scene(store).start("a")
        sql(postgres_url, "UPDATE runfold.logs SET identity = 'restored'")
        cut(postgres_url)
        with pytest.raises(LogRewound, match="another log"):
            await store.head()

    run(store, test())


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_the_isolation_that_a_database_prefers_is_not_the_engines(
    store: PostgresStore, postgres_url: str, level: str
) -> None:
    name = postgres_url.rpartition("/")[2].partition("?")[0]

    async def test() -> None:
        await Scene(store).start("a")
        assert await store.lead(WORKER, 10)

    sql(postgres_url, f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")
    try:
        run(store, test())
    finally:
        sql(postgres_url, f"ALTER DATABASE {name} RESET default_transaction_isolation")


def test_the_functions_refuse_any_other_isolation(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(
            psycopg.errors.InvalidTransactionState,
            match="is REPEATABLE READ, an engine transaction must be READ COMMITTED",
        ):
            connection.execute("SELECT runfold.lead(1, 'dispatcher', 1, 1.0, NULL)")


def test_what_the_database_refuses_leaves_nothing_and_the_connection_usable(
    store: PostgresStore,
) -> None:
    async def test() -> None:
        scene = Scene(store)
        with pytest.raises(Exception, match="0x00"):
            await scene.record(new("a", event(step="a\0b")))
        assert await store.head() == 0
        await scene.start("a")

    run(store, test())


def test_a_cancelled_commit_leaves_the_connection_usable(
    store: PostgresStore, postgres_url: str
) -> None:
    async def test() -> None:
        scene = Scene(store)
        await scene.start("a")
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT runfold.lock_log(1)")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await scene.start("b")
        # Whether it had been recorded is unknown; the same number answers as at first.
        scene.number -= 1
        await scene.start("b")
        assert await store.head() == 2

    run(store, test())


def test_a_renewer_renews_from_another_thread_until_it_is_swept(
    store: PostgresStore, postgres_url: str
) -> None:
    async def test() -> None:
        await store.join(Member(WORKER, "w", "worker"), 60)
        renewer = store.renewer(WORKER, 60)
        assert await asyncio.to_thread(renewer.renew)
        cut(postgres_url)
        assert await asyncio.to_thread(renewer.renew)
        await store.leave(WORKER)
        assert not await asyncio.to_thread(renewer.renew)
        await asyncio.to_thread(renewer.close)

    run(store, test())


def test_a_renewer_says_when_nobody_answers(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Any) -> Link:
        raise ConnectionRefusedError("nobody listens")

    async def test() -> None:
        renewer = store.renewer(WORKER, 60)
        monkeypatch.setattr(postgres_renewer, "connect", refuse)
        with pytest.raises(StoreUnavailable, match="the lease could not be renewed"):
            await asyncio.to_thread(renewer.renew)
        await asyncio.to_thread(renewer.close)

    run(store, test())


def test_urls_that_cannot_work_are_refused_before_connecting() -> None:
    for url, said in (
        ("mysql://host/db", "'mysql'"),
        ("postgresql+psycopg://host/db", r"'postgresql\+psycopg'"),
        ("nonsense", "not a database URL"),
        ("postgresql://host:port/db", "not a database URL"),
    ):
        with pytest.raises(InvalidSettings, match=said):
            PostgresStore(url)


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    store = PostgresStore(f"postgresql://me:secret@/orders?host={tmp_path}")
    with pytest.raises(StoreUnavailable) as error:
        asyncio.run(store.open())
    assert f"{tmp_path}/orders" in str(error.value)
    assert "secret" not in str(error.value)


def test_a_batch_of_many_kinds_is_one_call(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real = Link.rows

    async def rows_of(self: Link, text: str, values: Any = ()) -> Any:
        calls.append(text)
        return await real(self, text, values)

    async def test() -> None:
        await Scene(store).start("a", row())
        await store.join(member(WORKER), LONG)
        monkeypatch.setattr(Link, "rows", rows_of)
        await store.commit(Batch(5, 1, [new("b", rows=[row()])], [claim(2)]))
        assert len(calls) == 1

    run(store, test())
