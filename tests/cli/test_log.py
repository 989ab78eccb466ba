"""``runfold log``: its end, and whether it is whole."""

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


@pytest.fixture(autouse=True)
def past(runfold: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with six runs of five events each, behind one that defines their flow."""
    flow: Flow[str, str] = Flow("greet", input=str)

    @flow.entry("hello")
    async def hello(name: str) -> str:
        return f"hello {name}"

    async def written() -> None:
        async with Runfold(URL, flows=[flow]) as rf:
            for number in range(6):
                await rf.start(flow, f"guest {number}")
            await rf.run_until_idle()

    monkeypatch.setenv("RUNFOLD_URL", URL)
    asyncio.run(written())


def change(statement: str) -> None:
    with sqlite3.connect("past.db") as connection:
        connection.execute(statement)
    connection.close()


def test_the_tail_is_the_last_twenty(runfold: Call) -> None:
    result = runfold("log", "tail", "--json")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == list(range(12, 32))


def test_the_tail_begins_behind_an_event_and_takes_types(runfold: Call) -> None:
    result = runfold("log", "tail", "--after", "0", "--type", "flow.start", "--json")
    assert len(result.stdout.splitlines()) == 6
    result = runfold("log", "tail", "--after", "31")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_negative_place_is_refused(runfold: Call) -> None:
    assert runfold("log", "tail", "--after", "-1").exit_code == 2


def test_a_whole_log_is_said_to_be_whole(runfold: Call) -> None:
    result = runfold("log", "verify")
    assert (result.exit_code, result.stdout) == (
        0, "31 events (0 archived) of 7 streams; 6 runs ended, 6 with their chain; 0 faults\n",
    )  # fmt: skip
    assert result.stderr == "\r31 of 31 events\n"


def test_each_fault_is_a_line_and_the_status_says_so(runfold: Call) -> None:
    change("UPDATE events SET state = x'7b7d' WHERE topic = 'step.started' AND stream = 2")
    change("DELETE FROM events WHERE position = 31")
    change("UPDATE events SET position = 33 WHERE position = 30")
    result = runfold("log", "verify")
    assert result.exit_code == 1
    assert "'step.started' that cannot be read" in result.stdout
    assert "33: positions 30 to 32 are missing" in result.stdout
    assert "an event before it was changed" in result.stdout
    assert "the log is not whole: " in result.stderr


def test_with_json_the_faults_are_data(runfold: Call) -> None:
    change("UPDATE events SET topic = 'x.y' WHERE position = 1")
    result = runfold("log", "verify", "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (found["events"], found["faults"]) == (31, 1)
    assert found["findings"][0]["position"] == 1


def test_runs_that_ended_long_ago_are_archived(runfold: Call) -> None:
    result = runfold("log", "archive", "--older-than", "1d")
    assert (result.exit_code, result.stdout) == (0, "0 runs archived\n")
    result = runfold("log", "archive", "--older-than", "0s", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"archived": 5})
    found = json.loads(runfold("log", "verify", "--json").stdout)
    assert (found["archived"], found["events"], found["faults"]) == (25, 31, 0)
    result = runfold("log", "tail", "--after", "0", "--json")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == list(range(1, 32))


@pytest.mark.parametrize("span", ["soon", "-1", "1y", "", "nan", "inf", "99999999d"])
def test_what_is_no_span_is_refused(runfold: Call, span: str) -> None:
    result = runfold("log", "archive", f"--older-than={span}")
    assert result.exit_code == 2
    assert "is no span" in result.stderr


def test_an_archive_needs_a_span(runfold: Call) -> None:
    assert runfold("log", "archive").exit_code == 2
