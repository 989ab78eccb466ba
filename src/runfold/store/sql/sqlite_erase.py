"""Erasing on SQLite: events are written over, and nothing of them stays in the file.

Deleted bytes are overwritten by SQLite itself (``secure_delete``); pages of older transactions
are in the ``-wal`` file, which is cut when a run is erased.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, delete, null, select, text, update

from runfold.ports_archive import Rest
from runfold.store.sql.schema import ARCHIVE, BLOBS, EVENTS, TIMERS
from runfold.store.sql.sqlite_lane import transaction
from runfold.store.sql.sqlite_values import param, prepared

_LOG = param("log")


def _of_event(table: Table) -> tuple[Any, ...]:
    return (
        table.c.stream == param("of_stream"),
        table.c.log_id == _LOG,
        table.c.version == param("of_version"),
    )


_PLACE = ("of_stream", "log", "of_version")
_BLOB_OF = {
    table: prepared(
        select(table.c.blob).where(*_of_event(table), table.c.blob.is_not(None)), *_PLACE
    )
    for table in (EVENTS, ARCHIVE)
}
_ERASE = {
    table: prepared(
        update(table)
        .where(*_of_event(table))
        .values(state=param("rest"), blob=null(), key=null()),
        "rest", *_PLACE,
    )
    for table in (EVENTS, ARCHIVE)
}  # fmt: skip


def _has(table: Table) -> Any:
    """Return whether an event of ``table`` has the blob, as its index can tell."""
    has = (table.c.log_id == BLOBS.c.log_id, table.c.blob == BLOBS.c.hash)
    return select(text("1")).where(*has, table.c.blob.is_not(None)).exists()


_FORGET = prepared(
    delete(BLOBS).where(
        BLOBS.c.log_id == _LOG, BLOBS.c.hash == param("hash"), ~_has(EVENTS), ~_has(ARCHIVE)
    ),
    "log", "hash",
)  # fmt: skip
_FIRED = prepared(
    delete(TIMERS).where(TIMERS.c.log_id == _LOG, TIMERS.c.id == param("of")), "log", "of"
)


def erase(
    connection: sqlite3.Connection, log: int, stream: int, rests: Sequence[Rest], timer: int | None
) -> None:
    """Write ``rests`` over these events; see ``ports_archive.Archives``."""
    with transaction(connection):
        blobs: set[bytes] = set()
        for version, state in rests:
            for table in (EVENTS, ARCHIVE):
                at = (stream, log, version)
                blobs.update(row[0] for row in connection.execute(_BLOB_OF[table], at))
                connection.execute(_ERASE[table], (state, *at))
        connection.executemany(_FORGET, [(log, blob) for blob in blobs])
        if timer is not None:
            connection.execute(_FIRED, (log, timer))
