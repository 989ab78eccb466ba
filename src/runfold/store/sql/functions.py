"""The functions of PostgreSQL: an upgrade leaves exactly those of this release.

The text of each is one file of ``migrations/sql/functions`` and nowhere else. Revisions change
tables only; after them each function is created or replaced, and what no file says any more is
dropped, older signatures included. A function keeps its grants as long as its signature stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

_FUNCTIONS = text(
    "SELECT oid::regprocedure::text AS signature, proname AS name, xmin::text AS written_by "
    "FROM pg_proc WHERE pronamespace = 'runfold'::regnamespace"
)
_CHANGED = "42P13"
"""SQLSTATE of replacing a function by one with another result or other names of parameters."""


class _Function(NamedTuple):
    signature: str
    name: str
    written_by: str


def replace_functions(connection: Connection, folder: Path) -> None:
    """Leave the functions that the files of ``folder`` say, and no others, in the schema.

    Runs in the transaction of ``connection``. Raises when something that is not Runfold's needs
    a function that has to go.
    """
    # Without parameters no driver looks for placeholders in the text.
    connection = connection.execution_options(no_parameters=True)
    before = _functions(connection)
    for file in sorted(folder.glob("*.sql")):
        _replace(connection, file)
    for stale in before & _functions(connection):
        _drop(connection, stale)


def _replace(connection: Connection, file: Path) -> None:
    create = file.read_text("utf-8")
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(create)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _CHANGED:
            raise
        for function in _functions(connection):
            if function.name == name_of(file):
                _drop(connection, function)
        connection.exec_driver_sql(create)


def name_of(file: Path) -> str:
    """Return the name of the function in ``file``: behind the number, which is the order."""
    return file.stem.partition("_")[2]


def _functions(connection: Connection) -> set[_Function]:
    return {_Function(*row) for row in connection.execute(_FUNCTIONS)}


def _drop(connection: Connection, function: _Function) -> None:
    connection.exec_driver_sql(f"DROP ROUTINE {function.signature}")
