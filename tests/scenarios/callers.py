"""Callers that block, each with a transaction: its end commits, an error rolls back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import django.conf
import psycopg
from django.db.utils import ConnectionHandler
from django.utils.connection import ConnectionProxy
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

BlockingCaller = Callable[[str], AbstractContextManager[Any]]


def _engine(url: str) -> Any:
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(parsed, poolclass=NullPool)


@contextmanager
def sqlalchemy_connection(url: str) -> Iterator[Any]:
    with _engine(url).begin() as connection:
        yield connection


@contextmanager
def sqlalchemy_session(url: str) -> Iterator[Any]:
    with Session(_engine(url)) as session, session.begin():
        yield session


@contextmanager
def psycopg_connection(url: str) -> Iterator[Any]:
    with psycopg.connect(url) as connection:
        yield connection


@contextmanager
def sqlite3_connection(url: str) -> Iterator[Any]:
    connection = sqlite3.connect(make_url(url).database or "")
    try:
        with connection:
            yield connection
    finally:
        connection.close()


@contextmanager
def django_connection(url: str) -> Iterator[Any]:
    """``django.db.connection``, without autocommit."""
    if not django.conf.settings.configured:
        django.conf.settings.configure(USE_TZ=True)
        django.setup()
    parsed = make_url(url)
    kind = "sqlite3" if parsed.drivername == "sqlite" else "postgresql"
    database = {
        "ENGINE": f"django.db.backends.{kind}",
        "NAME": parsed.database,
        "USER": parsed.username or "",
        "PASSWORD": parsed.password or "",
        "HOST": parsed.query.get("host") or parsed.host or "",
        "PORT": parsed.port or "",
    }
    handler = ConnectionHandler({"default": database})
    connection = ConnectionProxy(handler, "default")
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


ON_POSTGRES: tuple[BlockingCaller, ...] = (
    sqlalchemy_connection,
    sqlalchemy_session,
    psycopg_connection,
    django_connection,
)
ON_SQLITE: tuple[BlockingCaller, ...] = (
    sqlalchemy_connection,
    sqlalchemy_session,
    sqlite3_connection,
    django_connection,
)
