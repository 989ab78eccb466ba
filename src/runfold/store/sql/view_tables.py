"""The registry of views, and the table that a build of a projection has.

The tables of builds are made and dropped while the engine runs, so they are no part of the
schema's revisions. Each belongs to one log: it can be filled without indexes and dropped
whole, whatever other logs do. NULL is lower than every value, in every order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

from runfold.ports_views import ViewTable
from runfold.store.sql.columns import METADATA, MOMENT, SCHEMA, column, log_id
from runfold.store.view_rows import table_name

VIEWS = Table(
    "views",
    METADATA,
    column("position", BigInteger(), "the last event that its rows contain"),
    column("token", BigInteger(), "who keeps it", null=True),
    column("expires_at", MOMENT, "end of the keeper's lease unless renewed", null=True),
    column("saved_at", MOMENT, "when its position last moved"),
    log_id(),
    column("version", Integer(), "version of the projection"),
    column("build", Integer(), "counts the builds of this version, from 1"),
    column("part", Integer(), "which part of the build, from 0"),
    column("parts", Integer(), "how many parts the build has"),
    column("generation", Integer(), "of the log it was made for"),
    column("name", Text(), "name of the projection"),
    column("state", Text(), "live, building or old"),
    column("shape", Text(), "hash of columns, key and indexes"),
    column("identity", Text(), "of the log it was made for"),
    column("error", Text(), "JSON: why it stopped; null: it did not", null=True),
    PrimaryKeyConstraint("log_id", "name", "version", "build", "part", name="views_pk"),
    comment="Builds of projections: which is live, how far they are, who keeps them.",
    sqlite_with_rowid=False,
)

_POSTGRES: dict[str, TypeEngine[Any]] = {
    "text": Text(collation="C"),  # Ordered alike in every database.
    "int": BigInteger(),
    "real": Double(),
    "bool": Boolean(),
    "moment": DateTime(timezone=True),
    "bytes": LargeBinary(),
    "json": Text(collation="C"),
}
_SQLITE = _POSTGRES | {
    "text": Text(),
    "bool": Integer(),
    "moment": BigInteger(),
    "json": Text(),
}


@lru_cache(maxsize=256)
def table_for(log: int, spec: ViewTable, *, postgres: bool) -> Table:
    """Return the table of a build, with the indexes that it will have."""
    kinds = _POSTGRES if postgres else _SQLITE
    name = table_name(log, spec)
    table = Table(
        name,
        MetaData(schema=SCHEMA if postgres else None),
        *[Column(one.name, kinds[one.kind], nullable=one.null) for one in spec.columns],
        PrimaryKeyConstraint(*spec.key, name=f"{name}_pk"),
        sqlite_with_rowid=False,
        # Rows that change stay on their page, where no index has to know.
        postgresql_with={"fillfactor": 85},
    )
    for number, wanted in enumerate(spec.indexes, start=1):
        Index(f"{name}_{number}", *[_sorted(table, one, postgres) for one in wanted])
    return table


def indexes(table: Table) -> list[Index]:
    """Return the indexes of a build in the order of their numbers."""
    return sorted(table.indexes, key=lambda index: str(index.name))


def _sorted(table: Table, name: str, postgres: bool) -> Any:
    at = table.c[name.removeprefix("-")]
    if not at.nullable or not postgres:  # SQLite has NULL lowest, and no words to say so here.
        return at.desc() if name.startswith("-") else at
    return at.desc().nulls_last() if name.startswith("-") else at.asc().nulls_first()
