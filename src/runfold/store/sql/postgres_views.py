"""Views on PostgreSQL: a connection of their own, so that no commit waits for one of theirs.

Rows travel as one array a column. Parts of the registry are moved by one statement; what is
held by somebody else at that moment is not moved, and its rows are not written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import lru_cache
from operator import methodcaller
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    DateTime,
    Double,
    LargeBinary,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

from runfold.errors import SchemaOutdated
from runfold.ports_views import View, ViewPart, ViewQuery, ViewSum, ViewTable, ViewWrite
from runfold.store.sql import view_queries, view_registry
from runfold.store.sql.compiled import Compiled, ddl_for_postgres, for_postgres
from runfold.store.sql.member_queries import until
from runfold.store.sql.postgres_driver import DENIED, Link
from runfold.store.sql.postgres_line import Line, Lines
from runfold.store.sql.schema import LOGS, SCHEMA, VIEWS
from runfold.store.sql.view_tables import indexes, table_for
from runfold.store.view_rows import digest, key_places

T = TypeVar("T")
Values = tuple[Any, ...]
_PAGE = 5000

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
_RETIRE = for_postgres(view_registry.retire())
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
_ARRAYS: dict[str, TypeEngine[Any]] = {
    "text": Text(), "int": BigInteger(), "real": Double(), "bool": Boolean(),
    "moment": DateTime(timezone=True), "bytes": LargeBinary(), "json": Text(),
}  # fmt: skip


class PostgresViews:
    """``ports.Views`` over a line of its own; reads go through those of the store."""

    def __init__(self, log_id: Callable[[], int], place: str) -> None:
        self._log_id, self._place = log_id, place
        self._line: Line | None = None
        self._readers: Lines | None = None

    def connect(self, line: Line, readers: Lines) -> None:
        """Use these from now on."""
        self._line, self._readers = line, readers

    async def parts(self) -> list[View]:
        """Return every part of every build."""
        return await self._read(self._parts)

    async def create(self, table: ViewTable, *, state: str, parts: int = 1) -> bool:
        """Make an empty table at position 0; False when this build is there already."""
        log, made = self._log_id(), _statements(self._log_id(), table)
        values = _REGISTER.values(
            position=0, log_id=log, name=table.name, version=table.version, build=table.build,
            numbers=list(range(parts)), parts=parts, state=state, shape=table.shape,
        )  # fmt: skip

        async def ask(link: Link) -> bool:
            # The registry first: whoever else makes this build waits there, and finds it made.
            if not await link.rows(_REGISTER.text, values):
                return False
            # A table that the registry does not know is left over from one that was dropped.
            for text in (made.drop, made.create, *(made.indexes if state == "live" else ())):
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
        for text in _statements(self._log_id(), table).indexes:
            await self._write(methodcaller("patiently", text))

    async def drop(self, table: ViewTable) -> None:
        """Remove a build."""
        log, made = self._log_id(), _statements(self._log_id(), table)

        async def ask(link: Link) -> None:
            await link.rows(_REMOVE.text, _at(_REMOVE, log, table))
            await link.patiently(made.drop)

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
                    await _write_rows(link, _statements(log, write.table), write)
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
        made = _statements(self._log_id(), table)
        arrays = made.arrays(made.key, keys)
        rows = await self._read(lambda link: link.rows(made.get.text, made.get.values(**arrays)))
        return {tuple([row[n] for n in made.places]): tuple(row) for row in rows}

    async def query(self, table: ViewTable, query: ViewQuery) -> list[Values]:
        """Return the rows of the query, in its order."""
        made = _statements(self._log_id(), table)
        wanted = for_postgres(view_queries.rows_of(made.table, query, _as_it_is))
        rows = await self._read(lambda link: link.rows(wanted.text, wanted.values()))
        return [tuple(row) for row in rows]

    async def count(self, table: ViewTable, query: ViewQuery) -> int:
        """Return how many rows are equal and in range."""
        made = _statements(self._log_id(), table)
        wanted = for_postgres(view_queries.count_of(made.table, query, _as_it_is))
        return int(await self._read(lambda link: link.value(wanted.text, wanted.values())))

    async def checksum(self, table: ViewTable) -> ViewSum:
        """Return the sum of all rows and the position that they are at."""
        log, made = self._log_id(), _statements(self._log_id(), table)
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
            return ViewSum(min(places, default=0), count, total % (1 << 64))

        return await self._read(lambda link: _together(link, ask, snapshot=True))

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
            )
            for row in map(tuple, rows)
        ]

    async def _read(self, ask: Callable[[Link], Awaitable[T]]) -> T:
        assert self._readers is not None
        return await self._readers.call(ask)

    async def _write(self, ask: Callable[[Link], Awaitable[T]]) -> T:
        assert self._line is not None
        return await self._line.call(ask)


class _Statements(NamedTuple):
    """Everything that is said to the table of a build."""

    table: Table
    create: str
    drop: str
    indexes: tuple[str, ...]
    put: Compiled
    remove: Compiled
    get: Compiled
    names: tuple[str, ...]
    key: tuple[str, ...]
    places: tuple[int, ...]
    """Where the key stands in a row."""

    @staticmethod
    def arrays(names: Sequence[str], rows: Sequence[Values]) -> dict[str, Any]:
        """Return the parameters for ``rows`` of these columns: an array each."""
        columns = zip(*rows, strict=True)
        return {f"of_{name}": list(column) for name, column in zip(names, columns, strict=True)}


@lru_cache(maxsize=256)
def _statements(log: int, spec: ViewTable) -> _Statements:
    table = table_for(log, spec, postgres=True)
    names = tuple(column.name for column in spec.columns)
    places = tuple(key_places(spec))
    keys = tuple(names[place] for place in places)
    kinds = {column.name: _ARRAYS[column.kind] for column in spec.columns}
    given = _given(kinds, names)
    wanted = insert(table).from_select(names, select(*given.c))
    others = {name: wanted.excluded[name] for name in names if name not in keys}
    put = (
        wanted.on_conflict_do_update(index_elements=keys, set_=others)
        if others
        else wanted.on_conflict_do_nothing()
    )
    chosen = _given(kinds, keys)
    of_key = and_(*[table.c[name] == chosen.c[name] for name in keys])
    return _Statements(
        table,
        ddl_for_postgres(CreateTable(table)),
        ddl_for_postgres(DropTable(table, if_exists=True)),
        tuple(ddl_for_postgres(CreateIndex(one, if_not_exists=True)) for one in indexes(table)),
        for_postgres(put),
        for_postgres(delete(table).where(of_key)),
        for_postgres(_each(chosen, select(*table.c).where(of_key))),
        names,
        keys,
        places,
    )


def _given(kinds: dict[str, TypeEngine[Any]], names: Sequence[str]) -> TableValuedAlias:
    arrays = [bindparam(f"of_{name}", type_=ARRAY(kinds[name])) for name in names]
    return func.unnest(*arrays).table_valued(*names).render_derived("given")


def _each(given: TableValuedAlias, probe: Select[Any]) -> Select[Any]:
    """Return what ``probe`` finds for each row of ``given``; the limit keeps it a probe."""
    found = probe.correlate(given).limit(1).lateral("found")
    return select(*found.c).select_from(given.join(found, true()))


async def _together(
    link: Link, ask: Callable[[Link], Awaitable[T]], *, snapshot: bool = False
) -> T:
    async with link.transaction(snapshot=snapshot):
        return await ask(link)


async def _write_rows(link: Link, made: _Statements, write: ViewWrite) -> None:
    if write.delete:
        values = made.remove.values(**made.arrays(made.key, write.delete))
        await link.rows(made.remove.text, values)
    if write.put:
        await link.rows(made.put.text, made.put.values(**made.arrays(made.names, write.put)))


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
