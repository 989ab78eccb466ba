"""What can be stored, as far as types tell a type checker."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from os import PathLike
from re import Pattern
from typing import Any, ClassVar, Protocol, TypeAlias
from uuid import UUID

from pydantic import BaseModel


class HasFields(Protocol):
    """An instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class HasSchema(Protocol):
    """An instance of a class that tells pydantic how it is written and read."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any, /) -> Any:
        """Return the schema of ``source``."""


Storable: TypeAlias = (
    bool | int | float | complex | str | bytes | bytearray | Iterable[Any]
    | BaseModel | HasFields | HasSchema
    | Enum | UUID | Decimal | date | time | timedelta | PathLike[str] | Pattern[str] | None
)  # fmt: skip
"""A coroutine is none of these, so an ``async def`` is never taken for a ``def``."""
