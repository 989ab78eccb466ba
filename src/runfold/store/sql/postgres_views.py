"""Views on PostgreSQL: a connection of their own, so that no commit waits for one of theirs.

Rows travel as one array a column. Parts of the registry are moved by one statement; what is
held by somebody else at that moment is not moved, and its rows are not written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from operator import methodcaller
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Text,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from runfold.errors import SchemaOutdated
from runfold.ports_views import View, ViewPart, ViewQuery, ViewSum, ViewTable, ViewWrite
from runfold.store.sql import view_queries, view_registry
from runfold.store.sql.compiled import Compiled, for_postgres
from runfold.store.sql.member_queries import until
from runfold.store.sql.postgres_driver import DENIED, Link
from runfold.store.sql.postgres_line import Line, Lines
from runfold.store.sql.postgres_view_statements import Statements, statements
from runfold.store.sql.schema import LOGS, SCHEMA, VIEWS
from runfold.store.sql.view_counts import sums
from runfold.store.view_rows import SUM_BELOW, digest, of_counts

T = TypeVar("T")
Values = tuple[Any, ...]
_PAGE = 5000
_MINUTE = 60.0

_NOW = func.coalesce(bindparam("now", type_=DateTime(timezone=True)), func.clock_timestamp())
_PARTS = for_postgres(view_registry.parts(_NOW))
_OWN = for_postgres(view_registry.own(until(), _NOW, together=True))
_ADVANCE = for_postgres(view_registry.advance())
_DISOWN = for_postgres(view_registry.disown())
_STOP = for_postgres(view_registry.stop().returning(VIEWS.c.part))
_RESUME = for_postgres(view_registry.resume().returning(VIEWS.c.part))
_REMOVE = for_postgres(view_registry.remove())
_STANDING_NOW = for_postgres(view_registry.standing())
_STANDING = for_postgres(view_registry.standing().with_for_update())
_RETIRE = for_postgres(view_registry.retire(func.clock_timestamp()))
_JOIN_PARTS = for_postgres(view_registry.join_parts())
_ENLIVEN = for_postgres(view_registry.enliven())
_REGISTER = for_postgres(
    insert(VIEWS)
    .from_select(
        [
            "position", "saved_at", "log_id", "version", "build", "part", "parts",
            "generation", "name", "state", "shape", "identity",
        ],
        select(
            bindparam("position", type_=BigInteger()), func.clock_timestamp(), LOGS.c.log_id,
            bindparam("version", type_=VIEWS.c.version.type),
            bindparam("build", type_=VIEWS.c.build.type),
            func.unnest(bindparam("numbers", type_=ARRAY(VIEWS.c.part.type))),
            bindparam("parts", type_=VIEWS.c.parts.type), LOGS.c.generation,
            bindparam("name", type_=Text()), bindparam("state", type_=Text()),
            bindparam("shape", type_=Text()), LOGS.c.identity,
        ).where(LOGS.c.log_id == bindparam("log_id")),
    )
    .on_conflict_do_nothing()
    .returning(VIEWS.c.part)
)  # fmt: skip


class PostgresViews:
    """``ports.Views`` over a line of its own; reads go through those of the store."""

    def __init__(self, log_id: Callable[[], int], place: str) -> None:
        self._log_id, self._place = log_id, place
        self._line: Line | None = None
        self._readers: Lines | None = None
        self._settled: dict[tuple[str, int, int], float] = {}
        """When the counts of a build were put together last, by the clock of the loop."""

    def connect(self, line: Line, readers: Lines) -> None:
        """Use these from now on."""
        self._line, self._readers = line, readers

    async def parts(self) -> list[View]:
        """Return every part of every build."""
        return await self._read(self._parts)

    async def create(self, table: ViewTable, *, state: str, parts: int = 1) -> bool:
        """Make an empty table at position 0; False when this build is there already."""
        log, made = self._log_id(), statements(self._log_id(), table)
        values = _REGISTER.values(
            position=0, log_id=log, name=table.name, version=table.version, build=table.build,
            numbers=list(range(parts)), parts=parts, state=state, shape=table.shape,
        )  # fmt: skip

        async def ask(link: Link) -> bool:
            # The registry first: whoever else makes this build waits there, and finds it made.
            if not await link.rows(_REGISTER.text, values):
                return False
            # A table that the registry does not know is left over from one that was dropped.
            for text in (*made.drop, *made.create, *(made.indexes if state == "live" else ())):
                await link.patiently(text)
            return True

        try:
            return await self._write(lambda link: _together(link, ask))
        except DENIED as error:
            raise SchemaOutdated(
                f"the role of {self._place} may not create the table of projection "
                f"{table.name!r}: {error}; grant it CREATE on schema {SCHEMA}, or serve the role "
                "`projector` elsewhere"
            ) from error

    async def index(self, table: ViewTable) -> None:
        """Make the indexes that are not there yet."""
        for text in statements(self._log_id(), table).indexes:
            await self._write(methodcaller("patiently", text))

    async def drop(self, table: ViewTable) -> None:
        """Remove a build."""
        log, made = self._log_id(), statements(self._log_id(), table)

        async def ask(link: Link) -> None:
            await link.rows(_REMOVE.text, _at(_REMOVE, log, table))
            for text in made.drop:
                await link.patiently(text)

        await self._write(lambda link: _together(link, ask))

    async def own(
        self, token: int, wanted: Sequence[ViewPart], ttl: float, *, now: datetime | None = None
    ) -> list[View]:
        """Take what is free of ``wanted`` and renew what is held."""
        values = _OWN.values(
            log_id=self._log_id(), of_token=token, ttl=ttl, now=now, **_columns(wanted)
        )

        async def ask(link: Link) -> list[View]:
            await link.rows(_OWN.text, values)
            return [view for view in await self._parts(link, now) if view.token == token]

        return await self._write(ask)

    async def disown(self, token: int) -> None:
        """Give back everything that the token holds."""
        values = _DISOWN.values(of_log_id=self._log_id(), of_token=token)
        await self._write(lambda link: link.rows(_DISOWN.text, values))

    async def apply(self, token: int, writes: Sequence[ViewWrite]) -> list[bool]:
        """Write what the token owns and knows the place of, in one transaction."""
        log, ats = self._log_id(), [ViewPart(*one.table[:3], one.part) for one in writes]
        values = _ADVANCE.values(
            log_id=log, of_token=token, **_columns(ats),
            afters=[one.after for one in writes], uptos=[one.upto for one in writes],
        )  # fmt: skip

        async def ask(link: Link) -> list[bool]:
            moved = {ViewPart(*row) for row in await link.rows(_ADVANCE.text, values)}
            for at, write in zip(ats, writes, strict=True):
                if at in moved:
                    await _write_rows(link, statements(log, write.table), write)
                    await self._settle(link, log, write)
            return [at in moved for at in ats]

        return await self._write(lambda link: _together(link, ask))

    async def stop(self, token: int, at: ViewPart, error: str) -> bool:
        """Note why a part cannot go on, and give it back."""
        values = _STOP.values(of_token=token, why=error, **_named(self._log_id(), at))
        return bool(await self._write(lambda link: link.rows(_STOP.text, values)))

    async def resume(self, name: str) -> int:
        """Let what has stopped of ``name`` go on."""
        values = _RESUME.values(of_log_id=self._log_id(), of_name=name)
        return len(await self._write(lambda link: link.rows(_RESUME.text, values)))

    async def switch(self, table: ViewTable) -> bool:
        """Make this build the live one, and the live one old."""
        log = self._log_id()

        async def ask(link: Link) -> bool:
            rows = await link.rows(_STANDING.text, _at(_STANDING, log, table))
            return await _switch(link, log, table, [tuple(row) for row in rows])

        return await self._write(lambda link: _together(link, ask))

    async def get(self, table: ViewTable, keys: Sequence[Values]) -> dict[Values, Values]:
        """Return the rows of these keys that exist."""
        if not keys:
            return {}
        made = statements(self._log_id(), table)
        arrays = made.arrays(made.key, keys)
        rows = await self._read(lambda link: link.rows(made.get.text, made.get.values(**arrays)))
        return {tuple([row[n] for n in made.places]): tuple(row) for row in rows}

    async def query(self, table: ViewTable, query: ViewQuery) -> list[Values]:
        """Return the rows of the query, in its order."""
        made = statements(self._log_id(), table)
        ask = view_queries.rows_of_either if query.either else view_queries.rows_of
        wanted = for_postgres(ask(made.table, query, _as_it_is))
        rows = await self._read(lambda link: link.rows(wanted.text, wanted.values()))
        return [tuple(row) for row in rows]

    async def count(self, table: ViewTable, query: ViewQuery) -> int:
        """Return how many rows are equal and in range."""
        counted = table.counts_for(query)
        if counted is not None:
            return sum((await self.counts(table, counted)).values())
        made = statements(self._log_id(), table)
        ask = view_queries.count_of_either if query.either else view_queries.count_of
        wanted = for_postgres(ask(made.table, query, _as_it_is))
        return int(await self._read(lambda link: link.value(wanted.text, wanted.values())))

    async def counts(
        self, table: ViewTable, equal: Sequence[tuple[str, str]] = ()
    ) -> dict[tuple[str, ...], int]:
        """Return how many rows have which counted values."""
        made = statements(self._log_id(), table)
        return await self._read(lambda link: _counts(link, made, table, equal))

    async def checksum(self, table: ViewTable) -> ViewSum:
        """Return the sum of all rows and the position that they are at."""
        log, made = self._log_id(), statements(self._log_id(), table)
        order = tuple(table.key)

        async def ask(link: Link) -> ViewSum:
            standing = await link.rows(_STANDING_NOW.text, _at(_STANDING_NOW, log, table))
            places = [row[4] for row in standing if tuple(row)[:2] == table[1:3]]
            total, count, page = 0, 0, ViewQuery(order=order, limit=_PAGE)
            rows: Sequence[Any] = (None,)
            while rows:
                wanted = for_postgres(view_queries.rows_of(made.table, page, _as_it_is))
                rows = [tuple(row) for row in await link.rows(wanted.text, wanted.values())]
                total, count = total + digest(rows), count + len(rows)
                if rows:
                    page = page._replace(after=tuple([rows[-1][n] for n in made.places]))
            if table.counts:
                total += digest(of_counts(await _counts(link, made, table, ())))
            return ViewSum(min(places, default=0), count, total % SUM_BELOW)

        return await self._read(lambda link: _together(link, ask, snapshot=True))

    async def _settle(self, link: Link, log: int, write: ViewWrite) -> None:
        """Once a minute, put the sums of the minutes that are over together."""
        settle, at = statements(log, write.table).counts.settle, write.table[:3]
        now = asyncio.get_running_loop().time()
        if write.part or settle is None or not write.counts:
            return
        if now >= self._settled.get(at, 0.0) + _MINUTE:
            await link.rows(settle.text, settle.values())
            self._settled[at] = now

    async def _parts(self, link: Link, now: datetime | None = None) -> list[View]:
        rows = await link.rows(_PARTS.text, _PARTS.values(log_id=self._log_id(), now=now))
        return [
            View(
                ViewPart(*row[:4]),
                row[4],
                row[5],
                row[6],
                row[7],
                row[8] if row[9] else None,
                row[10],
                row[11],
                (row[13] - row[12]).total_seconds(),
            )
            for row in map(tuple, rows)
        ]

    async def _read(self, ask: Callable[[Link], Awaitable[T]]) -> T:
        assert self._readers is not None
        return await self._readers.call(ask)

    async def _write(self, ask: Callable[[Link], Awaitable[T]]) -> T:
        assert self._line is not None
        return await self._line.call(ask)


async def _together(
    link: Link, ask: Callable[[Link], Awaitable[T]], *, snapshot: bool = False
) -> T:
    async with link.transaction(snapshot=snapshot):
        return await ask(link)


async def _write_rows(link: Link, made: Statements, write: ViewWrite) -> None:
    if write.delete:
        values = made.remove.values(**made.arrays(made.key, write.delete))
        await link.rows(made.remove.text, values)
    if write.put:
        await link.rows(made.put.text, made.put.values(**made.arrays(made.names, write.put)))
    if write.counts:
        names = [f"of_{name}" for name in write.table.counts]
        of = dict(zip(names, map(list, zip(*[of for of, _ in write.counts], strict=True)),
                      strict=True))  # fmt: skip
        add = made.counts.add
        values = add.values(in_rows=[by for _, by in write.counts], **of)
        await link.rows(add.text, values)


async def _counts(
    link: Link, made: Statements, table: ViewTable, equal: Sequence[tuple[str, Any]]
) -> dict[tuple[str, ...], int]:
    wanted = for_postgres(sums(made.counts.table, table, equal))
    rows = await link.rows(wanted.text, wanted.values())
    return {tuple(row)[:-1]: row[-1] for row in rows}


async def _switch(link: Link, log: int, table: ViewTable, rows: Sequence[Values]) -> bool:
    """Switch, ``rows`` being all parts of all builds of the name; see ``ports.Views``."""
    ours = [row for row in rows if row[:2] == table[1:3]]
    live = next((row for row in rows if row[3] == "live"), None)
    places = {row[4] for row in ours}
    if len(places) != 1 or live in ours or (live and live[4] > max(places)):
        return False
    if live is not None:
        before = table._replace(version=live[0], build=live[1])
        await link.rows(_RETIRE.text, _at(_RETIRE, log, before))
    await link.rows(_JOIN_PARTS.text, _at(_JOIN_PARTS, log, table))
    held = live if live is not None and live[0] == table.version else ours[0]
    values = _at(_ENLIVEN, log, table, keeper=held[5], until=held[6])
    await link.rows(_ENLIVEN.text, values)
    return True


def _columns(ats: Sequence[ViewPart]) -> dict[str, list[Any]]:
    return {f"{name}s": [getattr(at, name) for at in ats] for name in ViewPart._fields}


def _named(log: int, at: ViewPart) -> dict[str, Any]:
    return {f"of_{name}": getattr(at, name) for name in ViewPart._fields} | {"of_log_id": log}


def _at(statement: Compiled, log: int, table: ViewTable, **more: Any) -> Sequence[Any]:
    return statement.values(**_named(log, ViewPart(*table[:3])), **more)


def _as_it_is(name: str, value: Any) -> Any:
    del name
    return value
