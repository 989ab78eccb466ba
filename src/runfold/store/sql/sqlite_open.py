"""Opening a SQLite file: its path, its schema, its log; each problem said in a sentence."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, func, insert, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from runfold.errors import InvalidSettings, StoreUnavailable
from runfold.ports import LogIdentity
from runfold.settings import Settings
from runfold.store.sql import migrate
from runfold.store.sql.schema import LOGS
from runfold.store.sql.sqlite_lane import PAUSE_SECONDS_MAX, is_busy, transaction
from runfold.store.sql.sqlite_plans import settle
from runfold.store.sql.sqlite_values import clock, param, prepared

PREFIX = "sqlite:///"
BUSY_MS_AT_OPEN = 60_000
"""How long opening waits for another process that sets the file up."""
BUSY_MS_AT_CONNECT = 5_000
"""How long a connection waits for one that has the whole file for a moment: the last one of
another process, that closes, or the first after a crash. Its first look at the file would fail."""
_CACHED_STATEMENTS = 256

_NAMED = prepared(
    select(LOGS.c.log_id, LOGS.c.identity, LOGS.c.generation).where(LOGS.c.name == param("named")),
    "named",
)
_HIGHEST = prepared(select(func.max(LOGS.c.log_id)))
_COLUMNS = ("log_id", "generation", "created_at", "name", "identity")
_NEW_LOG = prepared(insert(LOGS).values({name: param(name) for name in _COLUMNS}), *_COLUMNS)


def path_of(url: str) -> Path:
    """Return the file that ``url`` names: ``sqlite:///relative.db``, ``sqlite:////absolute.db``."""
    name = url.removeprefix(PREFIX)
    if not url.startswith(PREFIX) or "?" in name:
        raise InvalidSettings(
            f"url is {url!r}, expected 'sqlite:///file.db' or 'sqlite:////absolute/file.db', "
            "without parameters"
        )
    if name in {"", ":memory:"}:
        raise InvalidSettings(f"url is {url!r}, which names no file; use 'memory://'")
    return Path(name).absolute()


def connect(path: Path, settings: Settings, *, busy_ms: int = 0) -> sqlite3.Connection:
    """Return a connection that starts no transaction by itself.

    ``busy_ms`` is how long SQLite waits for another writer before it says so.
    """
    connection = sqlite3.connect(
        path,
        timeout=BUSY_MS_AT_CONNECT / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )
    for pragma in (
        f"PRAGMA synchronous = {settings.synchronous}",
        "PRAGMA wal_autocheckpoint = 0",
        # What is deleted or moved to the archive leaves no copy behind that could not be erased.
        "PRAGMA secure_delete = ON",
        "PRAGMA temp_store = MEMORY",
        "PRAGMA cache_size = -16000",
        f"PRAGMA busy_timeout = {busy_ms}",
    ):
        connection.execute(pragma)
    return connection


def prepare(path: Path, settings: Settings, namespace: str) -> LogIdentity:
    """Create or migrate the file as needed, and return the log of ``namespace``."""
    if not path.parent.is_dir():
        raise InvalidSettings(
            f"{str(path)!r} cannot be opened: {str(path.parent)!r} is no directory; create it"
        )
    patience = time.monotonic() + BUSY_MS_AT_OPEN / 1000
    while time.monotonic() < patience:
        try:
            return _prepare(path, settings, namespace)
        except sqlite3.DatabaseError as error:
            if not is_busy(error):
                raise _refused(path, error) from error
        except DatabaseError as error:
            # Raised while migrating: SQLAlchemy has wrapped what SQLite said.
            if not (isinstance(error.orig, sqlite3.Error) and is_busy(error.orig)):
                raise
        # Turning on the -wal file asks for the whole file, and does not wait for it.
        time.sleep(PAUSE_SECONDS_MAX)
    raise StoreUnavailable(f"{str(path)!r} is held by another process; try again")


def _prepare(path: Path, settings: Settings, namespace: str) -> LogIdentity:
    connection = connect(path, settings, busy_ms=BUSY_MS_AT_OPEN)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        _migrate(connection, path)
        settle(connection)
        return _log(connection, namespace)
    finally:
        connection.close()


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to date; Alembic is asked only when it is not."""
    if _revision(connection) == migrate.head():
        return
    engine = create_engine("sqlite://", creator=lambda: _second(path), poolclass=NullPool)
    with engine.connect() as migrating:
        migrate.upgrade(migrating)


def _second(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_MS_AT_OPEN / 1000, isolation_level=None)


def _revision(connection: sqlite3.Connection) -> str | None:
    try:
        row = connection.execute("SELECT version_num FROM schema_version").fetchone()
    except sqlite3.OperationalError:
        return None  # There is no such table, or the file cannot be read: migrating will say.
    return str(row[0]) if row else None


def _log(connection: sqlite3.Connection, namespace: str) -> LogIdentity:
    """Return the log of ``namespace``, a new one at first; 1 is the default's."""
    found = connection.execute(_NAMED, (namespace,)).fetchone()
    if found is None:
        with transaction(connection):
            found = connection.execute(_NAMED, (namespace,)).fetchone()
            if found is None:
                highest = connection.execute(_HIGHEST).fetchone()[0] or 1
                number = 1 if namespace == "default" else highest + 1
                found = (number, uuid4().hex, 1)
                row = (number, 1, clock(), namespace, found[1])
                connection.execute(_NEW_LOG, row)
    return LogIdentity(*found)


def _refused(path: Path, error: sqlite3.DatabaseError) -> InvalidSettings | StoreUnavailable:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return InvalidSettings(f"{str(path)!r} is not a SQLite database; name another file")
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
        return InvalidSettings(
            f"{str(path)!r} cannot be written ({error}); the file and its directory must be "
            "writable for this process"
        )
    return StoreUnavailable(f"{str(path)!r} cannot be used: {error}")
