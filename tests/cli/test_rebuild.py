"""``runfold rebuild``: asks, tells, and is refused while something runs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable

import pytest
from click.testing import Result

from runfold import Flow, Runfold

Call = Callable[..., Result]
URL = "sqlite:///past.db"
TABLES = ("jobs", "timers", "open_runs", "streams", "members", "leaders", "cursors", "batches")


@pytest.fixture
def wrecked(runfold: Call, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a run that waits for a worker, in a file that has its log and nothing else."""
    flow: Flow[str, str] = Flow("greet", input=str)

    @flow.entry("hello")
    async def hello(name: str) -> str:
        return f"hello {name}"

    async def written() -> str:
        async with Runfold(URL, flows=[flow]).connect() as rf:
            return (await rf.start(flow, "you", key="k")).id

    monkeypatch.setenv("RUNFOLD_URL", URL)
    run = asyncio.run(written())
    with sqlite3.connect("past.db") as connection:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")
    connection.close()
    return run


def test_what_was_lost_comes_back(runfold: Call, wrecked: str) -> None:
    assert runfold("runs", "show", wrecked).exit_code == 1
    result = runfold("rebuild", "--all", "--yes")
    assert (result.exit_code, result.stdout) == (
        0, "rebuilt from 3 events: 1 runs under way, 1 jobs (0 stalled), 0 timers\n",
    )  # fmt: skip
    assert result.stderr == "\r3 of 3 events\n"
    assert runfold("runs", "show", wrecked).exit_code == 0


def test_with_json_it_is_one_object(runfold: Call, wrecked: str) -> None:
    result = runfold("rebuild", "--all", "--yes", "--json")
    assert json.loads(result.stdout) == {
        "events": 3, "streams": 2, "runs": 1, "jobs": 1, "stalled": 0, "timers": 0,
    }  # fmt: skip
    assert result.stderr == ""


@pytest.mark.parametrize("given", ["n\n", ""])
def test_it_asks_before(runfold: Call, wrecked: str, given: str) -> None:
    result = runfold("rebuild", "--all", given=given)
    assert result.exit_code == 1
    assert "Are all roles stopped" in result.stderr
    assert runfold("runs", "show", wrecked).exit_code == 1


def test_it_wants_all(runfold: Call, wrecked: str) -> None:
    result = runfold("rebuild")
    assert result.exit_code == 2
    assert "say --all" in result.stderr


def test_it_is_refused_while_a_role_runs(runfold: Call, wrecked: str) -> None:
    with sqlite3.connect("past.db") as connection:
        connection.execute("INSERT INTO members VALUES (7, ?, 1, 'shop:1', 'worker')", (2**60,))
    connection.close()
    result = runfold("rebuild", "--all", "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "'shop:1' runs on this log" in result.stderr
