"""Starts written through a caller's own connection to the same SQLite file.

Known are connections of ``sqlite3``, SQLAlchemy (connections and sessions, asynchronous ones
too) and Django; the row is inserted by the caller's thread, in the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from runfold.errors import InvalidInput
from runfold.store.sql.schema import INBOX
from runfold.store.sql.sqlite_values import clock, param, prepared

_COLUMNS = ("created_at", "log_id", "run_id", "body")
_ENLIST = prepared(insert(INBOX).values({name: param(name) for name in _COLUMNS}), *_COLUMNS)
_FILES = "PRAGMA database_list"

Execute = Callable[[str, tuple[Any, ...]], Any]
"""Runs one statement with parameters on the caller's connection; rows have ``fetchall``."""


def enlist(connection: Any, path: Path, log: int, rows: Sequence[tuple[bytes, str]]) -> Any:
    """Insert (run id, body) ``rows`` through ``connection``.

    Returns an awaitable for asynchronous connections. Raises ``InvalidInput`` for a
    connection that is not known or whose file is not ``path``.
    """
    if isinstance(connection, AsyncConnection):
        return connection.run_sync(lambda inner: _insert(_alchemy(inner), path, log, rows))
    if isinstance(connection, AsyncSession):
        return connection.run_sync(
            lambda inner: _insert(_alchemy(inner.connection()), path, log, rows)
        )
    return _insert(_execute_of(connection), path, log, rows)


def _execute_of(connection: Any) -> Execute:
    if isinstance(connection, sqlite3.Connection):
        return connection.execute
    if isinstance(connection, Connection):
        return _alchemy(connection)
    if isinstance(connection, Session):
        return _alchemy(connection.connection())
    if getattr(connection, "vendor", None) == "sqlite":
        connection.ensure_connection()
        return _execute_of(connection.connection)
    raise InvalidInput(
        f"connection is {type(connection).__name__!r}, expected one of sqlite3, SQLAlchemy or "
        "Django on the file of this store"
    )


def _alchemy(connection: Connection) -> Execute:
    return connection.exec_driver_sql


def _insert(execute: Execute, path: Path, log: int, rows: Sequence[tuple[bytes, str]]) -> None:
    files = [row[2] for row in _asked(execute, path) if row[1] == "main"]
    if not (files and files[0] and Path(files[0]).exists() and path.samefile(files[0])):
        raise InvalidInput(
            f"connection is to {files[0] if files else None!r}, expected the file of this store, "
            f"{str(path)!r}"
        )
    for run_id, body in rows:
        execute(_ENLIST, (clock(), log, run_id, body))


def _asked(execute: Execute, path: Path) -> list[Any]:
    try:
        return list(execute(_FILES, ()).fetchall())
    except sqlite3.Error as error:
        raise InvalidInput(f"connection is not to {str(path)!r}: {error}") from error
