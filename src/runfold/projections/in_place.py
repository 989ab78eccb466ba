"""Rows that handlers change where they stand: thawed once a page, frozen when they are written.

That is half the price of copies, and right only for handlers that get every row they need
before they change one, put each one they changed, and do not raise after that. When one does
raise, nobody can tell what it has left behind: the whole sheet is dropped, and what was not
written is folded again with a ``Sheet``, which finds the event (``Keeper``).
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, TypeVar

from runfold.projections.model import RowModel, Values
from runfold.projections.rows import CACHE_MAX, Sheet

Row = TypeVar("Row")

_ABSENT: Any = object()


class InPlace(Sheet[Row]):
    """``Rows`` as a ``Sheet`` has them, of which ``get`` returns the row itself."""

    is_careful = False

    def __init__(
        self,
        model: RowModel,
        key: tuple[int, ...],
        *,
        whole: bool = False,
        cache_max: int = CACHE_MAX,
    ) -> None:
        super().__init__(model, key, whole=whole, cache_max=cache_max)
        names = [model.names[place] for place in key]
        self._keys = attrgetter(*names)
        self._is_one = len(names) == 1
        self._rows: dict[Values, Row | None] = {}
        self._changed: dict[Values, None] = {}

    def get(self, *key: Any) -> Row | None:
        """Return the row itself: what is changed of it is changed, and must be put."""
        row = self._rows.get(key, _ABSENT)
        if row is _ABSENT:
            values = self._young.get(key, _ABSENT)
            if values is _ABSENT:
                values = self._find(self._keyed(key))
            row = None if values is None else self._model.thaw(values)
            self._rows[key] = row
        return row

    def put(self, row: Row) -> None:
        """Insert or replace the row that has the key of this one."""
        key = (self._keys(row),) if self._is_one else self._keys(row)
        self._rows[key] = row
        self._changed[key] = None

    def delete(self, *key: Any) -> None:
        """Remove the row of this key, if there is one."""
        if self._counts is not None:
            self.get(*key)  # What is not known cannot be counted.
        self._rows[key] = None
        self._changed[key] = None

    def take(self) -> dict[Values, Values | None]:
        """Return what must be written; raise ``ValueError`` for what no table can keep."""
        self._dirty = self._frozen()
        self._rows, self._changed = {}, {}
        return super().take()

    def ahead(self) -> Sheet[Row]:
        """Return copies of the rows, to look through the rest of a page with."""
        copy: Sheet[Row] = Sheet(self._model, self._key, whole=self._whole)
        copy.share(self._young, self._old, self._frozen(), self.missing)
        return copy

    @property
    def pending(self) -> int:
        """How many rows are to be written."""
        return len(self._changed)

    def _frozen(self) -> dict[Values, Values | None]:
        rows, young, old, freeze = self._rows, self._young, self._old, self._model.freeze
        absent = None if self._whole else _ABSENT
        frozen: dict[Values, Values | None] = {}
        for key in self._changed:
            row = rows[key]
            values = None if row is None else freeze(row)
            before = young.get(key, _ABSENT)
            if before is _ABSENT:
                before = old.get(key, absent)
            if values != before:
                frozen[key] = values
        return frozen
