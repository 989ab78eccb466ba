"""How many rows of a view have which values: a table beside the view's own, of sums.

Each write adds to it what it changed, so reading a count costs the same whatever the number
of rows. A row holds the sum of one minute, or, as minute 0, of all that is older: a row that
was changed at every write would be as many dead rows to PostgreSQL while somebody holds a
snapshot open. ``settled`` moves minutes that are over into minute 0; SQLite, which keeps no
dead rows, has minute 0 only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable, DropTable

from runfold.ports_views import ViewTable
from runfold.store.sql.columns import SCHEMA
from runfold.store.sql.compiled import (
    Compiled,
    ddl_for_postgres,
    ddl_for_sqlite,
    for_postgres,
    for_sqlite,
)
from runfold.store.view_rows import table_name

MINUTE, ROWS = "in_minute", "in_rows"
_ALWAYS: Any = literal_column("0", Integer())


class Counts(NamedTuple):
    """What is said to the sums of a build; its parameters are ``of_`` columns and ``in_rows``."""

    table: Table
    create: str
    drop: str
    add: Compiled
    settle: Compiled | None


@lru_cache(maxsize=256)
def counts(log: int, spec: ViewTable, *, postgres: bool) -> Counts:
    """Return the statements for the sums of a build."""
    table, names = _table(log, spec, postgres), [f"of_{name}" for name in spec.counts]
    columns = [*names, ROWS, MINUTE]
    if not postgres:
        given: dict[str, Any] = {name: bindparam(name) for name in [*names, ROWS]}
        one = sqlite.insert(table).values({**given, MINUTE: _ALWAYS})
        ddl = ddl_for_sqlite(CreateTable(table)), ddl_for_sqlite(DropTable(table, if_exists=True))
        return Counts(table, *ddl, for_sqlite(_adding(table, one)), None)
    arrays = [bindparam(name, type_=ARRAY(Text())) for name in names]
    sums = bindparam(ROWS, type_=ARRAY(BigInteger()))
    rows = func.unnest(*arrays, sums).table_valued(*names, ROWS).render_derived("given")
    many = postgresql.insert(table).from_select(columns, select(*rows.c, _this_minute()))
    ddl = ddl_for_postgres(CreateTable(table)), ddl_for_postgres(DropTable(table, if_exists=True))
    settle = for_postgres(_settled(table, names))
    return Counts(table, *ddl, for_postgres(_adding(table, many)), settle)


def sums(table: Table, spec: ViewTable, equal: Sequence[tuple[str, Any]]) -> Select[Any]:
    """Return each combination of values that rows have, and how many rows have it."""
    of = [table.c[f"of_{name}"] for name in spec.counts]
    total = cast(func.sum(table.c[ROWS]), BigInteger())
    wanted = select(*of, total).where(*[table.c[f"of_{name}"] == value for name, value in equal])
    return wanted.group_by(*of).having(total != literal_column("0"))


def _table(log: int, spec: ViewTable, postgres: bool) -> Table:
    name, text = f"{table_name(log, spec)}_counts", Text(collation="C") if postgres else Text()
    return Table(
        name,
        MetaData(schema=SCHEMA if postgres else None),
        *[Column(f"of_{one}", text, nullable=False) for one in spec.counts],
        Column(ROWS, BigInteger(), nullable=False),
        Column(MINUTE, Integer(), nullable=False),
        PrimaryKeyConstraint(*[f"of_{one}" for one in spec.counts], MINUTE, name=f"{name}_pk"),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": 50},
    )


def _adding(table: Table, wanted: Any) -> Any:
    key = [column.name for column in table.primary_key.columns]
    total = table.c[ROWS] + wanted.excluded[ROWS]
    return wanted.on_conflict_do_update(index_elements=key, set_={ROWS: total})


def _this_minute() -> Any:
    return cast(func.floor(func.extract("epoch", func.clock_timestamp()) / 60), Integer())


def _settled(table: Table, names: Sequence[str]) -> Any:
    minute = table.c[MINUTE]
    is_over = (minute > literal_column("0"), minute < _this_minute())
    over = delete(table).where(*is_over).returning(*table.c).cte("over")
    of = [over.c[name] for name in names]
    moved = select(*of, cast(func.sum(over.c[ROWS]), BigInteger()), _ALWAYS).group_by(*of)
    return _adding(table, postgresql.insert(table).from_select([*names, ROWS, MINUTE], moved))
