"""Moments of events, as PostgreSQL sends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from runfold.store.sql.compiled import for_postgres, for_sqlite
from runfold.store.sql.moments import Sent, moment
from runfold.store.sql.schema import EVENTS

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (bytes(8), EPOCH),
        (b"\x00\x00\x00\x00\x00\x00\x00\x01", EPOCH + timedelta(microseconds=1)),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", EPOCH - timedelta(microseconds=1)),
        (b"\x00\x03\x5d\x1f\x67\xfa\xf0\x00", datetime(2030, 1, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_moment_is_microseconds_since_2000(sent: bytes, read: datetime) -> None:
    assert moment(sent) == read
    assert moment(sent).tzinfo is UTC


def test_only_postgresql_is_asked_for_what_it_sends() -> None:
    asked = select(Sent(EVENTS.c.ts).label("ts"))
    assert "timestamptz_send(runfold.events.ts) AS ts" in for_postgres(asked).text
    assert "SELECT main.events.ts AS ts" in for_sqlite(asked).text
