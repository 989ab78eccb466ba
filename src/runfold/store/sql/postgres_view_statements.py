"""What is said to the table of a build on PostgreSQL: rows travel as one array a column."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Double,
    LargeBinary,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    func,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

from runfold.ports_views import ViewTable
from runfold.store.sql.compiled import Compiled, ddl_for_postgres, for_postgres
from runfold.store.sql.postgres_arrays import Literal, moments, numbers, texts
from runfold.store.sql.view_counts import Counts, counts
from runfold.store.sql.view_tables import indexes, table_for
from runfold.store.view_rows import key_places

Values = tuple[Any, ...]
_ARRAYS: dict[str, TypeEngine[Any]] = {
    "text": Text(), "int": BigInteger(), "real": Double(), "bool": Boolean(),
    "moment": DateTime(timezone=True), "bytes": LargeBinary(), "json": Text(),
}  # fmt: skip
_LITERALS: dict[str, Literal] = {
    "text": texts, "int": numbers, "real": numbers, "bool": numbers, "moment": moments,
    "json": texts,
}  # fmt: skip
"""How a column of a kind is written as a text; one of ``bytes`` stays a list."""


class Statements(NamedTuple):
    """Everything that is said to the table of a build."""

    table: Table
    create: tuple[str, ...]
    drop: tuple[str, ...]
    indexes: tuple[str, ...]
    put: Compiled
    remove: Compiled
    get: Compiled
    names: tuple[str, ...]
    key: tuple[str, ...]
    places: tuple[int, ...]
    """Where the key stands in a row."""
    counts: Counts
    literals: dict[str, Literal]

    def arrays(self, names: Sequence[str], rows: Sequence[Values]) -> dict[str, Any]:
        """Return the parameters for ``rows`` of these columns: an array each."""
        columns = zip(*rows, strict=True)
        return {
            f"of_{name}": self.literals.get(name, list)(column)
            for name, column in zip(names, columns, strict=True)
        }


@lru_cache(maxsize=256)
def statements(log: int, spec: ViewTable) -> Statements:
    """Return what is said to the table of this build."""
    table, sums = table_for(log, spec, postgres=True), counts(log, spec, postgres=True)
    names = tuple(column.name for column in spec.columns)
    places = tuple(key_places(spec))
    keys = tuple(names[place] for place in places)
    kinds = {column.name: column.kind for column in spec.columns}
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
    return Statements(
        table,
        (ddl_for_postgres(CreateTable(table)), *([sums.create] if spec.counts else [])),
        (ddl_for_postgres(DropTable(table, if_exists=True)), sums.drop),
        tuple(ddl_for_postgres(CreateIndex(one, if_not_exists=True)) for one in indexes(table)),
        for_postgres(put),
        for_postgres(delete(table).where(of_key)),
        for_postgres(_each(chosen, select(*table.c).where(of_key))),
        names,
        keys,
        places,
        sums,
        {name: _LITERALS[kind] for name, kind in kinds.items() if kind in _LITERALS},
    )


def _given(kinds: dict[str, str], names: Sequence[str]) -> TableValuedAlias:
    arrays = [_array(f"of_{name}", kinds[name]) for name in names]
    return func.unnest(*arrays).table_valued(*names).render_derived("given")


def _array(name: str, kind: str) -> ColumnElement[Any]:
    array = ARRAY(_ARRAYS[kind])
    if kind not in _LITERALS:
        return bindparam(name, type_=array)
    return cast(bindparam(name, type_=Text()), array)


def _each(given: TableValuedAlias, probe: Select[Any]) -> Select[Any]:
    """Return what ``probe`` finds for each row of ``given``; the limit keeps it a probe."""
    found = probe.correlate(given).limit(1).lateral("found")
    return select(*found.c).select_from(given.join(found, true()))
