"""What SQLite's planner is told about the tables, so that every plan is a probe from the start.

Without statistics it takes any column with an index for selective, ``log_id`` too, which is
the same in every row of most databases: it would walk a whole table where the index beside it
leads to one row. ``ANALYZE`` knows nothing about tables that are empty now, and most are.
These figures stand for a log at work; tests of the plans say what comes of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from sqlalchemy import Index, Table

from runfold.store.sql.sqlite_lane import transaction

ROWS = 1_000_000
"""How many rows the table of a view is said to have."""
STATISTICS: dict[tuple[str, str], str] = {
    # table, index: rows in all, then rows with equal first, first two, ... columns
    ("events", "events"): "1000000 1000000 1",
    ("events", "sqlite_autoindex_events_2"): "1000000 20 20 1",
    ("events", "events_blob"): "1000 1000 2",
    ("archive", "archive"): "1000000 1000000 1",
    ("archive", "sqlite_autoindex_archive_2"): "1000000 20 20 1",
    ("archive", "archive_blob"): "1000 1000 2",
    ("streams", "streams"): "50000 50000 1",
    ("streams", "sqlite_autoindex_streams_2"): "50000 50000 1",
    ("blobs", "sqlite_autoindex_blobs_1"): "1000 1000 1",
    ("batches", "batches"): "100000 100000 50000 1",
    ("batches", "batches_at"): "100000 100000 1",
    ("open_runs", "open_runs"): "10000 10000 1",
    ("jobs", "jobs"): "10000 10000 1",
    ("jobs", "jobs_ready"): "10000 10000 2000 1000 1 1",
    ("jobs", "jobs_heads"): "1000 1000 500 1 1",
    ("jobs", "jobs_lane"): "10000 10000 2000 20 10 1",
    ("jobs", "jobs_leased"): "100 100 10",
    ("jobs", "jobs_stream"): "10000 10000 2",
    ("timers", "timers"): "10000 10000 1",
    ("timers", "timers_due"): "10000 10000 1",
    ("timers", "timers_stream"): "10000 10000 2",
    ("limits", "limits"): "100 100 1",
    ("limits", "limits_scope"): "100 100 2",
    ("holds", "holds"): "1000 1000 10 1",
    ("holds", "holds_job"): "1000 1000 2",
    ("starts", "starts"): "10000 10000 100 2 1",
    ("starts", "starts_over"): "10000 10000 10",
    ("closures", "closures"): "100 100 1",
    ("closures", "closures_until"): "100 100 1",
    ("parked", "parked"): "1000 1000 500 1",
    ("parked", "parked_bucket"): "1000 1000 50 50 10 1 1",
    ("alarms", "alarms"): "100 100 50 1",
    ("alarms", "alarms_due"): "100 100 50 1",
    ("members", "members"): "100 100 1",
    ("inbox", "inbox_log"): "1000 1000 1",
}
"""As in ``sqlite_stat1``; https://www.sqlite.org/fileformat2.html#stat1tab."""


def settle(connection: sqlite3.Connection) -> None:
    """Give the planner ``STATISTICS``, unless it has them; connections opened later use them."""
    if STATISTICS.items() <= _known(connection).items():
        return
    with transaction(connection):
        connection.execute("ANALYZE sqlite_schema")  # Makes the table where there is none.
        _tell(connection, STATISTICS)


def settle_view(connection: sqlite3.Connection, table: Table, indexes: Sequence[Index]) -> None:
    """Give the planner figures for the table of a view and these indexes; within a transaction.

    Each column of an index leaves one row of ten, the key leaves one: so what has more columns
    that are asked for is what is used, and never the key where an index fits better. To be
    called after the table or an index was made: that makes all connections read them.
    """
    keys = len(table.primary_key.columns)
    figures = {(table.name, table.name): [*_falling(keys - 1), 1]}
    figures |= {(table.name, str(one.name)): _falling(len(one.expressions)) for one in indexes}
    told = {at: " ".join(map(str, [ROWS, *each])) for at, each in figures.items()}
    _tell(connection, told)
    connection.execute("ANALYZE sqlite_schema")


def _falling(columns: int) -> list[int]:
    return [max(ROWS // 100 // 10**place, 1) for place in range(columns)]


def _tell(connection: sqlite3.Connection, figures: Mapping[tuple[str, str], str]) -> None:
    connection.executemany("DELETE FROM sqlite_stat1 WHERE tbl = ? AND idx IS ?", [*figures.keys()])
    connection.executemany(
        "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)",
        [(*place, each) for place, each in figures.items()],
    )


def _known(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'").fetchone():
        return {}
    rows = connection.execute("SELECT tbl, idx, stat FROM sqlite_stat1")
    return {(table, index): figures for table, index, figures in rows}
