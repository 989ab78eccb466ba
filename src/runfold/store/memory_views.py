"""Views in memory: a dict of rows a build, and the same rules as in a database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from operator import ge, gt, le, lt
from typing import Any

from runfold.ports_views import View, ViewPart, ViewQuery, ViewSum, ViewTable, ViewWrite
from runfold.store.memory_log import Log, ViewRow, ViewTables
from runfold.store.view_rows import digest, key_places, of_counts, rank

Values = tuple[Any, ...]
_RANGES: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


class MemoryViews:
    """``ports.Views`` over Python objects; ``now`` tells the store's time."""

    def __init__(self, log: Log, lock: Any, now: Callable[[datetime | None], datetime]) -> None:
        self._log, self._lock, self._now = log, lock, now
        self._tables: ViewTables = log.views

    async def parts(self) -> list[View]:
        """Return every part of every build."""
        with self._lock:
            return self._parts(self._now(None))

    async def create(self, table: ViewTable, *, state: str, parts: int = 1) -> bool:
        """Make an empty table at position 0; False when this build is there already."""
        with self._lock:
            if table[:3] in self._tables.rows:
                return False
            self._tables.rows[table[:3]], self._tables.counts[table[:3]] = {}, {}
            for part in range(parts):
                at = ViewPart(*table[:3], part)
                view = View(at, parts, state, 0, table.shape, None, None)
                self._tables.parts[at] = ViewRow(view, self._log.identity, self._now(None))
            return True

    async def index(self, table: ViewTable) -> None:
        """Do nothing: what is in memory is searched."""

    async def drop(self, table: ViewTable) -> None:
        """Remove a build."""
        with self._lock:
            self._tables.rows.pop(table[:3], None)
            self._tables.counts.pop(table[:3], None)
            for at in [at for at in self._tables.parts if at[:3] == table[:3]]:
                del self._tables.parts[at]

    async def own(
        self, token: int, wanted: Sequence[ViewPart], ttl: float, *, now: datetime | None = None
    ) -> list[View]:
        """Take what is free of ``wanted`` and renew what is held."""
        moment = self._now(now)
        with self._lock:
            for at in wanted:
                part = self._tables.parts.get(at)
                if part is None or part.view.error is not None:
                    continue
                if part.view.token in (None, token) or part.until is None or part.until <= moment:
                    part.view = part.view._replace(token=token)
                    part.until = moment + timedelta(seconds=ttl)
            return [view for view in self._parts(moment) if view.token == token]

    async def disown(self, token: int) -> None:
        """Give back everything that the token holds."""
        with self._lock:
            for part in self._tables.parts.values():
                if part.view.token == token:
                    part.view, part.until = part.view._replace(token=None), None

    async def apply(self, token: int, writes: Sequence[ViewWrite]) -> list[bool]:
        """Write what the token owns and knows the place of."""
        with self._lock:
            return [self._apply(token, write) for write in writes]

    async def stop(self, token: int, at: ViewPart, error: str) -> bool:
        """Note why a part cannot go on, and give it back."""
        with self._lock:
            part = self._tables.parts.get(at)
            if part is None or part.view.token != token:
                return False
            part.view, part.until = part.view._replace(token=None, error=error), None
            return True

    async def resume(self, name: str) -> int:
        """Let what has stopped of ``name`` go on."""
        with self._lock:
            stopped = [
                part
                for at, part in self._tables.parts.items()
                if at.name == name and part.view.error is not None
            ]
            for part in stopped:
                part.view = part.view._replace(error=None)
            return len(stopped)

    async def switch(self, table: ViewTable) -> bool:
        """Make this build the live one, and the live one old."""
        with self._lock:
            views = self._parts(self._now(None))
            ours = [view for view in views if view.at[:3] == table[:3]]
            live = next((v for v in views if v.state == "live" and v.at.name == table.name), None)
            places = {view.position for view in ours}
            if len(places) != 1 or live in ours or (live and live.position > max(places)):
                return False
            first = self._tables.parts[ours[0].at]
            for view in ours[1:]:
                del self._tables.parts[view.at]
            token, until = first.view.token, first.until
            if live is not None:
                before = self._tables.parts[live.at]
                if live.at.version == table.version:
                    token, until = before.view.token, before.until
                before.view, before.until = before.view._replace(state="old", token=None), None
                before.saved_at = self._now(None)
            first.view = first.view._replace(state="live", parts=1, token=token, error=None)
            first.until = until
            return True

    async def get(self, table: ViewTable, keys: Sequence[Values]) -> dict[Values, Values]:
        """Return the rows of these keys that exist."""
        with self._lock:
            rows = self._tables.rows.get(table[:3], {})
            return {key: rows[key] for key in keys if key in rows}

    async def query(self, table: ViewTable, query: ViewQuery) -> list[Values]:
        """Return the rows of the query, in its order."""
        names = [column.name for column in table.columns]
        order = [(names.index(one.lstrip("-")), one.startswith("-")) for one in query.order]
        found = self._found(table, query)
        for place, is_falling in reversed(order):
            found.sort(key=lambda row: rank(row[place]), reverse=is_falling)
        if query.after is not None:
            after = query.after
            found = [row for row in found if _follows(row, after, order)]
        return found[: query.limit]

    async def count(self, table: ViewTable, query: ViewQuery) -> int:
        """Return how many rows are equal and in range."""
        counted = table.counts_for(query)
        if counted is not None:
            return sum((await self.counts(table, counted)).values())
        return len(self._found(table, query))

    async def counts(
        self, table: ViewTable, equal: Sequence[tuple[str, str]] = ()
    ) -> dict[tuple[str, ...], int]:
        """Return how many rows have which counted values."""
        wanted = [(table.counts.index(name), value) for name, value in equal]
        with self._lock:
            found = dict(self._tables.counts.get(table[:3], {}))
        return {
            of: rows
            for of, rows in found.items()
            if rows and all(of[place] == value for place, value in wanted)
        }

    async def checksum(self, table: ViewTable) -> ViewSum:
        """Return the sum of all rows and counts, and the position that they are at."""
        with self._lock:
            rows = list(self._tables.rows.get(table[:3], {}).values())
            counts = dict(self._tables.counts.get(table[:3], {}))
            places = [
                view.position for view in self._parts(self._now(None)) if view.at[:3] == table[:3]
            ]
        total = digest([*rows, *of_counts(counts)])
        return ViewSum(min(places, default=0), len(rows), total)

    def _parts(self, now: datetime) -> list[View]:
        found = []
        for at in sorted(self._tables.parts):
            part = self._tables.parts[at]
            view = part.view
            if part.identity != self._log.identity or view.position > len(self._log.events):
                view = view._replace(is_foreign=True)
            if part.until is None or part.until <= now:
                view = view._replace(token=None)
            idle = max(0.0, (now - part.saved_at).total_seconds())
            found.append(view._replace(idle=idle))
        return found

    def _apply(self, token: int, write: ViewWrite) -> bool:
        part = self._tables.parts.get(ViewPart(*write.table[:3], write.part))
        if part is None or part.view.token != token or part.view.position != write.after:
            return False
        rows, places = self._tables.rows[write.table[:3]], key_places(write.table)
        for key in write.delete:
            rows.pop(key, None)
        for row in write.put:
            rows[tuple([row[place] for place in places])] = row
        counts = self._tables.counts[write.table[:3]]
        for of, by in write.counts:
            counts[of] = counts.get(of, 0) + by
        part.view, part.saved_at = part.view._replace(position=write.upto), self._now(None)
        return True

    def _found(self, table: ViewTable, query: ViewQuery) -> list[Values]:
        names = [column.name for column in table.columns]
        equal = [(names.index(name), value) for name, value in query.equal]
        ranges = [(names.index(name), _RANGES[how], value) for name, how, value in query.ranges]
        either = [[(names.index(name), value) for name, value in one] for one in query.either]
        with self._lock:
            rows = list(self._tables.rows.get(table[:3], {}).values())
        return [
            row
            for row in rows
            if all(row[place] == value for place, value in equal)
            and any(all(row[place] == value for place, value in one) for one in either or [[]])
            and all(row[n] is not None and is_in(row[n], value) for n, is_in, value in ranges)
        ]


def _follows(row: Values, after: Values, order: Sequence[tuple[int, bool]]) -> bool:
    for (place, is_falling), value in zip(order, after, strict=True):
        mine, other = rank(row[place]), rank(value)
        if mine != other:
            return (mine < other) if is_falling else (mine > other)
    return False
