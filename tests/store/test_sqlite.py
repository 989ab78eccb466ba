"""The SQLite store keeps the contract."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runfold.store.sql.sqlite import SqliteStore
from runfold.testing.contract import StoreContract
from runfold.testing.contract_readers import Transaction


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> SqliteStore:
        return SqliteStore(f"sqlite:///{tmp_path}/log.db")

    @pytest.fixture
    def twin(self, store: SqliteStore) -> SqliteStore:
        return SqliteStore(store.url)

    @pytest.fixture
    def transaction(self, store: SqliteStore) -> Transaction:
        return lambda: _caller(store.path)

    @pytest.fixture
    def replace_log(self, store: SqliteStore) -> Callable[[], None]:
        def replace() -> None:
            with _caller(store.path) as connection:
                connection.execute("UPDATE logs SET generation = 2")

        return replace


@contextmanager
def _caller(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    try:
        with connection:
            yield connection
    finally:
        connection.close()
