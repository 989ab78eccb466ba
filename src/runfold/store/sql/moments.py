"""Moments of events on their way out of a database, where every event has one.

PostgreSQL's driver takes longer for one moment than for all else in a row, and the events of one
commit have the same: so a moment is selected as the bytes that the server would send of it,
and is made where it differs from that of the row before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import LargeBinary

from runfold.ports import Stored

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""PostgreSQL's own."""


class Sent(GenericFunction[bytes]):
    """A moment as the database sends it: on PostgreSQL 8 bytes, on SQLite microseconds."""

    inherit_cache = True
    type = LargeBinary()
    name = "timestamptz_send"


@compiles(Sent, "sqlite")
def _as_it_is(sent: Sent, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(sent.clauses, **options)


def moment(sent: bytes) -> datetime:
    """Return the moment that PostgreSQL sent: microseconds since 2000, signed."""
    return _EPOCH + timedelta(microseconds=int.from_bytes(sent, signed=True))


def with_moments(rows: Iterable[Any], moment: Callable[[Any], datetime]) -> list[Stored]:
    """Return rows as events; those of one commit have one time, which ``moment`` makes once."""
    found: list[Stored] = []
    last, ts = None, _EPOCH
    new = tuple.__new__  # As ``Stored`` does, with every event that is read.
    for row in rows:
        if row[3] != last:
            last, ts = row[3], moment(row[3])
        found.append(new(Stored, (*row[:3], ts, *row[4:])))
    return found
