"""The border to tables of projections: what a store must do for read models, and the values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

__all__ = [
    "View",
    "ViewColumn",
    "ViewPart",
    "ViewQuery",
    "ViewSum",
    "ViewTable",
    "ViewWrite",
    "Views",
]


class ViewColumn(NamedTuple):
    """A column of a view: its ``kind`` is a value of ``projections.columns.Kind``."""

    name: str
    kind: str
    null: bool


class ViewTable(NamedTuple):
    """The table of one build of a projection. Rows are tuples in the order of ``columns``."""

    name: str
    version: int
    build: int
    """Counts the times that this version was built, from 1."""
    columns: tuple[ViewColumn, ...]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...]
    """Each some columns; ``-column`` from high to low. NULL is lower than every value."""
    shape: str
    """A hash of all of this but ``build``: what was made for another shape is not read."""
    counts: tuple[str, ...] = ()
    """Columns of text by which rows are counted as they are written; see ``Views.counts``."""
    counted: tuple[tuple[str, Any], ...] = ()
    """Only rows with these values are."""

    def counts_for(self, query: ViewQuery) -> tuple[tuple[str, Any], ...] | None:
        """Return which counts answer how many rows ``query`` finds; None: no counts do."""
        rest = [one for one in query.equal if one not in self.counted]
        is_plain = not query.ranges and not query.either
        is_counted = self.counts and is_plain and set(self.counted) <= set(query.equal)
        fits = is_counted and {name for name, _ in rest} <= set(self.counts)
        return tuple(rest) if fits and len(dict(rest)) == len(rest) else None


class ViewPart(NamedTuple):
    """What one owner keeps: a build, or one part of a build that several make together."""

    name: str
    version: int
    build: int
    part: int = 0


class View(NamedTuple):
    """One part of a build, as the store knows it."""

    at: ViewPart
    parts: int
    """How many parts the build has; runs are divided by ``stream % parts``, and what an event of
    another stream says about a run goes with the run."""
    state: str
    """``live`` is read, ``building`` will be, ``old`` was and can be put back, ``checking`` is
    compared with the live one and dropped."""
    position: int
    """The last event that its rows contain."""
    shape: str
    token: int | None
    """Who keeps it; None when nobody does, or the lease is over."""
    error: str | None
    """Why it stopped: JSON with ``position``, ``type`` and ``error``."""
    is_foreign: bool = False
    """It was made for another log, or of events that this one lacks: drop it, and build anew."""
    idle: float = 0.0
    """Seconds since its position was last written, or since it became old, by the store's clock."""


class ViewWrite(NamedTuple):
    """What events in (``after``, ``upto``] do to a view: all of it or nothing."""

    table: ViewTable
    part: int
    after: int
    upto: int
    put: Sequence[tuple[Any, ...]] = ()
    delete: Sequence[tuple[Any, ...]] = ()
    """Keys."""
    counts: Sequence[tuple[tuple[str, ...], int]] = ()
    """By how many rows each combination of counted values has grown, or shrunk."""


class ViewQuery(NamedTuple):
    """Which rows of a view: all that are ``equal``, in all ``ranges``, and one of ``either``."""

    equal: tuple[tuple[str, Any], ...] = ()
    ranges: tuple[tuple[str, str, Any], ...] = ()
    """(column, one of ``< <= > >=``, value); NULL is in no range."""
    order: tuple[str, ...] = ()
    """Columns, ``-column`` from high to low, whose values no two rows share; NULL is lowest."""
    after: tuple[Any, ...] | None = None
    """The values of ``order`` in the last row of the page before."""
    limit: int = 50
    either: tuple[tuple[tuple[str, Any], ...], ...] = ()
    """Alternatives, of the same columns and none None: a row is equal to one. Empty: to any.

    Each is looked for alone, so all are quick where an index has one range for each.
    """


class ViewSum(NamedTuple):
    """What all rows of a view are at one position; equal rows have equal sums in any store."""

    position: int
    rows: int
    digest: int


class Views(Protocol):
    """Tables of projections, and who keeps them. Nothing here takes the log's lock.

    A table and how far it is are one: ``apply`` writes rows and moves the position in one
    transaction, and only for who owns the part and knows where it stands.
    """

    async def parts(self) -> list[View]:
        """Return every part of every build of this log."""
        ...

    async def create(self, table: ViewTable, *, state: str, parts: int = 1) -> bool:
        """Make an empty table at position 0; False when this build is there already.

        Its indexes are made now when it is ``live``, else by ``index``. Raises
        ``SchemaOutdated`` where the role may not create tables.
        """
        ...

    async def index(self, table: ViewTable) -> None:
        """Make the indexes that are not there yet."""
        ...

    async def drop(self, table: ViewTable) -> None:
        """Remove a build, its table and its rows; nothing happens when there is none."""
        ...

    async def own(
        self, token: int, wanted: Sequence[ViewPart], ttl: float, *, now: datetime | None = None
    ) -> list[View]:
        """Take what is free of ``wanted`` and renew what is held, for ``ttl`` seconds.

        Returns all parts that the token holds. What has stopped is not free.
        """
        ...

    async def disown(self, token: int) -> None:
        """Give back everything that the token holds."""
        ...

    async def apply(self, token: int, writes: Sequence[ViewWrite]) -> list[bool]:
        """Write them in one transaction; False for each that the token does not own there.

        Of parts that stand at ``after`` and are held by ``token``, rows and position change
        together; of the others nothing does. Exactly once, also when it is sent twice.
        """
        ...

    async def stop(self, token: int, at: ViewPart, error: str) -> bool:
        """Note why a part cannot go on, and give it back; False when it is not held."""
        ...

    async def resume(self, name: str) -> int:
        """Let the parts of ``name`` that have stopped go on; return how many had."""
        ...

    async def switch(self, table: ViewTable) -> bool:
        """Make this build the live one, and the live one old, in one transaction.

        False when it is not as far as the live one, its parts differ, or it is live. Another
        build of the same version goes to who held the live one, another version to its builder.
        """
        ...

    async def get(
        self, table: ViewTable, keys: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Return the rows of these keys that exist."""
        ...

    async def query(self, table: ViewTable, query: ViewQuery) -> list[tuple[Any, ...]]:
        """Return the rows of the query, in its order."""
        ...

    async def count(self, table: ViewTable, query: ViewQuery) -> int:
        """Return how many rows are equal and in range; from ``counts`` where these tell."""
        ...

    async def counts(
        self, table: ViewTable, equal: Sequence[tuple[str, str]] = ()
    ) -> dict[tuple[str, ...], int]:
        """Return how many rows have which values of ``table.counts``, those with none left out.

        ``equal``: only those with these values. Costs the same for any number of rows.
        """
        ...

    async def checksum(self, table: ViewTable) -> ViewSum:
        """Return the sum of all rows and counts, and the position they are at, of one moment."""
        ...
