"""How the hot questions are answered: by probes and short ranges, before any statistics."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Executable, text
from sqlalchemy.dialects import postgresql

from runfold.contrib.eventsourcing import RunfoldFactory
from runfold.store.sql import attached_queries as queries

BOUNDS = {"log": 2, "after": 0, "upto": 100, "limit": 100, "upstream": "Orders"}


def plan(connection: Connection, statement: Executable) -> str:
    options: dict[str, Any] = {"literal_binds": True}
    compiled = statement.params(BOUNDS).compile(  # type: ignore[attr-defined]
        dialect=postgresql.dialect(), compile_kwargs=options
    )
    connection.execute(text("SET LOCAL enable_seqscan = off"))
    return "\n".join(connection.scalars(text(f"EXPLAIN {compiled}")))


@pytest.mark.parametrize(
    ("statement", "indexes"),
    [
        (queries._PAGE, ["events_pk", "streams_pk"]),
        (queries._HEAD, ["events_pk"]),
        (queries._TRACKED, ["tracking_pk"]),
    ],
)
def test_a_question_is_answered_by_an_index(
    postgres_url: str, statement: Executable, indexes: list[str]
) -> None:
    factory = RunfoldFactory({"RUNFOLD_URL": postgres_url})
    found = factory.tracking_recorder().write(lambda connection: plan(connection, statement))
    factory.close()
    assert [name for name in indexes if name not in found] == []
    assert "Join" not in found
    assert "Nested Loop" not in found
