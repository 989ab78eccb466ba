"""Views on SQLite: every write is short, as it holds the file's only write lock.

What takes long (sums, indexes, dropping) is done on a thread; indexes hold the lock meanwhile.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from operator import methodcaller
from typing import Any, Protocol, TypeVar

from sqlalchemy import Select, bindparam, insert, select

from runfold.ports_views import View, ViewPart, ViewQuery, ViewSum, ViewTable, ViewWrite
from runfold.store.sql import view_queries, view_registry
from runfold.store.sql.compiled import for_sqlite
from runfold.store.sql.schema import LOGS, VIEWS
from runfold.store.sql.sqlite_lane import transaction
from runfold.store.sql.sqlite_plans import settle_view
from runfold.store.sql.sqlite_values import clock, param, prepared
from runfold.store.sql.sqlite_view_statements import Statements, statements
from runfold.store.sql.view_counts import sums
from runfold.store.sql.view_tables import indexes
from runfold.store.view_rows import SUM_BELOW, digest, merged, of_counts

T = TypeVar("T")
Values = tuple[Any, ...]
_SECOND = 1_000_000
_PAGE = 1000

_PARTS = for_sqlite(view_registry.parts(bindparam("now")))
_OWN = for_sqlite(view_registry.own(bindparam("until"), bindparam("now"), together=False))
_ADVANCE = for_sqlite(view_registry.advance_one())
_DISOWN = for_sqlite(view_registry.disown())
_STOP = for_sqlite(view_registry.stop())
_RESUME = for_sqlite(view_registry.resume())
_REMOVE = for_sqlite(view_registry.remove())
_STANDING = for_sqlite(view_registry.standing())
_RETIRE = for_sqlite(view_registry.retire(bindparam("moment")))
_JOIN_PARTS = for_sqlite(view_registry.join_parts())
_ENLIVEN = for_sqlite(view_registry.enliven())
_COLUMNS = tuple(
    one.name for one in VIEWS.columns if one.name not in ("token", "expires_at", "error")
)
_CREATE = prepared(insert(VIEWS).values({name: param(name) for name in _COLUMNS}), *_COLUMNS)
_IDENTITY = prepared(
    select(LOGS.c.identity, LOGS.c.generation).where(LOGS.c.log_id == param("log_id")), "log_id"
)


class Held(Protocol):
    """What an open store does for its views."""

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``work`` reads."""
        ...

    async def write(self, work: Callable[[sqlite3.Connection], T], *, rows: int = 1) -> T:
        """Return what ``work`` has written, about so many rows."""
        ...

    async def write_long(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``work`` has written, on a thread."""
        ...

    def connect(self) -> sqlite3.Connection:
        """Return a connection of its own."""
        ...


class SqliteViews:
    """``ports.Views`` on the file of a store; ``log_id`` says of which log."""

    def __init__(self, held: Callable[[], Held], log_id: Callable[[], int]) -> None:
        self._held, self._log_id = held, log_id

    async def parts(self) -> list[View]:
        """Return every part of every build."""
        values = _PARTS.values(log_id=self._log_id(), now=clock())
        return await self._held().read(lambda c: _views(c, values))

    async def create(self, table: ViewTable, *, state: str, parts: int = 1) -> bool:
        """Make an empty table at position 0; False when this build is there already."""
        log, made = self._log_id(), statements(self._log_id(), table)

        def work(connection: sqlite3.Connection) -> bool:
            with transaction(connection):
                found = connection.execute(_STANDING.text, _at(_STANDING, log, table)).fetchall()
                if any(row[:2] == table[1:3] for row in found):
                    return False
                identity, generation = connection.execute(_IDENTITY, (log,)).fetchone()
                # A table that the registry does not know is left over from one that was dropped.
                for text in (*made.drop, *made.create):
                    connection.execute(text)
                for text in made.indexes if state == "live" else ():
                    connection.execute(text)
                settle_view(connection, made.table, indexes(made.table))
                for part in range(parts):
                    row = (0, clock(), log, *table[1:3], part, parts, generation, table.name,
                           state, table.shape, identity)  # fmt: skip
                    connection.execute(_CREATE, row)
                return True

        return await self._held().write(work)

    async def index(self, table: ViewTable) -> None:
        """Make the indexes that are not there yet."""
        made = statements(self._log_id(), table)
        for text in made.indexes:
            await self._held().write_long(methodcaller("execute", text))

        def settle(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                settle_view(connection, made.table, indexes(made.table))

        await self._held().write(settle)

    async def drop(self, table: ViewTable) -> None:
        """Remove a build."""
        log, made = self._log_id(), statements(self._log_id(), table)

        def work(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.execute(_REMOVE.text, _at(_REMOVE, log, table))
                for text in made.drop:
                    connection.execute(text)

        await self._held().write_long(work)

    async def own(
        self, token: int, wanted: Sequence[ViewPart], ttl: float, *, now: datetime | None = None
    ) -> list[View]:
        """Take what is free of ``wanted`` and renew what is held."""
        log, moment_ = self._log_id(), clock(now)
        until = moment_ + round(ttl * _SECOND)

        def work(connection: sqlite3.Connection) -> list[View]:
            with transaction(connection):
                for at in wanted:
                    values = _OWN.values(
                        until=until, now=moment_, of_token=token, **_named(log, at)
                    )
                    connection.execute(_OWN.text, values)
                views = _views(connection, _PARTS.values(log_id=log, now=moment_))
            return [view for view in views if view.token == token]

        return await self._held().write(work)

    async def disown(self, token: int) -> None:
        """Give back everything that the token holds."""
        values = _DISOWN.values(of_log_id=self._log_id(), of_token=token)
        await self._change(_DISOWN.text, values)

    async def apply(self, token: int, writes: Sequence[ViewWrite]) -> list[bool]:
        """Write what the token owns and knows the place of, in one transaction."""
        log = self._log_id()

        def work(connection: sqlite3.Connection) -> list[bool]:
            with transaction(connection):
                return [_apply(connection, log, token, write) for write in writes]

        rows = sum(len(write.put) + len(write.delete) + 1 for write in writes)
        return await self._held().write(work, rows=rows)

    async def stop(self, token: int, at: ViewPart, error: str) -> bool:
        """Note why a part cannot go on, and give it back."""
        named = _named(self._log_id(), at)
        values = _STOP.values(of_token=token, why=error, **named)
        return bool(await self._change(_STOP.text, values))

    async def resume(self, name: str) -> int:
        """Let what has stopped of ``name`` go on."""
        values = _RESUME.values(of_log_id=self._log_id(), of_name=name)
        return await self._change(_RESUME.text, values)

    async def switch(self, table: ViewTable) -> bool:
        """Make this build the live one, and the live one old."""
        log = self._log_id()

        def work(connection: sqlite3.Connection) -> bool:
            with transaction(connection):
                rows = connection.execute(_STANDING.text, _at(_STANDING, log, table)).fetchall()
                return _switch(connection, log, table, rows)

        return await self._held().write(work)

    async def get(self, table: ViewTable, keys: Sequence[Values]) -> dict[Values, Values]:
        """Return the rows of these keys that exist."""
        made = statements(self._log_id(), table)

        def work(connection: sqlite3.Connection) -> dict[Values, Values]:
            found = {}
            for key in keys:
                row = connection.execute(made.get, made.freeze_key(key)).fetchone()
                if row is not None:
                    found[key] = made.thaw(row)
            return found

        return await self._held().read(work)

    async def query(self, table: ViewTable, query: ViewQuery) -> list[Values]:
        """Return the rows of the query, in its order."""
        made = statements(self._log_id(), table)
        wanted = view_queries.rows_of(made.table, query, made.freeze_one)
        rows = await self._held().read(lambda c: _all(c, made, wanted, query))
        if query.either:
            rows = merged(table, query, rows)
        return [made.thaw(row) for row in rows]

    async def count(self, table: ViewTable, query: ViewQuery) -> int:
        """Return how many rows are equal and in range."""
        counted = table.counts_for(query)
        if counted is not None:
            return sum((await self.counts(table, counted)).values())
        made = statements(self._log_id(), table)
        wanted = view_queries.count_of(made.table, query, made.freeze_one)
        rows = await self._held().read(lambda c: _all(c, made, wanted, query))
        return sum([int(row[0]) for row in rows])

    async def counts(
        self, table: ViewTable, equal: Sequence[tuple[str, str]] = ()
    ) -> dict[tuple[str, ...], int]:
        """Return how many rows have which counted values."""
        made = statements(self._log_id(), table)
        return await self._held().read(lambda c: _counts(c, made, table, equal))

    async def checksum(self, table: ViewTable) -> ViewSum:
        """Return the sum of all rows and the position that they are at."""
        return await asyncio.to_thread(self._checksum, table)

    def _checksum(self, table: ViewTable) -> ViewSum:
        log, made, connection = self._log_id(), statements(self._log_id(), table), None
        try:
            connection = self._held().connect()
            connection.execute("BEGIN")  # One moment for place and rows.
            standing = connection.execute(_STANDING.text, _at(_STANDING, log, table)).fetchall()
            places = [row[4] for row in standing if row[:2] == table[1:3]]
            counts: list[int] = []
            total = digest(_thawed(made, connection.execute(made.all), counts))
            if table.counts:
                total += digest(of_counts(_counts(connection, made, table, ())))
            return ViewSum(min(places, default=0), len(counts), total % SUM_BELOW)
        finally:
            if connection is not None:
                connection.close()

    async def _change(self, text: str, values: Sequence[Any]) -> int:
        def work(connection: sqlite3.Connection) -> int:
            with transaction(connection):
                return connection.execute(text, values).rowcount

        return await self._held().write(work)


def _named(log: int, at: ViewPart) -> dict[str, Any]:
    return {
        "of_log_id": log, "of_name": at.name, "of_version": at.version, "of_build": at.build,
        "of_part": at.part,
    }  # fmt: skip


def _at(statement: Any, log: int, table: ViewTable, **more: Any) -> Sequence[Any]:
    values = _named(log, ViewPart(*table[:3])) | more
    return statement.values(**values)  # type: ignore[no-any-return]


def _views(connection: sqlite3.Connection, values: Sequence[Any]) -> list[View]:
    return [
        View(
            ViewPart(*row[:4]),
            row[4],
            row[5],
            row[6],
            row[7],
            row[8] if row[9] else None,
            row[10],
            bool(row[11]),
            (row[13] - row[12]) / _SECOND,
        )
        for row in connection.execute(_PARTS.text, values)
    ]


def _apply(connection: sqlite3.Connection, log: int, token: int, write: ViewWrite) -> bool:
    named = _named(log, ViewPart(*write.table[:3], write.part))
    values = _ADVANCE.values(
        of_token=token, after=write.after, upto=write.upto, moment=clock(), **named
    )
    if connection.execute(_ADVANCE.text, values).rowcount != 1:
        return False
    made = statements(log, write.table)
    if write.delete:
        connection.executemany(made.remove, [made.freeze_key(key) for key in write.delete])
    if write.put:
        connection.executemany(made.put, [made.freeze(row) for row in write.put])
    if write.counts:
        names, add = write.table.counts, made.counts.add
        for of, by in write.counts:
            given = {f"of_{name}": value for name, value in zip(names, of, strict=True)}
            connection.execute(add.text, add.values(in_rows=by, **given))
    return True


def _all(
    connection: sqlite3.Connection, made: Statements, wanted: Select[Any], query: ViewQuery
) -> list[Values]:
    """Return what is ``wanted`` of each alternative of ``query``, as of one moment."""
    names = [name for name, _ in query.either[0]] if query.either else []
    of = [made.table.c[name] == bindparam(f"either_{name}") for name in names]
    asked = for_sqlite(wanted.where(*of))
    if not of:
        return connection.execute(asked.text, asked.values()).fetchall()
    rows: list[Values] = []
    connection.execute("BEGIN")
    try:
        for one in query.either:
            given = {f"either_{name}": made.freeze_one(name, value) for name, value in one}
            rows += connection.execute(asked.text, asked.values(**given))
    finally:
        connection.execute("COMMIT")
    return rows


def _counts(
    connection: sqlite3.Connection,
    made: Statements,
    table: ViewTable,
    equal: Sequence[tuple[str, Any]],
) -> dict[tuple[str, ...], int]:
    wanted = for_sqlite(sums(made.counts.table, table, equal))
    rows = connection.execute(wanted.text, wanted.values()).fetchall()
    return {row[:-1]: row[-1] for row in rows}


def _switch(
    connection: sqlite3.Connection, log: int, table: ViewTable, rows: Sequence[Values]
) -> bool:
    """Switch, ``rows`` being all parts of all builds of the name; see ``ports.Views``."""
    ours = [row for row in rows if row[:2] == table[1:3]]
    live = next((row for row in rows if row[3] == "live"), None)
    places = {row[4] for row in ours}
    if len(places) != 1 or live in ours or (live and live[4] > max(places)):
        return False
    if live is not None:
        before = table._replace(version=live[0], build=live[1])
        connection.execute(_RETIRE.text, _at(_RETIRE, log, before, moment=clock()))
    connection.execute(_JOIN_PARTS.text, _at(_JOIN_PARTS, log, table))
    held = live if live is not None and live[0] == table.version else ours[0]
    connection.execute(_ENLIVEN.text, _at(_ENLIVEN, log, table, keeper=held[5], until=held[6]))
    return True


def _thawed(made: Statements, rows: Any, counts: list[int]) -> Iterator[Values]:
    for row in rows:
        counts.append(1)
        yield made.thaw(row)
