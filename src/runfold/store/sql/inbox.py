"""Writing into the inbox of PostgreSQL through a caller's own connection, in its transaction.

The insert runs where the caller runs: in its thread and loop, on its connection, before its
commit. It takes no lock of the engine and no position, so a caller that holds its transaction
open delays nobody. The same statement checks that the connection is of this database: it
inserts nothing where there is no log of this identity.

A driver that is not installed is not imported: connections are told apart by the modules
that their classes come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Connection, LargeBinary, Text, bindparam, func, insert, select, true
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from runfold.errors import InvalidInput
from runfold.ports import LogIdentity
from runfold.store.sql.compiled import compiled, for_postgres
from runfold.store.sql.schema import INBOX, LOGS

KNOWN = "SQLAlchemy (Connection, Session, and async), asyncpg, psycopg, django.db.connection"
"""What ``connection=`` takes."""

_NEW = (
    func.unnest(
        bindparam("run_ids", type_=ARRAY(LargeBinary())), bindparam("bodies", type_=ARRAY(Text()))
    )
    .table_valued("run_id", "body")
    .render_derived("new")
)
_DELIVER = insert(INBOX).from_select(
    ["created_at", "log_id", "run_id", "body"],
    select(func.clock_timestamp(), LOGS.c.log_id, _NEW.c.run_id, _NEW.c.body)
    .join_from(LOGS, _NEW, true())
    .where(LOGS.c.identity == bindparam("identity")),
)
_FOR_ASYNCPG = for_postgres(_DELIVER)
_FOR_PSYCOPG = compiled(_DELIVER, psycopg.dialect())  # type: ignore[no-untyped-call]

_Rows = Sequence[tuple[bytes, str]]
_ABSENT = ("42P01", "3F000")  # undefined table, undefined schema


def enlist(connection: Any, identity: LogIdentity, rows: _Rows) -> Any:
    """Write (run id, body) rows for the log ``identity``.

    Returns an awaitable for an async connection, else None. Raises ``InvalidInput`` for a
    connection that it does not know, or of another database.
    """
    match connection:
        case AsyncConnection():
            return _through_async_sqlalchemy(connection, identity, rows)
        case AsyncSession() | async_scoped_session():
            return _through_async_session(connection, identity, rows)
        case Connection():
            return _through_sqlalchemy(connection, identity, rows)
        case Session() | scoped_session():
            return _through_sqlalchemy(connection.connection(), identity, rows)
    return _through_driver(_django_wrapper(connection), identity, rows)


def _through_driver(connection: Any, identity: LogIdentity, rows: _Rows) -> Any:
    packages = {cls.__module__.partition(".")[0] for cls in type(connection).__mro__}
    if "django" in packages:
        _require_postgres(connection.vendor)
        return _through_django(connection, identity, rows)
    if "asyncpg" in packages:
        return _through_asyncpg(connection, identity, rows)
    if "psycopg" in packages:
        if any(cls.__name__ == "AsyncConnection" for cls in type(connection).__mro__):
            return _through_async_psycopg(connection, identity, rows)
        return _through_psycopg(connection, identity, rows)
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    raise InvalidInput(f"connection is of {kind}, expected one of {KNOWN}")


def _through_sqlalchemy(connection: Connection, identity: LogIdentity, rows: _Rows) -> None:
    _require_postgres(connection.dialect.name)
    try:
        done = connection.execute(
            _DELIVER, _values(identity, rows), execution_options={"preserve_rowcount": True}
        )
    except Exception as error:
        raise _explained(error) from error
    _confirm(done.rowcount, rows)


async def _through_async_sqlalchemy(
    connection: AsyncConnection, identity: LogIdentity, rows: _Rows
) -> None:
    await connection.run_sync(_through_sqlalchemy, identity, rows)


async def _through_async_session(
    session: AsyncSession | async_scoped_session[Any],
    identity: LogIdentity,
    rows: _Rows,
) -> None:
    await _through_async_sqlalchemy(await session.connection(), identity, rows)


async def _through_asyncpg(connection: Any, identity: LogIdentity, rows: _Rows) -> None:
    values = _FOR_ASYNCPG.values(**_values(identity, rows))
    try:
        done: str = await connection.execute(_FOR_ASYNCPG.text, *values)
    except Exception as error:
        raise _explained(error) from error
    _confirm(int(done.rpartition(" ")[2]), rows)


def _through_psycopg(connection: Any, identity: LogIdentity, rows: _Rows) -> None:
    try:
        done = connection.execute(_FOR_PSYCOPG.text, _values(identity, rows))
    except Exception as error:
        raise _explained(error) from error
    _confirm(done.rowcount, rows)


async def _through_async_psycopg(connection: Any, identity: LogIdentity, rows: _Rows) -> None:
    try:
        done = await connection.execute(_FOR_PSYCOPG.text, _values(identity, rows))
    except Exception as error:
        raise _explained(error) from error
    _confirm(done.rowcount, rows)


def _through_django(connection: Any, identity: LogIdentity, rows: _Rows) -> None:
    with connection.cursor() as cursor:
        try:
            cursor.execute(_FOR_PSYCOPG.text, _values(identity, rows))
        except Exception as error:
            raise _explained(error) from error
        _confirm(cursor.rowcount, rows)


def _django_wrapper(connection: Any) -> Any:
    """Return the wrapper behind ``django.db.connection``, which stands for one a thread."""
    kind = type(connection)
    if kind.__module__ == "django.utils.connection" and kind.__name__ == "ConnectionProxy":
        return connection._connections[connection._alias]  # noqa: SLF001 - it has no other name
    return connection


def _values(identity: LogIdentity, rows: _Rows) -> dict[str, Any]:
    return {
        "run_ids": [run_id for run_id, _ in rows],
        "bodies": [body for _, body in rows],
        "identity": identity.identity,
    }


def _require_postgres(actual: str) -> None:
    if actual != "postgresql":
        raise InvalidInput(
            f"connection is of a {actual!r} database, the engine's is 'postgresql'; "
            "pass a connection of the engine's database"
        )


def _confirm(count: int, rows: _Rows) -> None:
    if count != len(rows):
        raise InvalidInput(
            "connection is of another database: it has no log of this engine; "
            "pass a connection of the engine's database"
        )


def _explained(error: Exception) -> Exception:
    """Return ``InvalidInput`` for what a database without our tables says, else the error."""
    for one in (error, getattr(error, "orig", None), error.__cause__):
        if getattr(one, "sqlstate", None) in _ABSENT or getattr(one, "pgcode", None) in _ABSENT:
            return InvalidInput(
                "connection is of another database: it has no inbox of runfold; "
                "pass a connection of the engine's database"
            )
    return error
