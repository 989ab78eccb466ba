"""A rebuild on SQLite: one transaction on a connection of its own, which is the log's lock."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Executable

from runfold.ports import LogIdentity
from runfold.settings import Settings
from runfold.store.sql.compiled import for_sqlite
from runfold.store.sql.rebuilding import SqlRebuilding
from runfold.store.sql.sqlite_lane import Lane
from runfold.store.sql.sqlite_open import connect
from runfold.store.sql.sqlite_values import clock, micros, moment


class SqliteSession:
    """A transaction on a connection that nobody else uses."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def rows(self, statement: Executable, **values: Any) -> list[Any]:
        """Return what ``statement`` answers."""
        text = for_sqlite(statement)
        asked = text.values(**values)
        return await self._lane.run(lambda c: c.execute(text.text, asked).fetchall())

    async def many(self, statement: Executable, values: Sequence[Mapping[str, Any]]) -> None:
        """Execute ``statement`` once for each of ``values``."""
        text = for_sqlite(statement)
        asked = [text.values(**one) for one in values]
        await self._lane.run(lambda c: c.executemany(text.text, asked))

    def moment(self, moment: datetime) -> int:
        """Return ``moment`` in microseconds."""
        return micros(moment)


@asynccontextmanager
async def rebuilding(
    path: Path, settings: Settings, identity: LogIdentity, now: datetime | None
) -> AsyncIterator[SqlRebuilding]:
    """Yield the emptied tables of the log, inside the transaction that ends with the block."""
    lane = Lane(connect(path, settings), str(path))
    try:
        await lane.run(_begin)
        tables = SqlRebuilding(SqliteSession(lane), identity, moment(clock(now)))
        await tables.begin()
        yield tables
        await tables.end()
        await lane.run(_commit)
    finally:
        lane.close()  # What was not committed is rolled back with the connection.


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")


def _commit(connection: sqlite3.Connection) -> None:
    connection.execute("COMMIT")
