"""The log as it was at a position, and what its working tables said then.

Whatever is recorded is a prefix away: the tables of a position are those that a rebuild makes
of the events up to it. It reads all of them, so it costs what a rebuild of that much costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from runfold.ports import EventLog, Stored


async def position_at(log: EventLog, moment: datetime, head: int) -> int:
    """Return the last position up to ``head`` that was recorded at ``moment`` or before; or 0."""
    low, high = 0, head
    while low < high:
        middle = (low + high) // 2
        (stored,) = await log.read(after=middle, limit=1)
        low, high = (low, middle) if stored.ts > moment else (middle + 1, high)
    return low


class Prefix:
    """A log that ends at ``head``: what a rebuild reads of a store, and nothing behind it.

    Runs that had ended by then are taken as gone to the archive: no work is left of them.
    """

    def __init__(self, store: Any, head: int) -> None:
        self._store, self._head = store, head
        self.identity = store.identity

    async def head(self) -> int:
        """Return where it ends."""
        return self._head

    async def read(self, *, after: int, limit: int, upto: int | None = None) -> list[Stored]:
        """Return the events that come next."""
        last = self._head if upto is None else min(upto, self._head)
        rows: list[Stored] = await self._store.read(after=after, limit=limit, upto=last)
        return rows

    async def read_stream(
        self, stream: int, *, after: int = 0, limit: int, upto: int | None = None
    ) -> list[Stored]:
        """Return the events of one stream."""
        rows = await self._store.read_stream(stream, after=after, limit=limit, upto=upto)
        return self._before(rows)

    async def read_streams(self, streams: Sequence[int], *, upto: int) -> list[Stored]:
        """Return the first events of some streams."""
        return self._before(await self._store.read_streams(streams, upto=upto))

    async def read_versions(self, wanted: Sequence[tuple[int, int]]) -> list[Stored]:
        """Return some events."""
        return self._before(await self._store.read_versions(wanted))

    async def last_version(self, stream: int) -> int:
        """Return the version of the last event of a stream, also of one behind the end."""
        version: int = await self._store.last_version(stream)
        return version

    async def archived(self, streams: Sequence[int]) -> set[int]:
        """Return all of them."""
        return set(streams)

    def _before(self, rows: Sequence[Stored]) -> list[Stored]:
        return [row for row in rows if row.position <= self._head]
