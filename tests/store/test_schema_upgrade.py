"""A database that an earlier release has filled is brought to this one and goes on working."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from runfold.flow.work import Gate
from runfold.items import Item
from runfold.settings import Settings
from runfold.store import open_store
from runfold.store.sql import migrate
from runfold.testing.contract_scene import NOON, Scene, after, event, key_of

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
WORK = {"log_id": 1, "attempt": 1, "flow": "flow", "queue": "default"}
ROWS: dict[str, list[dict[str, Any]]] = {
    "logs": [
        {"log_id": 1, "generation": 1, "created_at": LONG_AGO, "name": "default", "identity": "i"}
    ],
    "streams": [
        {"stream": 1, "log_id": 1, "gate": Gate.OPEN, "id": key_of("open"), "flow": "flow"},
        {"stream": 2, "log_id": 1, "gate": Gate.PAUSED, "id": key_of("paused"), "flow": "flow"},
    ],
    "events": [
        {"position": position, "stream": stream, "ts": LONG_AGO, "log_id": 1, "version": version,
         "topic": "log", "state": b"{}"}
        for position, stream, version in [(1, 1, 1), (2, 2, 1), (3, 1, 2), (4, 1, 3), (5, 1, 4)]
    ],
    "open_runs": [{"stream": 1, "log_id": 1}, {"stream": 2, "log_id": 1}],
    "jobs": [
        WORK | {"id": 1, "stream": 1, "activation": 1, "priority": 5, "step": "step",
                "inputs": "second", "blocked": False, "member": None},
        WORK | {"id": 2, "stream": 2, "activation": 1, "priority": 9, "step": "step",
                "inputs": "paused", "blocked": True, "member": None},
        WORK | {"id": 3, "stream": 1, "activation": 2, "priority": 9, "step": "step",
                "inputs": "first", "blocked": False, "member": None},
        WORK | {"id": 4, "stream": 1, "activation": 3, "priority": 5, "step": "step",
                "inputs": "leased", "blocked": False, "member": 77},
    ],
    "timers": [
        WORK | {"id": 5, "stream": 1, "activation": 4, "priority": 5, "step": "step",
                "inputs": "later", "due_at": LONG_AGO, "kind": "retry"},
    ],
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture
def filled(url: str, tmp_path: Path) -> str:
    """The URL of a database with work in it, as the first release left it."""
    first = tmp_path / "first"
    shutil.copytree(migrate.scripts(), first)
    for file in (first / "versions").glob("*.py"):
        if not file.name.startswith("0001"):
            file.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "HEAD", "0001")
        patch.setattr(migrate, "scripts", lambda: first)
        on_connection(url, migrate.upgrade)
    on_connection(url, fill)
    return url


def on_connection(url: str, work: Callable[[sa.Connection], None]) -> None:
    plain = make_url(url)
    if plain.get_backend_name() == "postgresql":
        plain = plain.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(plain)
    with engine.connect() as connection:
        work(connection)
    engine.dispose()


def fill(connection: sa.Connection) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    schema = None if is_sqlite else "runfold"
    metadata = sa.MetaData()
    metadata.reflect(connection, schema=schema)
    for name, rows in ROWS.items():
        table = metadata.tables[f"{schema}.{name}" if schema else name]
        connection.execute(table.insert(), [stored(row, is_sqlite=is_sqlite) for row in rows])
    connection.commit()


def stored(row: dict[str, Any], *, is_sqlite: bool) -> dict[str, Any]:
    return {
        key: int(value.timestamp() * 1_000_000)
        if is_sqlite and isinstance(value, datetime)
        else value
        for key, value in row.items()
    }


def with_scene(url: str, test: Callable[[Scene], Awaitable[None]]) -> None:
    async def run() -> None:
        store = open_store(url, Settings(), "default")
        await store.open(migrate=True)
        try:
            await test(Scene(store))
        finally:
            await store.close()

    asyncio.run(run())


def test_work_of_the_first_release_is_done_by_this_one(filled: str) -> None:
    async def test(scene: Scene) -> None:
        assert await scene.store.counts() == {"default": (2, 1)}
        assert await scene.take() == ["first", "second"]
        timer = Item([event()], 1, timer=5)
        resumed = Item([event()], 2, gate=Gate.OPEN)
        await scene.commit(timer, resumed, now=after(1))
        assert await scene.take(now=after(2)) == ["paused", "later"]
        done = Item([event()], 1, lease=(4, 77), frees=True)
        assert (await scene.attempt(done, now=after(3))).refusal is None

    with_scene(filled, test)


def test_a_claim_that_remembers_floors_of_the_first_release_finds_what_is_resumed(
    filled: str,
) -> None:
    async def test(scene: Scene) -> None:
        found = await scene.take(floors=[6] * 10)  # Beyond everything that there is.
        assert found == []
        await scene.record(Item([event()], 2, gate=Gate.OPEN))
        assert await scene.take(floors=[6] * 10, now=NOON) == ["paused"]

    with_scene(filled, test)
