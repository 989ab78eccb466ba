"""What the tables are made of: the schema, and columns that say what they hold."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData
from sqlalchemy.types import TypeEngine

SCHEMA = "runfold"
"""The PostgreSQL schema of every table and function."""

TRANSLATED: dict[str | None, str | None] = {SCHEMA: None}
"""``schema_translate_map`` of databases without schemas."""

METADATA = MetaData(schema=SCHEMA)
"""Every table of this release; equal to what the migrations make."""

MOMENT = DateTime(timezone=True).with_variant(BigInteger(), "sqlite")
"""A moment; on SQLite an integer: microseconds since 1970 in UTC."""


def column(
    name: str, kind: TypeEngine[Any], comment: str, *more: Any, null: bool = False, **options: Any
) -> Column[Any]:
    """Return a column with a comment, not nullable unless ``null``."""
    return Column(name, kind, *more, nullable=null, comment=comment, **options)


def log_id() -> Column[Any]:
    """Return the column that every key begins with."""
    return column("log_id", Integer(), "which log: the namespace or the attached Application")
