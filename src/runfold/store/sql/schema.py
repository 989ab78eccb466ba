"""The tables, once for all databases.

Each key begins with ``log_id``, so that namespaces share tables and nothing else. On
PostgreSQL all of it stands in the schema ``runfold``; on SQLite there is no schema
(``TRANSLATED``). Columns stand in the order in which a PostgreSQL row is smallest: eight
bytes wide, four bytes wide, then what has no fixed width.
"""

from __future__ import annotations

from runfold.store.sql.columns import METADATA, SCHEMA, TRANSLATED
from runfold.store.sql.limit_tables import ALARMS, CLOSURES, HOLDS, LIMITS, PARKED, STARTS
from runfold.store.sql.log_tables import ARCHIVE, BATCHES, BLOBS, EVENTS, LOGS, STREAMS
from runfold.store.sql.view_tables import VIEWS
from runfold.store.sql.work_tables import (
    CURSORS,
    INBOX,
    JOBS,
    LEADERS,
    MEMBERS,
    OPEN_RUNS,
    TIMERS,
    TRACKING,
)

__all__ = [
    "METADATA", "SCHEMA", "TRANSLATED",
    "LOGS", "STREAMS", "EVENTS", "ARCHIVE", "BLOBS", "BATCHES",
    "JOBS", "TIMERS", "OPEN_RUNS", "MEMBERS", "LEADERS", "CURSORS", "INBOX", "TRACKING",
    "LIMITS", "HOLDS", "STARTS", "CLOSURES", "PARKED", "ALARMS",
    "VIEWS",
]  # fmt: skip

HEAD = "0006"
"""The revision that this release needs: the last file of ``migrations/versions``."""
