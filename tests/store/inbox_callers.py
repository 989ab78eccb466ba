"""Callers with a transaction of their own, one for each kind of connection that enlists.

Each is an async context manager over a database's URL: the block has the connection in an
open transaction, its end commits, an exception rolls back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import django
import django.conf
import psycopg
from django.db.utils import ConnectionHandler
from django.utils.connection import ConnectionProxy
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

Caller = Callable[[str, str], AbstractAsyncContextManager[Any]]
"""Takes a URL and an isolation level: ``READ COMMITTED`` or ``REPEATABLE READ``."""


def _with_driver(url: str, driver: str) -> Any:
    return make_url(url).set(drivername=f"postgresql+{driver}")


@asynccontextmanager
async def sqlalchemy_connection(url: str, level: str) -> AsyncIterator[Any]:
    engine = create_engine(_with_driver(url, "psycopg"), isolation_level=level, poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


@asynccontextmanager
async def sqlalchemy_session(url: str, level: str) -> AsyncIterator[Any]:
    engine = create_engine(_with_driver(url, "psycopg"), isolation_level=level, poolclass=NullPool)
    with Session(engine) as session, session.begin():
        yield session


@asynccontextmanager
async def sqlalchemy_async_connection(url: str, level: str) -> AsyncIterator[Any]:
    engine = create_async_engine(
        _with_driver(url, "asyncpg"), isolation_level=level, poolclass=NullPool
    )
    async with engine.begin() as connection:
        yield connection


@asynccontextmanager
async def sqlalchemy_async_session(url: str, level: str) -> AsyncIterator[Any]:
    engine = create_async_engine(
        _with_driver(url, "asyncpg"), isolation_level=level, poolclass=NullPool
    )
    async with AsyncSession(engine) as session, session.begin():
        yield session


@asynccontextmanager
async def asyncpg_connection(url: str, level: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation=level.lower().replace(" ", "_")):
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def asyncpg_pooled(url: str, level: str) -> AsyncIterator[Any]:
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=1) as pool,
        pool.acquire() as connection,
        connection.transaction(isolation=level.lower().replace(" ", "_")),
    ):
        yield connection


@asynccontextmanager
async def psycopg_connection(url: str, level: str) -> AsyncIterator[Any]:
    with psycopg.connect(url) as connection:
        connection.isolation_level = _LEVELS[level]
        yield connection


@asynccontextmanager
async def psycopg_async_connection(url: str, level: str) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.set_isolation_level(_LEVELS[level])
        yield connection


@asynccontextmanager
async def django_connection(url: str, level: str) -> AsyncIterator[Any]:
    """``django.db.connection``; needs ``DJANGO_ALLOW_ASYNC_UNSAFE``, as this loop runs."""
    if not django.conf.settings.configured:
        django.conf.settings.configure(USE_TZ=True)
        django.setup()
    parsed = make_url(url)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parsed.database,
        "USER": parsed.username,
        "PASSWORD": parsed.password or "",
        "HOST": parsed.query.get("host") or parsed.host,
        "PORT": parsed.port or "",
        "OPTIONS": {"isolation_level": _LEVELS[level]},
    }
    connection = ConnectionProxy(ConnectionHandler({"default": database}), "default")
    connection.set_autocommit(False)
    try:
        yield connection
    except BaseException:
        connection.rollback()
        raise
    else:
        connection.commit()
    finally:
        connection.close()


_LEVELS = {
    "READ COMMITTED": psycopg.IsolationLevel.READ_COMMITTED,
    "REPEATABLE READ": psycopg.IsolationLevel.REPEATABLE_READ,
}

CALLERS: tuple[Caller, ...] = (
    sqlalchemy_connection,
    sqlalchemy_session,
    sqlalchemy_async_connection,
    sqlalchemy_async_session,
    asyncpg_connection,
    asyncpg_pooled,
    psycopg_connection,
    psycopg_async_connection,
    django_connection,
)
"""One of each."""
