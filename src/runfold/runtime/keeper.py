"""One part of one projection in the hands of this process: its rows in memory, its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from runfold.ports_views import View, ViewColumn, Views, ViewTable, ViewWrite
from runfold.projections.fold import Poison, fold
from runfold.projections.logged import Logged
from runfold.projections.projection import Projection

SLICE = 1000
"""How many events are folded before other tasks have their turn: a millisecond of this process."""


def table_of(projection: Projection[Any], build: int) -> ViewTable:
    """Return the table of a build of ``projection``."""
    columns = tuple(
        ViewColumn(one.name, one.kind.value, one.null) for one in projection.rows.columns
    )
    return ViewTable(
        projection.name, projection.version, build, columns, projection.key,
        projection.indexes, projection.shape, projection.counts, projection.counted,
    )  # fmt: skip


class Keeper:
    """Folds pages into rows; what it has folded is written by ``write`` and ``wrote``."""

    def __init__(self, projection: Projection[Any], view: View, views: Views) -> None:
        self.projection, self.view, self._views = projection, view, views
        self.table = table_of(projection, view.at.build)
        self.saved = self.reached = view.position
        """The positions that are in the table, and in memory."""
        self.saved_at = 0.0
        """When the position was last written, by the clock of this process."""
        self.sheet = projection.sheet(whole=view.position == 0)
        self._is_writing = False
        self.poison: str | None = None
        """Why it cannot go on: JSON."""

    @property
    def pending(self) -> int:
        """How many rows are to be written."""
        return self.sheet.pending

    @property
    def is_written(self) -> bool:
        """Whether the table has all rows of what was reached."""
        return not (self.sheet.pending or self._is_writing)

    async def fold(self, page: Sequence[Logged[Any]], upto: int) -> None:
        """Fold the events of ``page`` that come next; after it everything up to ``upto``.

        Where rows are changed in place and a handler raises, it is back at ``saved`` instead.
        """
        if self.poison is not None or upto <= self.reached:
            return
        wanted = self._wanted(page)
        try:
            for start in range(0, len(wanted), SLICE):
                await self._fold(wanted[start : start + SLICE])
                await asyncio.sleep(0)
        except (Poison, ValueError) as error:
            if not self.sheet.is_careful:
                self._start_over()
                return
            if not isinstance(error, Poison):
                raise
            self.reached = error.position - 1
            self.refuse(error.position, error.type, error.error)
            return
        self.reached = upto

    def refuse(self, position: int, topic: str, error: Exception) -> None:
        """Note that the event at ``position`` cannot be folded."""
        said = f"{error.__class__.__name__}: {error}"
        self.poison = json.dumps({"position": position, "type": topic, "error": said})

    def write(self) -> ViewWrite:
        """Return what is not in the table yet; from now on it counts as cached.

        That is nothing when a row that was changed in place fits no table: it starts over.
        """
        put: list[Any] = []
        delete: list[Any] = []
        try:
            taken = self.sheet.take()
        except ValueError:
            self._start_over()
            taken = {}
        self._is_writing = True
        for key, values in taken.items():
            if values is None:
                delete.append(key)
            else:
                put.append(values)
        # In order: writers of other parts of the view wait for one another, never in a circle.
        counts = sorted(self.sheet.counts.items()) if taken else []
        at = self.view.at.part
        return ViewWrite(self.table, at, self.saved, self.reached, put, delete, counts)

    def wrote(self, write: ViewWrite, now: float) -> None:
        """Take note that ``write`` is in the table."""
        self.saved, self.saved_at, self._is_writing = write.upto, now, False

    def _start_over(self) -> None:
        """Go back to what is in the table, and fold so that the event is found which fails."""
        self.sheet = self.projection.sheet(whole=self.saved == 0, careful=True)
        self.reached = self.saved

    async def _fold(self, page: Sequence[Logged[Any]]) -> None:
        place = 0
        while (place := fold(self.projection, self.sheet, page, place)) < len(page):
            keys = list(self.sheet.missing)
            found = await self._views.get(self.table, keys)
            self.sheet.learn({key: found.get(key) for key in keys})

    def _wanted(self, page: Sequence[Logged[Any]]) -> list[Logged[Any]]:
        topics, after = self.projection.handlers, self.reached
        part, parts = self.view.at.part, self.view.parts
        if page and page[0].recorded.position <= after:
            page = [logged for logged in page if logged.recorded.position > after]
        if parts > 1:
            page = [logged for logged in page if logged.stream % parts == part]
        return [logged for logged in page if logged.topic in topics]
