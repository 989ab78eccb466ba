"""The types that ``right.py`` and ``wrong.py`` talk about."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel


class Raw(BaseModel):
    rows: list[int]


class Prepared(BaseModel):
    count: int


class Processed(BaseModel):
    total: int


class Report(BaseModel):
    text: str


@dataclass
class Note:
    text: str


class Opaque:
    """Something that nobody can store."""
