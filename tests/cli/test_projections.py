"""``runfold projections`` against a database with a short past."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from runfold import Flow, Runfold

Call = Callable[..., Result]
URL = "sqlite:///past.db"


@pytest.fixture
def past(runfold: Call) -> None:
    """Three runs that have ended, and their views."""
    flow: Flow[Any, Any] = Flow("greet")

    @flow.entry("hello")
    async def hello(name: str) -> str:
        return f"hello {name}"

    async def written() -> None:
        async with Runfold(URL, flows=[flow]) as rf:
            for name in ("a", "b", "c"):
                await (await rf.start(flow, name)).result(timeout=10)
            await rf.run_until_idle()

    asyncio.run(written())


def test_every_view_is_listed_with_its_lag(past: None, runfold: Call) -> None:
    shown = runfold("projections", "ls", "--url", URL)
    assert shown.exit_code == 0
    assert shown.output.splitlines()[0].split() == [
        "name", "version", "build", "state", "position", "lag", "error",
    ]  # fmt: skip
    listed = json.loads(runfold("projections", "ls", "--url", URL, "--json").output)
    assert {one["state"] for one in listed} == {"live"}
    assert {"runs", "steps"} <= {one["name"] for one in listed}


def test_a_view_is_proved_and_built_anew(past: None, runfold: Call) -> None:
    proved = runfold("projections", "verify", "runs", "--url", URL)
    assert proved.exit_code == 0
    assert "runs is what the log says at" in proved.stdout
    built = runfold("projections", "rebuild", "runs", "--url", URL)
    assert built.exit_code == 0
    assert "events" in built.stderr
    listed = json.loads(runfold("projections", "ls", "--url", URL, "--json").output)
    assert [(one["build"], one["state"]) for one in listed if one["name"] == "runs"] == [
        (1, "old"),
        (2, "live"),
    ]


def test_a_view_that_differs_is_an_error(past: None, runfold: Call, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "past.db") as connection:
        connection.execute("UPDATE view_runs_v2 SET status = 'failed'")
    connection.close()
    proved = runfold("projections", "verify", "runs", "--url", URL)
    assert proved.exit_code == 1
    assert "run `runfold projections rebuild runs`" in proved.stderr
    told = json.loads(runfold("projections", "verify", "runs", "--url", URL, "--json").stdout)
    assert told["isEqual"] is False


def test_what_had_not_stopped_is_not_resumed(past: None, runfold: Call) -> None:
    resumed = runfold("projections", "resume", "runs", "--url", URL)
    assert (resumed.exit_code, resumed.output) == (0, "runs had not stopped\n")


def test_a_projection_of_nobody_is_refused(past: None, runfold: Call) -> None:
    refused = runfold("projections", "verify", "nobody", "--url", URL)
    assert refused.exit_code == 1
    assert "there is no projection 'nobody' here" in refused.output


def test_what_was_live_before_is_put_back(past: None, runfold: Call) -> None:
    none = runfold("projections", "rollback", "runs", "--url", URL)
    assert none.exit_code == 1
    assert "no build of version 2 of 'runs' is kept" in none.stderr
    runfold("projections", "rebuild", "runs", "--url", URL)
    back = runfold("projections", "rollback", "runs", "--url", URL)
    assert back.exit_code == 0
    assert back.output.startswith("runs is as it was built before")
    listed = json.loads(runfold("projections", "ls", "--url", URL, "--json").output)
    builds = [(one["build"], one["state"]) for one in listed if one["name"] == "runs"]
    assert builds == [(1, "live"), (2, "old")]
