"""How values stand in SQLite: statements as text, moments as microseconds, sets as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Executable, Select, bindparam, func, literal_column
from sqlalchemy.sql.selectable import TableValuedAlias

from runfold.store.sql.compiled import for_sqlite

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def prepared(statement: Executable, *names: str) -> str:
    """Return the text of ``statement``, whose parameters are ``names`` in this order."""
    text, found, fixed = for_sqlite(statement)
    assert found == names, f"parameters are {found}, expected {names}: {text}"
    assert not fixed, f"constants are parameters: {fixed}"
    return text


def param(name: str) -> BindParameter[Any]:
    """Return the parameter ``name`` of a statement."""
    return bindparam(name)


def limited(statement: Select[Any]) -> Select[Any]:
    """Return ``statement`` with its last parameter, ``limit``."""
    return statement.limit(bindparam("limit")).offset(literal_column("0"))


def given(name: str) -> TableValuedAlias:
    """Return the parameter ``name``, a JSON list, as a table with a column ``value``."""
    return func.json_each(bindparam(name)).table_valued("value", name=f"given_{name}")


def listed(values: Iterable[object]) -> str:
    """Return ``values`` as the JSON list that ``given`` takes."""
    return json.dumps(list(values))


def micros(moment: datetime) -> int:
    """Return ``moment`` as SQLite keeps it: microseconds since 1970."""
    return (moment - EPOCH) // _MICROSECOND


def moment(micros: int) -> datetime:
    """Return the moment that was kept as ``micros``."""
    return EPOCH + timedelta(microseconds=micros)


def clock(now: datetime | None = None) -> int:
    """Return the store's time in microseconds: ``now`` if given, else this machine's clock."""
    return time.time_ns() // 1000 if now is None else micros(now)
