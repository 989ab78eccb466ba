"""The rows of one table in memory, as handlers see them and as a store is told of them.

Handlers do not wait, so a row must be in memory before a handler asks for it. When one is
not, the handler is stopped, its key is noted, and it runs again once the row has been
fetched (``fold``): handlers are pure, so running one again changes nothing. Rows are kept as
frozen tuples and thawed anew for each ``get``: what a stopped handler did to a row is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
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

    ``whole``: the table is empty, so that a row which is not here does not exist. What handlers
    of one event do is noted with what it replaced, until ``keep`` or ``undo``.
    """

    is_careful = True
    """Whether what a handler did before it raised can be undone."""

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
        self._whole, self._cache_max = whole, cache_max
        self._key_of: Callable[[Values], Values] = (
            itemgetter(*key) if len(key) > 1 else itemgetter(slice(key[0], key[0] + 1))
        )
        self._young: dict[Values, Values | None] = {}
        self._old: dict[Values, Values | None] = {}
        self._dirty: dict[Values, Values | None] = {}
        self._replaced: list[tuple[Values, Any]] = []
        self.missing: dict[Values, None] = {}
        """Keys of rows that handlers asked for and that are not here, in order."""
        self.counts: dict[Values, int] = {}
        """By how many rows each combination of counted values grew with what was taken."""
        self._counts: Callable[[Values], Values] | None = None
        self._counted: tuple[tuple[int, Any], ...] = ()

    def count_by(self, names: Sequence[str], counted: Sequence[tuple[str, Any]]) -> None:
        """Count rows by these columns from now on, of those with the ``counted`` values."""
        places = [self._model.names.index(name) for name in names]
        self._counts = lambda row: tuple([row[place] for place in places])
        self._counted = tuple((self._model.names.index(name), one) for name, one in counted)

    def get(self, *key: Any) -> Row | None:
        """Return a copy of the row; see ``Rows``."""
        # Mostly the key is one that stands in the table as it is given.
        values = self._dirty.get(key, _ABSENT)
        if values is _ABSENT:
            values = self._young.get(key, _ABSENT)
            if values is _ABSENT:
                values = self._find(self._keyed(key))
        return None if values is None else self._model.thaw(values)

    def put(self, row: Row) -> None:
        """Insert or replace; see ``Rows``."""
        values = self._model.values(row)
        key = self._key_of(values)
        before = self._known(key)
        if before is None:
            values = self._model.settled(values)
            key = self._key_of(values)
            before = self._known(key)
        else:
            values = self._model.changed(values, before)
            if values is before:
                return  # Nothing of it has changed: there is nothing to write.
            key = self._key_of(values)
        self._set(key, values)

    def delete(self, *key: Any) -> None:
        """Remove; see ``Rows``."""
        if self._counts is not None:
            self.get(*key)  # What is not known cannot be counted.
        self._set(self._keyed(key), None)

    def ahead(self) -> Sheet[Row]:
        """Return the sheet to look through the rest of a page with, and to undo."""
        return self

    def share(
        self,
        young: dict[Values, Values | None],
        old: dict[Values, Values | None],
        dirty: dict[Values, Values | None],
        missing: dict[Values, None],
    ) -> None:
        """Take the caches of another sheet of the same table; begin with these changes."""
        self._young, self._old, self._dirty, self.missing = young, old, dirty, missing

    def keep(self) -> None:
        """Take over what the handlers of one event did."""
        self._replaced.clear()

    def undo(self, mark: int = 0) -> None:
        """Drop what handlers did since ``mark`` changes were noted."""
        noted, dirty = self._replaced, self._dirty
        while len(noted) > mark:
            key, before = noted.pop()
            if before is _ABSENT:
                del dirty[key]
            else:
                dirty[key] = before

    @property
    def mark(self) -> int:
        """How many changes are noted."""
        return len(self._replaced)

    def learn(self, found: dict[Values, Values | None]) -> None:
        """Take rows of the table, None for keys without one."""
        self._young.update(found)
        self.missing.clear()

    def take(self) -> dict[Values, Values | None]:
        """Return what must be written, None for rows to remove; from now on it is cached."""
        dirty, self._dirty = self._dirty, {}
        self.counts = {} if self._counts is None else self._grown(dirty)
        if self._old:
            for key in dirty:  # In both generations it would come back when the young one goes.
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

    def _grown(self, dirty: dict[Values, Values | None]) -> dict[Values, int]:
        young, old, grown = self._young, self._old, dict[Values, int]()
        assert self._counts is not None
        for key, after in dirty.items():
            before = young.get(key, _ABSENT)
            before = old.get(key) if before is _ABSENT else before
            for row, by in ((before, -1), (after, 1)):
                if row is not None and all(row[place] == one for place, one in self._counted):
                    of = self._counts(row)
                    grown[of] = grown.get(of, 0) + by
        return {of: by for of, by in grown.items() if by}

    def _set(self, key: Values, values: Values | None) -> None:
        self._replaced.append((key, self._dirty.get(key, _ABSENT)))
        self._dirty[key] = values

    def _known(self, key: Values) -> Values | None:
        values = self._dirty.get(key, _ABSENT)
        return self._young.get(key) if values is _ABSENT else values

    def _find(self, key: Values) -> Values | None:
        for rows in (self._dirty, self._young):
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
            [column.freeze(one) for one, column in zip(key, self._key_columns, strict=True)]
        )
