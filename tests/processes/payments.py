"""A table of somebody else's, in the engine's database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg


def ask(url: str, statement: str) -> list[Any]:
    """Return the rows of a statement, asked on a connection of nobody else's."""
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"))
    else:
        connection = psycopg.connect(url)
    try:
        with connection:
            done = connection.execute(statement)
            return list(done.fetchall()) if done.description else []
    finally:
        connection.close()


def payments(url: str) -> Callable[[], list[Any]]:
    """Return what reads the table of payments, which is new."""
    ask(url, "DROP TABLE IF EXISTS payments")
    ask(url, "CREATE TABLE payments (id text, amount integer)")
    return lambda: ask(url, "SELECT id, amount FROM payments ORDER BY id")
