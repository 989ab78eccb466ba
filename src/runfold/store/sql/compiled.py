"""Statements compiled once, from SQLAlchemy Core to the text that a driver takes.

A hot statement is compiled when its module is imported and sent as text from then on: what
SQLAlchemy costs a call is paid once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql import ClauseElement

from runfold.store.sql.columns import TRANSLATED

_POSTGRES: Dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]
_SQLITE: Dialect = pysqlite.dialect(paramstyle="qmark")
_SQLITE.default_schema_name = "main"  # Where a table without a schema is.


class Compiled(NamedTuple):
    """The text of a statement, and the names of its parameters in the order of their places."""

    text: str
    names: tuple[str, ...]
    fixed: dict[str, Any]
    """Values that the statement itself contains."""

    def values(self, **given: Any) -> Sequence[Any]:
        """Return the parameters in order; each must be ``given`` or fixed."""
        known = self.fixed | given
        return [known[name] for name in self.names]


def for_postgres(statement: Executable) -> Compiled:
    """Return ``statement`` with ``$1``, ``$2``, ... for its parameters."""
    return compiled(statement, _POSTGRES)


def for_sqlite(statement: Executable) -> Compiled:
    """Return ``statement`` with ``?`` for its parameters, and without a schema."""
    return compiled(statement, _SQLITE, schema_translate_map=TRANSLATED)


def compiled(statement: Executable, dialect: Dialect, **options: Any) -> Compiled:
    """Return ``statement`` as ``dialect`` writes it; ``names`` is empty if it uses names."""
    assert isinstance(statement, ClauseElement)
    if options:
        options["render_schema_translate"] = True
    done = statement.compile(dialect=dialect, **options)
    if "POSTCOMPILE" in str(done):
        raise ValueError(f"IN has a new text for each list, use ANY or OR instead: {done}")
    names = tuple(done.positiontup or ())  # type: ignore[attr-defined]
    fixed = {name: value for name, value in done.params.items() if value is not None}
    return Compiled(str(done), names, fixed)


def ddl_for_postgres(element: ExecutableDDLElement) -> str:
    """Return the text of a statement that makes or drops something."""
    return str(element.compile(dialect=_POSTGRES)).strip()


def ddl_for_sqlite(element: ExecutableDDLElement) -> str:
    """Return the text of a statement that makes or drops something, without a schema."""
    return str(element.compile(dialect=_SQLITE)).strip()
