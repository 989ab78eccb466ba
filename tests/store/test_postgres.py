"""The PostgreSQL store keeps the contract, with prepared statements and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from runfold.store.sql.postgres import PostgresStore
from runfold.testing.contract import StoreContract
from runfold.testing.contract_readers import Transaction


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url

    @pytest.fixture
    def store(self, url: str) -> PostgresStore:
        return PostgresStore(url)

    @pytest.fixture
    def twin(self, url: str) -> PostgresStore:
        return PostgresStore(url)

    @pytest.fixture
    def transaction(self, postgres_url: str) -> Transaction:
        @contextmanager
        def begun() -> Iterator[psycopg.Connection]:
            with psycopg.connect(postgres_url) as connection:
                yield connection

        return begun

    @pytest.fixture
    def replace_log(self, postgres_url: str) -> Callable[[], None]:
        def replace() -> None:
            with psycopg.connect(postgres_url) as connection:
                connection.execute("UPDATE runfold.logs SET generation = 2")

        return replace


class TestPostgresStoreBehindAPooler(TestPostgresStore):
    """As PgBouncer in transaction mode wants it: nothing prepared, no LISTEN."""

    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return f"{postgres_url}&statement_cache_size=0"
