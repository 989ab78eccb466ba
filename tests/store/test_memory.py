"""The memory store keeps the contract."""

from collections.abc import Callable

import pytest

from runfold.store.memory import MemoryStore
from runfold.testing.contract import StoreContract
from runfold.testing.contract_readers import Transaction


class TestMemoryStore(StoreContract):
    machine_runs = 120

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def transaction(self, store: MemoryStore) -> Transaction:
        return store.transaction

    @pytest.fixture
    def replace_log(self, store: MemoryStore) -> Callable[[], None]:
        def replace() -> None:
            store._log.identity = store.identity._replace(generation=2)

        return replace
