"""Arrays that are sent as one text come back as the lists that they were."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta, timezone

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold.flow.work import Gate
from runfold.store.sql.postgres_arrays import Literal, moments, numbers, texts

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CASES: list[tuple[str, Literal, list[object]]] = [
    ("bigint", numbers, []),
    ("bigint", numbers, [1, -(2**63), 2**63 - 1, None, 0]),
    ("integer", numbers, [Gate.PAUSED, None, Gate.OPEN]),
    ("boolean", numbers, [True, None, False]),
    ("float8", numbers, [0.1, -1e300, 5e-324, math.inf, -math.inf, None]),
    ("text", texts, []),
    ("text", texts, ["a", "b"]),
    ("text", texts, ["", None, "NULL", "null", "None", " ", "a,b", "{}", '"', '","', "\\", '\\"']),
    ("text", texts, ['a","b']),
    ("text", texts, ["'", "\n\t\r", "\x01", "ä€😀", "{a,b}", "\\N", "$1"]),
    ("timestamptz", moments, [NOON, None, NOON, NOON + timedelta(microseconds=1)]),
    ("timestamptz", moments, [datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]),
    ("timestamptz", moments, [NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))]),
]


@pytest.mark.parametrize(("kind", "literal", "values"), CASES)
def test_the_server_reads_what_was_meant(
    kind: str, literal: Literal, values: list[object], postgres_url: str
) -> None:
    async def read() -> object:
        connection = await asyncpg.connect(postgres_url)
        try:
            return await connection.fetchval(f"SELECT $1::text::{kind}[]", literal(values))
        finally:
            await connection.close()

    assert asyncio.run(read()) == values


@given(st.lists(st.none() | st.text("a\"\\,{} \nNUL'é", max_size=8), max_size=6))
def test_a_text_never_ends_its_element(values: list[str | None]) -> None:
    """Read as PostgreSQL reads it: quotes, and one character behind each backslash."""
    written, read = texts(values)[1:-1], list[str | None]()
    while written:
        if not written.startswith('"'):
            word, _, written = written.partition(",")
            assert word == "NULL"
            read.append(None)
            continue
        end, content = 1, ""
        while written[end] != '"':
            end += written[end] == "\\"
            content += written[end]
            end += 1
        read.append(content)
        written = written[end + 1 :].removeprefix(",")
    assert read == values
