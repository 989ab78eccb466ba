"""Bringing a database to the schema of this release, one at a time.

The scripts are those of ``migrations/``, run by Alembic; revisions are numbers of four
digits, so that one that is not known here says whether it is newer. ``upgrade`` may run in
many processes at once: the first does the work, the others wait and find it done.
"""

from __future__ import annotations

import threading
from enum import Enum
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from runfold.errors import SchemaOutdated
from runfold.store.sql.functions import replace_functions
from runfold.store.sql.schema import HEAD, SCHEMA

VERSION_TABLE = "schema_version"
"""Where the database says its revision."""

MIGRATION_LOCK = 0x52_55_4E_46_4F_4C_44
"""Key of the PostgreSQL advisory lock around a migration: ``RUNFOLD``."""

_SQLITE_WAIT_MS = 60_000
_ALEMBIC = threading.Lock()  # Alembic keeps what it works on in globals of its modules.


class State(Enum):
    """What a database is to this release."""

    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "up to date"
    NEWER = "newer"


def head() -> str:
    """Return the revision that this release needs."""
    return HEAD


def current(connection: Connection) -> str | None:
    """Return the revision of the database, None when there is nothing of Runfold in it."""
    schema = _schema(connection)
    if not inspect(connection).has_table(VERSION_TABLE, schema=schema):
        return None
    version = table(VERSION_TABLE, column("version_num"), schema=schema)
    found = connection.execute(select(version.c.version_num)).scalar_one_or_none()
    return None if found is None else str(found)


def check(revision: str | None) -> State:
    """Return what a database at ``revision`` is to this release."""
    if revision is None:
        return State.EMPTY
    if revision == HEAD:
        return State.CURRENT
    return State.OLDER if revision < HEAD else State.NEWER


def refuse(revision: str | None) -> SchemaOutdated:
    """Return the error that names the cure for a database at ``revision``."""
    match check(revision):
        case State.NEWER:
            return SchemaOutdated(
                f"the database has schema {revision!r}, newer than {HEAD!r} of this release; "
                "upgrade runfold in this process"
            )
        case State.EMPTY:
            return SchemaOutdated(
                "the database has no schema of runfold and this role may not create one; "
                "run `runfold migrate` as a role that may"
            )
        case _:
            return SchemaOutdated(
                f"the database has schema {revision!r}, this release needs {HEAD!r}; "
                "run `runfold migrate`, or serve with Settings(migrate=True)"
            )


def upgrade(connection: Connection) -> None:
    """Migrate the database to ``head()`` in one transaction, and commit it.

    Waits for another process that does the same. Nothing happens when it is up to date;
    raises ``SchemaOutdated`` when it is newer. ``connection`` must not be in a transaction.
    """
    with connection.begin():
        _lock(connection)
        revision = current(connection)
        if check(revision) is State.NEWER:
            raise refuse(revision)
        if check(revision) is not State.CURRENT:
            _run(connection)


def scripts() -> Path:
    """Return the folder of the migrations: in the installed package, else in the repository."""
    here = Path(__file__).resolve()
    package = here.parents[2]
    for folder in (package / "migrations", package.parents[1] / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise FileNotFoundError(f"no migrations beside {package}; install runfold again")


def _schema(connection: Connection) -> str | None:
    return SCHEMA if connection.dialect.name == "postgresql" else None


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
    else:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_SQLITE_WAIT_MS}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _run(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    schema = _schema(connection)
    if schema is not None:
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, schema=schema)
    with _ALEMBIC:
        command.upgrade(config, "head")
    if schema is not None:
        replace_functions(connection, scripts() / "sql" / "functions")
