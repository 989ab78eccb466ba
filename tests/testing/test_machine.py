"""The machine of the whole engine: it agrees with every store, and finds what is planted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from runfold.client.conflicts import KeyedStart
from runfold.flow.selection import prefix
from runfold.ports import Store
from runfold.settings import Settings
from runfold.store import open_store
from runfold.store.memory import MemoryStore
from runfold.store.memory_log import Database
from runfold.testing.machine import SETTINGS, EngineMachine, check_engine
from testing.planted import PLANTED
from testing.planted_limits import PLANTED_LIMITS

FEW = settings(SETTINGS, phases=[Phase.generate], max_examples=8, stateful_step_count=30)
"""A few plays: those after them are often much like one before."""
SEEDS_MAX = 50
"""From so many beginnings: each error that is planted is found from one of the first few."""
RUNS = {"memory": 30, "sqlite": 5, "postgres": 3}
Opens = Callable[[str], Store]
"""Returns the store of a name, not open: the same, with all that it has, for the same name."""


def machine_of(opens: Opens) -> type[EngineMachine]:
    """Return the machine over what ``opens`` opens."""

    class Made(EngineMachine):
        def new_store(self) -> Store:
            self.name = f"machine {uuid4()}"
            return opens(self.name)

        def same_store(self, store: Store) -> Store:
            return opens(self.name)

    return Made


def in_memory(kind: type[MemoryStore] = MemoryStore) -> Opens:
    """Return what opens stores of ``kind``, each object anew over what is stored."""
    databases: dict[str, Database] = {}
    return lambda name: kind(database=databases.setdefault(name, Database()))


@pytest.fixture(params=RUNS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Opens]:
    """The name of a kind of store, and what opens one."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        return "postgres", lambda name: open_store(url, Settings(), name)
    if request.param == "sqlite":
        file = f"sqlite:///{tmp_path}/"
        return "sqlite", lambda name: open_store(f"{file}{name}.db", Settings(), "default")
    return "memory", in_memory()


def test_the_engine_does_what_the_model_says(stores: tuple[str, Opens]) -> None:
    kind, opens = stores
    check_engine(machine_of(opens), runs=RUNS[kind])


@pytest.mark.slow
def test_the_engine_does_what_the_model_says_for_long(stores: tuple[str, Opens]) -> None:
    kind, opens = stores
    check_engine(machine_of(opens), runs=RUNS[kind] * 30, steps=60)


def play_from_many(machine: type[EngineMachine]) -> None:
    for number in range(SEEDS_MAX):
        run_state_machine_as_test(seed(number)(machine), settings=FEW)


@pytest.mark.parametrize("broken", [*PLANTED, *PLANTED_LIMITS])
def test_a_broken_store_is_found(broken: type[MemoryStore]) -> None:
    with pytest.raises(AssertionError):
        play_from_many(machine_of(in_memory(broken)))


MOMENTS: dict[str, Callable[[datetime], datetime]] = {
    "before it": lambda at: at - timedelta(microseconds=1),
    "later": lambda at: at + timedelta(seconds=3),
    "now": lambda _: datetime(2040, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("when", MOMENTS)
def test_a_fork_at_another_moment_is_found(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(at: int | datetime) -> int | datetime:
        return MOMENTS[when](at) if isinstance(at, datetime) else at

    def cut(history: Any, graph: Any, at: int | datetime) -> Any:
        return prefix(history, graph, moved(at))

    monkeypatch.setattr("runfold.client.travel._place", moved)
    monkeypatch.setattr("runfold.client.travel.prefix", cut)
    with pytest.raises(AssertionError):
        play_from_many(machine_of(in_memory()))


async def put_off(self: KeyedStart, run: Any) -> float:
    return float(self._fields["delay"])


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        ("KeyedStart._delay", put_off),
        ("is_replaceable", lambda run: False),
        ("canonical", lambda input: ""),
    ],
)
def test_a_key_that_is_taken_otherwise_is_found(
    what: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"runfold.client.conflicts.{what}", wrong)
    with pytest.raises(AssertionError):
        play_from_many(machine_of(in_memory()))
