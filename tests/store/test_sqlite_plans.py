"""Every statement of the SQLite store is a probe or a short range, on an empty file too."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from runfold.settings import Settings
from runfold.store.sql import (
    sqlite_archive,
    sqlite_claim,
    sqlite_commit,
    sqlite_guards,
    sqlite_lanes,
    sqlite_limits,
    sqlite_members,
    sqlite_read,
    sqlite_write,
)
from runfold.store.sql.compiled import Compiled
from runfold.store.sql.sqlite import SqliteStore
from runfold.store.sql.sqlite_open import connect

MODULES = (
    sqlite_archive,
    sqlite_claim, sqlite_commit, sqlite_guards, sqlite_lanes, sqlite_limits, sqlite_members,
    sqlite_read, sqlite_write,
)  # fmt: skip
WHOLE_LOG = {
    # statement: why it may walk all rows of the log in one index
    "sqlite_archive._NEWEST": "the last of the primary key: one step",
    "sqlite_archive._COUNTED": "counts events, for people",
    "sqlite_commit._LAST": "the last of the primary key: one step",
    "sqlite_read._HEAD": "the last of the primary key: one step",
    "sqlite_members._CURSOR": "the last of the primary key: one step",
    "sqlite_read._PENDING": "the first of two indexes and one row a process: one step each",
    "sqlite_read._COUNTS": "counts jobs, for people",
    "sqlite_read._OPEN_TIMERS": "counts timers, for people",
    "sqlite_read._JOBS_OF": "counts jobs, for people",
    "sqlite_read._DELAYED_OF": "counts timers, for people",
    "sqlite_read._WAITING": "turns of lanes are counted over all that waits, for people",
    "sqlite_read._LIMITS_OF": "all settings, for people",
    "sqlite_lanes._IN_USE": "the first of three indexes: one step each",
    "sqlite_members._MEMBERS": "one row a process, for people",
    "sqlite_read._INBOX": "in order of the index, up to a limit",
    "sqlite_members._OVER": "one row a process",
}


def statements(module: ModuleType) -> Iterator[tuple[str, str]]:
    for name, value in vars(module).items():
        found = value if isinstance(value, list | tuple) and name != "_COLUMNS" else [value]
        found = list(value.values()) if isinstance(value, dict) else found
        texts = [item.text if isinstance(item, Compiled) else item for item in found]
        for text in texts:
            if isinstance(text, str) and text.startswith(("SELECT", "UPDATE", "DELETE")):
                yield f"{module.__name__.rsplit('.', 1)[-1]}.{name}", text


ALL = sorted({found for module in MODULES for found in statements(module)})


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("plans") / "log.db"
    store = SqliteStore(f"sqlite:///{path}")

    async def create() -> None:
        await store.open()
        await store.close()

    asyncio.run(create())
    connection: sqlite3.Connection = connect(Path(path), Settings())
    yield connection
    connection.close()


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * statement.count("?"))
    return [row[3] for row in rows]


def test_there_are_statements_to_look_at() -> None:
    assert len(ALL) > 40


@pytest.mark.parametrize(("name", "statement"), ALL, ids=[name for name, _ in ALL])
def test_a_statement_probes(connection: sqlite3.Connection, name: str, statement: str) -> None:
    steps = plan(connection, statement)
    walks = [step for step in steps if step.endswith("(log_id=?)") or step.startswith("SCAN main")]
    assert not walks or name in WHOLE_LOG, steps


def test_a_claim_walks_the_index_of_ready_jobs(connection: sqlite3.Connection) -> None:
    assert plan(connection, sqlite_claim._READY_JOBS) == [
        (
            "SEARCH main.jobs USING INDEX jobs_ready"
            " (log_id=? AND queue=? AND priority=? AND (place,id)>(?,?))"
        ),
        "SEARCH main.streams USING PRIMARY KEY (log_id=? AND stream=?)",
    ]
    assert plan(connection, sqlite_claim._PRIORITY) == [
        "SEARCH main.jobs USING INDEX jobs_ready (log_id=? AND queue=? AND priority<?)",
    ]


def test_a_lane_s_next_and_the_first_to_be_woken_are_one_step(
    connection: sqlite3.Connection,
) -> None:
    assert plan(connection, sqlite_lanes._NEXT) == [
        "SEARCH main.jobs USING INDEX jobs_lane (log_id=? AND queue=? AND limits=? AND priority=?)",
    ]
    assert plan(connection, sqlite_lanes._FIRST) == [
        "SEARCH main.parked USING COVERING INDEX parked_bucket (log_id=? AND bucket=? AND queue=?)",
    ]


HOT = [found for found in ALL if found[0].startswith(("sqlite_claim", "sqlite_l"))]


@pytest.mark.parametrize(("name", "statement"), HOT, ids=[name for name, _ in HOT])
def test_no_question_of_a_claim_sorts(
    connection: sqlite3.Connection, name: str, statement: str
) -> None:
    assert not [step for step in plan(connection, statement) if "TEMP B-TREE" in step], name


def test_due_timers_are_read_in_order_of_their_index(connection: sqlite3.Connection) -> None:
    assert plan(connection, sqlite_read._DUE.text) == [
        "SEARCH main.timers USING INDEX timers_due (log_id=? AND due_at<?)",
    ]
