"""Where benchmarks run: each time a database that nobody has used, gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from runfold import Runfold, Settings

NAMES = ("sqlite-full", "sqlite-normal", "postgresql")
SLOTS = 250
"""Handlers at once in one process: enough to keep a worker busy with no-op jobs."""


@dataclass(frozen=True)
class Place:
    """An empty database, and the settings to use it with."""

    name: str
    url: str
    settings: Settings

    def runfold(self, **given: Any) -> Runfold:
        """Return an engine over this database."""
        return Runfold(self.url, settings=self.settings, **given)

    def with_slots(self, slots: int) -> Place:
        """Return this place with so many handlers at once in each queue."""
        return replace(self, settings=replace(self.settings, slots=slots))


Fresh = Callable[[], contextlib.AbstractContextManager[Place]]


def sqlite(synchronous: str) -> Fresh:
    """Return a maker of SQLite databases; ``synchronous`` is FULL or NORMAL."""

    @contextlib.contextmanager
    def fresh() -> Iterator[Place]:
        with tempfile.TemporaryDirectory(prefix="runfold-benchmark-") as folder:
            yield Place(
                f"sqlite-{synchronous.lower()}",
                f"sqlite:///{Path(folder) / 'benchmark.db'}",
                Settings(slots=SLOTS, synchronous=synchronous),
            )

    return fresh


@contextlib.contextmanager
def none() -> Iterator[Place]:
    """Yield the place of what needs no database."""
    yield Place("memory", "memory://", Settings(slots=SLOTS))


def postgresql(url: str) -> Fresh:
    """Return a maker of databases on the server of ``url``, whose role may create them."""

    @contextlib.contextmanager
    def fresh() -> Iterator[Place]:
        name = f"runfold_benchmark_{uuid4().hex}"
        asyncio.run(_execute(url, f'CREATE DATABASE "{name}"'))
        try:
            yield Place("postgresql", _with_database(url, name), Settings(slots=SLOTS))
        finally:
            asyncio.run(_execute(url, f'DROP DATABASE "{name}" WITH (FORCE)'))

    return fresh


async def query(url: str, statement: str) -> Any:
    """Return the one value that ``statement`` selects from a PostgreSQL database."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def _execute(url: str, statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _with_database(url: str, name: str) -> str:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    _, question, options = path.partition("?")
    return f"{scheme}://{host}/{name}{question}{options}"
