"""What is said to the table of a build on SQLite, and how its values are written there."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Table, and_, delete, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from runfold.ports_views import ViewTable
from runfold.store.sql.compiled import ddl_for_sqlite
from runfold.store.sql.sqlite_values import micros, moment, param, prepared
from runfold.store.sql.view_counts import Counts, counts
from runfold.store.sql.view_tables import indexes, table_for
from runfold.store.view_rows import key_places

Values = tuple[Any, ...]


class Statements(NamedTuple):
    """Everything that is said to the table of a build, and how its values are written."""

    table: Table
    create: tuple[str, ...]
    drop: tuple[str, ...]
    indexes: tuple[str, ...]
    put: str
    remove: str
    get: str
    all: str
    kinds: dict[str, str]
    key: tuple[str, ...]
    moments: tuple[int, ...]
    bools: tuple[int, ...]
    counts: Counts

    def freeze_one(self, name: str, value: Any) -> Any:
        """Return ``value`` of a column as the file has it."""
        if value is None:
            return None
        kind = self.kinds[name]
        return micros(value) if kind == "moment" else int(value) if kind == "bool" else value

    def freeze_key(self, key: Values) -> Values:
        """Return a key as the file has it."""
        return tuple(
            [self.freeze_one(name, value) for name, value in zip(self.key, key, strict=True)]
        )

    def freeze(self, row: Values) -> Values:
        """Return a row as the file has it."""
        if not self.moments:
            return row  # A bool is an int to SQLite.
        changed = list(row)
        for place in self.moments:
            if changed[place] is not None:
                changed[place] = micros(changed[place])
        return tuple(changed)

    def thaw(self, row: Values) -> Values:
        """Return a row of the file as the view has it."""
        if not (self.moments or self.bools):
            return row
        changed = list(row)
        for place in self.moments:
            if changed[place] is not None:
                changed[place] = moment(changed[place])
        for place in self.bools:
            if changed[place] is not None:
                changed[place] = bool(changed[place])
        return tuple(changed)


@lru_cache(maxsize=256)
def statements(log: int, spec: ViewTable) -> Statements:
    """Return what is said to the table of this build."""
    table, sums = table_for(log, spec, postgres=False), counts(log, spec, postgres=False)
    names = [column.name for column in spec.columns]
    keys = [names[place] for place in key_places(spec)]
    wanted = upsert(table).values({name: param(name) for name in names})
    others = {name: wanted.excluded[name] for name in names if name not in keys}
    put = (
        wanted.on_conflict_do_update(index_elements=keys, set_=others)
        if others
        else wanted.on_conflict_do_nothing()
    )
    of_key = and_(*[table.c[name] == param(f"of_{name}") for name in keys])
    of_names = [f"of_{name}" for name in keys]
    return Statements(
        table,
        (ddl_for_sqlite(CreateTable(table)), *([sums.create] if spec.counts else [])),
        (ddl_for_sqlite(DropTable(table, if_exists=True)), sums.drop),
        tuple(ddl_for_sqlite(CreateIndex(one, if_not_exists=True)) for one in indexes(table)),
        prepared(put, *names),
        prepared(delete(table).where(of_key), *of_names),
        prepared(select(*table.c).where(of_key), *of_names),
        prepared(select(*table.c)),
        {column.name: column.kind for column in spec.columns},
        tuple(keys),
        tuple(n for n, column in enumerate(spec.columns) if column.kind == "moment"),
        tuple(n for n, column in enumerate(spec.columns) if column.kind == "bool"),
        sums,
    )
