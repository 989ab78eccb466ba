"""Starts written inside other people's transactions, through each of their connections."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import create_engine

from runfold.errors import InvalidInput
from runfold.kernel.ids import keyed_id
from runfold.ports import Encoded, Item
from runfold.store.sql.postgres import PostgresStore
from runfold.testing.contract_scene import Scene, key_of, new
from store.inbox_callers import CALLERS, Caller

LOG = "1"
"""What ids of the default namespace are made of: the number of its log."""
LEVELS = ("READ COMMITTED", "REPEATABLE READ")
ROWS = [(key_of("a"), '{"target": "é"}'), (key_of("b"), "{}")]

every_caller = pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.__name__)
every_level = pytest.mark.parametrize("level", LEVELS)


class Refuse(Exception):
    """What a caller raises to roll back."""


@pytest.fixture(autouse=True)
def _django_beside_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture
def store(postgres_url: str) -> PostgresStore:
    return PostgresStore(postgres_url)


def run(store: PostgresStore, test: Coroutine[Any, Any, None]) -> None:
    async def opened() -> None:
        await store.open()
        try:
            await test
        finally:
            await store.close()

    asyncio.run(opened())


async def enlist(store: PostgresStore, connection: Any) -> None:
    written = store.enlist(connection, ROWS)
    if written is not None:
        await written


async def arrived(store: PostgresStore) -> list[tuple[bytes, str]]:
    return [(row.run_id, row.body) for row in await store.inbox(10)]


@every_level
@every_caller
def test_what_is_enlisted_arrives_with_the_commit_and_delays_nobody(
    store: PostgresStore, postgres_url: str, caller: Caller, level: str
) -> None:
    async def test() -> None:
        async with caller(postgres_url, level) as connection:
            await enlist(store, connection)
            # The transaction is open, however long: everybody else's work goes on.
            await Scene(store).start("somebody-else")
            assert await store.head() == 1
            assert await arrived(store) == []
        assert await arrived(store) == ROWS

    run(store, test())


@every_level
@every_caller
def test_what_is_enlisted_goes_with_a_rollback(
    store: PostgresStore, postgres_url: str, caller: Caller, level: str
) -> None:
    async def test() -> None:
        with suppress(Refuse):
            async with caller(postgres_url, level) as connection:
                await enlist(store, connection)
                raise Refuse
        assert await arrived(store) == []

    run(store, test())


@every_caller
def test_a_connection_of_another_database_is_refused(
    store: PostgresStore, empty_postgres_url: str, caller: Caller
) -> None:
    async def test() -> None:
        with pytest.raises(InvalidInput, match="another database"):
            async with caller(empty_postgres_url, LEVELS[0]) as connection:
                await enlist(store, connection)

    run(store, test())


@every_caller
def test_a_connection_to_another_log_is_refused(
    store: PostgresStore, postgres_database: Any, caller: Caller
) -> None:
    other = PostgresStore(postgres_database())

    async def test() -> None:
        await other.open()
        await other.close()
        with pytest.raises(InvalidInput, match="another database"):
            async with caller(other._address.dsn, LEVELS[0]) as connection:
                await enlist(store, connection)

    run(store, test())


def test_a_connection_that_nobody_knows_is_refused(store: PostgresStore) -> None:
    with pytest.raises(InvalidInput, match=r"builtins\.object, expected one of SQLAlchemy"):
        store.enlist(object(), ROWS)


def test_a_connection_of_sqlite_is_refused(store: PostgresStore) -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection, pytest.raises(InvalidInput, match="'sqlite'"):
        store.enlist(connection, ROWS)
    engine.dispose()


def define(store: PostgresStore, flow: str) -> Item:
    return Item([Encoded("flow.defined", b"{}")], id=keyed_id(LOG, "flow.defined", flow))


def test_sql_starts_a_keyed_run_under_the_id_that_python_computes(
    store: PostgresStore, postgres_url: str
) -> None:
    async def test() -> None:
        await Scene(store).record(define(store, "shöp"))
        with psycopg.connect(postgres_url) as connection:
            started = connection.execute(
                """
                SELECT runfold.start(
                    'shöp', '{"order": null}', key => 'k', tags => '{a,b}', priority => 7
                )
                """
            ).fetchone()
        assert started == (UUID(bytes=keyed_id(LOG, "shöp", "k")),)
        (row,) = await store.inbox(10)
        assert row.run_id == keyed_id(LOG, "shöp", "k")
        assert sorted_json(row.body) == {
            "target": "shöp",
            "input": {"order": None},
            "key": "k",
            "tags": ["a", "b"],
            "priority": 7,
        }

    run(store, test())


def sorted_json(text: str) -> Any:
    import json

    return json.loads(text)


def test_sql_starts_without_a_key_get_ids_of_their_own(
    store: PostgresStore, postgres_url: str
) -> None:
    async def test() -> None:
        await Scene(store).record(define(store, "shop"))
        with psycopg.connect(postgres_url) as connection:
            connection.execute("SELECT runfold.start('shop'), runfold.start('shop', '[1]')")
        first, second = await store.inbox(10)
        assert first.run_id != second.run_id
        assert sorted_json(first.body) == {"target": "shop", "input": None}
        assert sorted_json(second.body) == {"target": "shop", "input": [1]}

    run(store, test())


def test_sql_may_not_start_what_was_never_served(store: PostgresStore, postgres_url: str) -> None:
    async def test() -> None:
        await Scene(store).record(new("shop"))
        with (
            psycopg.connect(postgres_url) as connection,
            pytest.raises(psycopg.errors.UndefinedObject, match="no flow or job named 'shop'"),
        ):
            connection.execute("SELECT runfold.start('shop')")

    run(store, test())


@pytest.mark.parametrize("parts", [("a", "b", "c"), ("", ""), ("ab", "c"), ("a", "bc"), ("é🙂",)])
def test_a_key_has_one_id_in_sql_and_in_python(postgres_url: str, parts: tuple[str, ...]) -> None:
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute(
            "SELECT runfold.keyed_id(VARIADIC %s::text[])", [list(parts)]
        ).fetchone()
    assert found == (UUID(bytes=keyed_id(*parts)),)
