"""Reading a view: rows by key, pages of a listing."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runfold.errors import InvalidInput
from runfold.ports_views import ViewQuery, ViewTable
from runfold.projections.columns import Column, Kind
from runfold.projections.model import Values
from runfold.projections.projection import Projection

if TYPE_CHECKING:
    from runfold.client.projections import Projections

Row = TypeVar("Row")
LIMIT_MAX = 1000
"""How many rows one page may have."""


@dataclass(frozen=True, slots=True)
class ViewPage(Generic[Row]):
    """Some rows of a view, and where the next page begins (``cursor=``; None: there is none)."""

    items: list[Row]
    next: str | None


class ViewRows(Generic[Row]):
    """The rows of one projection, as far as they have been folded."""

    def __init__(self, projections: Projections, projection: Projection[Row]) -> None:
        self._projections, self._projection = projections, projection
        self._columns = {one.name: one for one in projection.rows.columns}

    async def get(self, *key: Any, min_position: int | None = None) -> Row | None:
        """Return the row of this key, None without one.

        ``min_position``: wait until the view has the event at this position, so that you read
        what you wrote. Raises ``InvalidInput`` for a key that cannot be one.
        """
        try:
            wanted = self._projection.key_of(key)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{key!r} is no key of {self._projection.name!r}: {error}") from None
        table = await self._table(min_position)
        found = await self._projections.store.get(table, [wanted])
        return None if wanted not in found else self._projection.rows.thaw(found[wanted])

    async def list(
        self,
        order: str | Sequence[str] | None = None,
        limit: int = 50,
        cursor: str | None = None,
        *,
        min_position: int | None = None,
        **equal: Any,
    ) -> ViewPage[Row]:
        """Return a page of the rows whose columns are ``equal`` to these values.

        ``order``: a column or several, ``"-column"`` from high to low, None first; default the
        key. ``limit``: 1-1000. ``cursor``: the ``next`` of the page before, with the same
        ``order``. Declare an index for what is asked often. Raises ``InvalidInput``.
        """
        query = self.query(order, limit, cursor, equal)
        table = await self._table(min_position)
        rows = await self._projections.store.query(table, query._replace(limit=limit + 1))
        more = len(rows) > limit
        thaw = self._projection.rows.thaw
        return ViewPage(
            [thaw(row) for row in rows[:limit]],
            self._cursor(rows[limit - 1], query.order) if more else None,
        )

    async def count(self, *, min_position: int | None = None, **equal: Any) -> int:
        """Return how many rows have columns equal to these values."""
        query = self.query(None, 1, None, equal)
        return await self._projections.store.count(await self._table(min_position), query)

    def query(
        self,
        order: str | Sequence[str] | None,
        limit: int,
        cursor: str | None,
        equal: Mapping[str, Any],
    ) -> ViewQuery:
        """Return what is asked of the store; raise ``InvalidInput``."""
        if type(limit) is not int or not 1 <= limit <= LIMIT_MAX:
            raise InvalidInput(f"limit is {limit!r}, expected 1 to {LIMIT_MAX}")
        wanted = (order,) if isinstance(order, str) else tuple(order or ())
        for name in (*[one.removeprefix("-") for one in wanted], *equal):
            if name not in self._columns:
                raise InvalidInput(
                    f"{self._projection.name!r} has no column {name!r}; "
                    f"columns: {', '.join(self._columns)}"
                )
        named = {one.removeprefix("-") for one in wanted}
        # With the key at the end no two rows have the same place.
        falls = bool(wanted) and wanted[-1].startswith("-")
        rest = [name for name in self._projection.key if name not in named]
        full = wanted + tuple("-" + name if falls else name for name in rest)
        return ViewQuery(
            tuple((name, self._frozen(name, value)) for name, value in equal.items()),
            (),
            full,
            None if cursor is None else self._after(cursor, full),
            limit,
        )

    async def _table(self, min_position: int | None) -> ViewTable:
        if min_position is not None:
            await self._projections.wait(self._projection.name, min_position)
        return await self._projections.table(self._projection)

    def _frozen(self, name: str, value: Any) -> Any:
        if value is None:
            return None
        try:
            return self._columns[name].freeze(value)
        except ValueError as error:
            raise InvalidInput(f"{self._projection.name!r}: {error}") from None

    def _cursor(self, row: Values, order: Sequence[str]) -> str:
        places = {name: place for place, name in enumerate(self._columns)}
        values = [_packed(row[places[one.removeprefix("-")]]) for one in order]
        return urlsafe_b64encode(json.dumps([list(order), values]).encode()).decode()

    def _after(self, cursor: str, order: tuple[str, ...]) -> Values:
        try:
            known, values = json.loads(urlsafe_b64decode(cursor.encode()))
            columns = [self._columns[one.removeprefix("-")] for one in known]
            after = tuple(
                _unpacked(column, value) for column, value in zip(columns, values, strict=True)
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            known, after = (), ()
        if tuple(known) != order:
            raise InvalidInput(
                f"cursor {cursor!r} is no place in a listing by {list(order)}; pass the `next` of "
                "a page with the same order"
            )
        return after


def _packed(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value


def _unpacked(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.kind is Kind.MOMENT:
        value = datetime.fromisoformat(value)
    elif column.kind is Kind.BYTES:
        value = bytes.fromhex(value)
    if column.thaw is not None:  # It stands in the table as text, and so in the cursor.
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        return value
    return column.freeze(value)
