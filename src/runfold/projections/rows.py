"""The rows of one table in memory, as handlers see them and as a store is told of them.

Handlers do not wait, so a row must be in memory before a handler asks for it. When one is
not, the handler is stopped, its key is noted, and it runs again once the row has been
fetched (``fold``): handlers are pure, so running one again changes nothing. Rows are kept as
frozen tuples and thawed anew for each ``get``: what a stopped handler did to a row is gone.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from runfold.projections.model import RowModel, Values

Row = TypeVar("Row")

CACHE_MAX = 50_000
"""How many rows of one projection stay in memory, in each of two generations."""

_ABSENT: Any = object()


class Rows(Protocol[Row]):
    """The rows of a projection, inside a handler."""

    def get(self, *key: Any) -> Row | None:
        """Return a copy of the row of this key, None without one; ``put`` what you changed."""
        ...

    def put(self, row: Row) -> None:
        """Insert or replace the row that has the key of this one."""
        ...

    def delete(self, *key: Any) -> None:
        """Remove the row of this key, if there is one."""
        ...


class Missing(BaseException):
    """A handler asked for a row that is not in memory. No ``except Exception`` of it sees this."""


class Sheet(Generic[Row]):
    """``Rows`` in memory: what is cached of a table, and what is not written to it yet.

    ``whole``: the table is empty, so that a row which is not here does not exist.
    """

    def __init__(
        self,
        model: RowModel,
        key: tuple[int, ...],
        *,
        whole: bool = False,
        cache_max: int = CACHE_MAX,
    ) -> None:
        self._model, self._key = model, key
        self._key_columns = [model.columns[place] for place in key]
        self._single = key[0] if len(key) == 1 else None
        self._whole, self._cache_max = whole, cache_max
        self._young: dict[Values, Values | None] = {}
        self._old: dict[Values, Values | None] = {}
        self._dirty: dict[Values, Values | None] = {}
        self._event: dict[Values, Values | None] = {}
        self._imagined: dict[Values, Values | None] = {}
        self.missing: dict[Values, None] = {}
        """Keys of rows that handlers asked for and that are not here, in order."""

    def get(self, *key: Any) -> Row | None:
        """Return a copy of the row; see ``Rows``."""
        values = self._find(self._keyed(key))
        return None if values is None else self._model.thaw(values)

    def put(self, row: Row) -> None:
        """Insert or replace; see ``Rows``."""
        values = self._model.freeze(row)
        single = self._single
        key = (values[single],) if single is not None else tuple([values[n] for n in self._key])
        self._event[key] = values

    def delete(self, *key: Any) -> None:
        """Remove; see ``Rows``."""
        self._event[self._keyed(key)] = None

    def keep(self) -> None:
        """Take over what the handlers of one event did."""
        if self._event:
            self._dirty.update(self._event)
            self._event.clear()

    def undo(self) -> None:
        """Drop what the handlers of one event did."""
        self._event.clear()

    def imagine(self) -> None:
        """Take over what one event did, until ``wake``: only to see what others will ask for."""
        self._imagined.update(self._event)
        self._event.clear()

    def wake(self) -> None:
        """Forget what was imagined."""
        self._imagined.clear()

    def learn(self, found: dict[Values, Values | None]) -> None:
        """Take rows of the table, None for keys without one."""
        self._young.update(found)
        self.missing.clear()

    def take(self) -> dict[Values, Values | None]:
        """Return what must be written, None for rows to remove; from now on it is cached."""
        dirty, self._dirty = self._dirty, {}
        for key in dirty:  # A row in both generations would come back when the young one goes.
            self._old.pop(key, None)
        self._young.update(dirty)
        if len(self._young) > self._cache_max:
            if self._old:
                self._whole = False
            self._old, self._young = self._young, {}
        return dirty

    @property
    def pending(self) -> int:
        """How many rows are to be written."""
        return len(self._dirty)

    def _find(self, key: Values) -> Values | None:
        for rows in (self._event, self._imagined, self._dirty, self._young):
            values = rows.get(key, _ABSENT)
            if values is not _ABSENT:
                return values  # type: ignore[no-any-return]
        values = self._old.pop(key, _ABSENT)
        if values is not _ABSENT:
            self._young[key] = values
            return values  # type: ignore[no-any-return]
        if self._whole:
            return None
        self.missing[key] = None
        raise Missing

    def _keyed(self, key: tuple[Any, ...]) -> Values:
        if len(key) != len(self._key):
            names = [column.name for column in self._key_columns]
            raise TypeError(f"the key is {names}, got {len(key)} values: {key!r}")
        return tuple(
            [
                one if type(one) is str and one.isascii() else column.freeze(one)
                for one, column in zip(key, self._key_columns, strict=True)
            ]
        )
