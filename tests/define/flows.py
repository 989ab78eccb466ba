"""Types and topics that several tests of definitions talk about."""

from __future__ import annotations

from pydantic import BaseModel

from runfold.define import Topic


class Raw(BaseModel):
    rows: list[int] = []


class Prepared(BaseModel):
    count: int


class Processed(BaseModel):
    total: int


class Report(BaseModel):
    text: str


prepared = Topic("data.prepared", Prepared)
noted = Topic("noted", str)
