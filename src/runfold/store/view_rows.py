"""What all stores of views say alike: the digest of rows, and the names of tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

from runfold.ports_views import ViewQuery, ViewTable

SUM_BELOW = 1 << 64
"""Digests are added up modulo this."""


def digest(rows: Iterable[tuple[Any, ...]]) -> int:
    """Return a number that the same rows give in any order and any store."""
    total = 0
    for row in rows:
        total += int.from_bytes(blake2b(repr(row).encode(), digest_size=8).digest(), "big")
    return total % SUM_BELOW


def merged(
    table: ViewTable, query: ViewQuery, rows: Iterable[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """Return the first of all rows in the order of ``query``; NULL is lowest."""
    names, found = [column.name for column in table.columns], list(rows)
    for one in reversed(query.order):
        place = names.index(one.removeprefix("-"))
        found.sort(key=lambda row: rank(row[place]), reverse=one.startswith("-"))
    return found[: query.limit]


def rank(value: Any) -> tuple[bool, Any]:
    """Return what ``value`` is sorted by."""
    return (False, 0) if value is None else (True, value)


def of_counts(counts: Mapping[tuple[str, ...], int]) -> Iterator[tuple[Any, ...]]:
    """Yield what counts add to a digest: nothing of what has no rows."""
    for of, rows in counts.items():
        if rows:
            yield ("counts", *of, rows)


def key_places(table: ViewTable) -> list[int]:
    """Return where the columns of the key stand in a row."""
    names = [column.name for column in table.columns]
    return [names.index(name) for name in table.key]


def table_name(log_id: int, table: ViewTable) -> str:
    """Return what the table of a build is called; at most 63 characters with an index's end."""
    name = f"view_{table.name}_v{table.version}"
    if log_id != 1:
        name += f"_l{log_id}"
    return name if table.build == 1 else f"{name}_b{table.build}"
