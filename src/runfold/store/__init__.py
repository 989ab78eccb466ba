"""Stores: the adapters behind ``runfold.ports``, one file or folder for each database.

``memory`` is the reference: the shortest reading of the ports, for tests and simulation.
``sql`` holds SQLite and PostgreSQL. ``codec`` turns events into bytes and back for all of
them. Whatever is true of one store is true of the others: they inherit the same suite,
``runfold.testing.contract``.
"""

from __future__ import annotations

from runfold.errors import InvalidSettings
from runfold.ports import Store
from runfold.settings import Settings


def open_store(url: str, settings: Settings, namespace: str) -> Store:
    """Return the store that ``url`` names, not open yet.

    ``memory://``, ``sqlite:///file.db`` (four slashes for an absolute path) or
    ``postgresql://user@host/database``. Raises ``InvalidSettings`` for anything else.
    """
    scheme = url.partition(":")[0].partition("+")[0]
    if url == "memory://":
        from runfold.store.memory import MemoryStore

        return MemoryStore(settings, namespace=namespace)
    if scheme == "sqlite":
        from runfold.store.sql.sqlite import SqliteStore

        return SqliteStore(url, settings, namespace)
    if scheme in ("postgresql", "postgres"):
        from runfold.store.sql.postgres import PostgresStore

        return PostgresStore(url, settings, namespace)
    # What stands behind the scheme may hold a password.
    raise InvalidSettings(
        f"the URL begins with {url.partition('//')[0]!r}, which names no store that there is; "
        "expected memory://, sqlite:///file.db or postgresql://user@host/database"
    )
