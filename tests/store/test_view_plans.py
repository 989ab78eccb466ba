"""Every question that ``rf.runs`` asks of the view is a range of an index, on any filter."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runfold.client.run_query import RunQuery, run_query
from runfold.client.run_rows import _question
from runfold.ports_views import ViewPart, ViewQuery, ViewWrite
from runfold.projections.views import RUNS
from runfold.projections.views.runs import RunRow
from runfold.runtime.keeper import table_of
from runfold.store.sql import view_queries
from runfold.store.sql.compiled import Compiled, for_postgres, for_sqlite
from runfold.store.sql.postgres import PostgresStore
from runfold.store.sql.sqlite import SqliteStore
from runfold.store.sql.view_counts import counts, sums
from runfold.store.sql.view_tables import table_for
from runfold.store.view_rows import table_name
from runfold.testing.contract_scene import NOON

SPEC = table_of(RUNS, 1)
NAME = table_name(1, SPEC)
QUESTIONS: dict[str, tuple[RunQuery, str]] = {
    # what is asked: the index that answers it
    "all": (run_query(None), "pk"),
    "tag": (run_query(None, tags=["a"]), "pk"),
    "status": (run_query(None, status="failed"), "1"),
    "statuses": (run_query(None, status=["failed", "paused"]), "1"),
    "flow": (run_query("f"), "2"),
    "flow, status": (run_query("f", status="failed"), "2"),
    "flow, statuses": (run_query("f", status="FINISHED"), "2"),
    "flow, tag": (run_query("f", tags=["a"]), "2"),
    "queue": (run_query(None, queue="q"), "3"),
    "queue, status, tag": (run_query(None, queue="q", status="failed", tags=["a"]), "3"),
}


def asked(query: RunQuery) -> ViewQuery:
    return _question(query, 10, 10**9)._replace(order=("-stream",), limit=51)


def _of_sqlite(query: ViewQuery) -> Compiled:
    table = table_for(1, SPEC, postgres=False)
    one = query._replace(either=(), equal=query.equal + (query.either or ((),))[0])
    return for_sqlite(view_queries.rows_of(table, one, lambda name, value: value))


async def _fill(store: Any, rows: int) -> None:
    await store.open()
    await store.views.create(SPEC, state="live")
    await store.views.own(7, [ViewPart(*SPEC[:3])], 60)
    sheet = RUNS.sheet(whole=True)
    for number in range(rows):
        for tag in ("", f"t{number % 50}"):
            sheet.put(_row(tag, number))
    put = [values for values in sheet.take().values() if values is not None]
    await store.views.apply(7, [ViewWrite(SPEC, 0, 0, 1, put, (), [*sheet.counts.items()])])
    await store.close()


def _row(tag: str, number: int) -> RunRow:
    status = ("completed", "failed", "running")[number % 3]
    return RunRow(
        tag, number, f"f{number % 7}", status, f"q{number % 5}", "[]", 5, 1, 1, 1, NOON,
        None, None, None, None, True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an empty view: what is planned here must do when it is full."""
    path = tmp_path_factory.mktemp("plans") / "log.db"
    asyncio.run(_fill(SqliteStore(f"sqlite:///{path}"), 0))
    return path


@pytest.fixture
def filled_url(postgres_url: str) -> str:
    """A database with some runs in the view, about which the planner has been told."""
    asyncio.run(_fill(PostgresStore(postgres_url), 3_000))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ANALYZE runfold.{NAME}")
    return postgres_url


@pytest.mark.parametrize("name", QUESTIONS)
def test_sqlite_reads_one_range_backwards(sqlite_file: Path, name: str) -> None:
    query, index = QUESTIONS[name]
    plan = plan_on(sqlite_file, _of_sqlite(asked(query)))
    used = "PRIMARY KEY" if index == "pk" else f"INDEX {NAME}_{index} "
    assert len(plan) == 1, plan
    assert f"SEARCH {NAME} USING {used}" in plan[0]
    assert plan[0].endswith("stream>? AND stream<?)"), plan


def test_sqlite_reads_counts_from_their_own_table(sqlite_file: Path) -> None:
    table = counts(1, SPEC, postgres=False).table
    plan = plan_on(sqlite_file, for_sqlite(sums(table, SPEC, [("flow", "f")])))
    assert plan == [f"SEARCH {NAME}_counts USING PRIMARY KEY (of_flow=?)"]


def test_postgresql_probes_an_index_for_every_question(filled_url: str) -> None:
    table = table_for(1, SPEC, postgres=True)
    with psycopg.connect(filled_url) as connection:
        for query, index in QUESTIONS.values():
            wanted = asked(query)
            ask = view_queries.rows_of_either if wanted.either else view_queries.rows_of
            statement = for_postgres(ask(table, wanted, lambda name, value: value))
            explain: Any = f"EXPLAIN (GENERIC_PLAN) {statement.text}"
            plan = "\n".join(line for (line,) in connection.execute(explain))
            assert "Seq Scan" not in plan, plan
            assert re.search(rf"Index Scan (Backward )?using {NAME}_{index} on", plan), plan
            # Only what alternatives have found, at most a page of each, may be sorted.
            assert "Sort" not in plan or wanted.either, plan
            assert "Filter" not in plan, plan


def plan_on(file: Path, statement: Compiled) -> list[str]:
    with sqlite3.connect(file) as connection:
        explain = f"EXPLAIN QUERY PLAN {statement.text}"
        return [row[3] for row in connection.execute(explain, statement.values())]
