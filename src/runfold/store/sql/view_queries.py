"""The questions that are asked about the rows of a view, whose table is known when served."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    cast,
    false,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.sql.selectable import TableValuedAlias

from runfold.ports_views import ViewQuery


def _found(table: Table, query: ViewQuery, freeze: Any) -> list[ColumnElement[bool]]:
    """Return the conditions of ``query``; ``freeze`` turns a value into the database's."""
    conditions: list[ColumnElement[bool]] = []
    for name, value in query.equal:
        at = table.c[name]
        conditions.append(at.is_(None) if value is None else at == freeze(name, value))
    for name, how, value in query.ranges:
        conditions.append(table.c[name].op(how, is_comparison=True)(freeze(name, value)))
    return conditions


def rows_of(table: Table, query: ViewQuery, freeze: Any) -> Select[Any]:
    """Return the rows of ``query``, in its order."""
    wanted = select(*table.c).where(*_found(table, query, freeze)).limit(query.limit)
    if query.after is not None and query.order:
        wanted = wanted.where(_follows(table, query, freeze))
    return wanted.order_by(*[_order(table, one) for one in query.order])


def rows_of_either(table: Table, query: ViewQuery, freeze: Any) -> Select[Any]:
    """Return the rows of ``query``, probing for each alternative, in one statement."""
    wanted = _alternatives(table, query)
    probe = rows_of(table, query, freeze)
    names = [name for name, _ in query.either[0]]
    found = probe.where(*[table.c[name] == wanted.c[name] for name in names])
    rows = found.correlate(wanted).lateral("found")
    order = [_order(table, one, rows) for one in query.order]
    return (
        select(*rows.c).select_from(wanted.join(rows, true())).order_by(*order).limit(query.limit)
    )


def count_of_either(table: Table, query: ViewQuery, freeze: Any) -> Select[Any]:
    """Return how many rows ``query`` finds, counting for each alternative."""
    wanted = _alternatives(table, query)
    names = [name for name, _ in query.either[0]]
    found = count_of(table, query, freeze).where(
        *[table.c[name] == wanted.c[name] for name in names]
    )
    each = found.with_only_columns(func.count().label("rows")).correlate(wanted).lateral("each")
    return select(cast(func.sum(each.c.rows), BigInteger())).select_from(wanted.join(each, true()))


def _alternatives(table: Table, query: ViewQuery) -> TableValuedAlias:
    names = [name for name, _ in query.either[0]]
    columns = zip(*[[value for _, value in one] for one in query.either], strict=True)
    arrays = [
        bindparam(f"either_{name}", list(values), type_=ARRAY(table.c[name].type))
        for name, values in zip(names, columns, strict=True)
    ]
    return func.unnest(*arrays).table_valued(*names).render_derived("wanted")


def count_of(table: Table, query: ViewQuery, freeze: Any) -> Select[Any]:
    """Return how many rows ``query`` finds."""
    return select(func.count()).select_from(table).where(*_found(table, query, freeze))


def _order(table: Table, name: str, rows: Any = None) -> Any:
    at = (table if rows is None else rows).c[name.removeprefix("-")]
    if not table.c[at.name].nullable:
        return at.desc() if name.startswith("-") else at.asc()
    return at.desc().nulls_last() if name.startswith("-") else at.asc().nulls_first()


def _follows(table: Table, query: ViewQuery, freeze: Any) -> ColumnElement[bool]:
    """Return that a row comes after ``query.after``: later in one column, equal before it."""
    assert query.after is not None
    equal: list[ColumnElement[bool]] = []
    later: list[ColumnElement[bool]] = []
    for place, (one, value) in enumerate(zip(query.order, query.after, strict=True)):
        at = table.c[one.removeprefix("-")]
        is_later = _later(at, one.startswith("-"), value, freeze)
        later.append(and_(*equal, is_later))
        equal.append(at.is_(None) if value is None else at == freeze(at.name, value))
        if place == 0:
            # Implied by the rest; by it alone a database finds where to begin in an index.
            bound = (
                or_(is_later, equal[0])
                if value is None or at.nullable
                else (
                    at <= freeze(at.name, value)
                    if one.startswith("-")
                    else at >= freeze(at.name, value)
                )
            )
    return and_(bound, or_(*later))


def _later(at: Any, is_falling: bool, value: Any, freeze: Any) -> ColumnElement[bool]:
    if value is None:
        return false() if is_falling else (at.is_not(None) if at.nullable else true())
    if not is_falling:
        return at > freeze(at.name, value)  # type: ignore[no-any-return]
    below = at < freeze(at.name, value)
    return or_(below, at.is_(None)) if at.nullable else below
