"""``runfold runs`` and ``runfold start`` against a database with a short past."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result

from runfold import Flow, PermanentError, Runfold

Call = Callable[..., Result]
URL = "sqlite:///past.db"
NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def greet() -> Flow[Any, Any]:
    flow = Flow("greet", input=str)

    @flow.entry("hello")
    async def hello(name: str) -> str:
        if name == "nobody":
            raise PermanentError("nobody is there")
        return f"hello {name}"

    return flow


@pytest.fixture
def past(greet: Flow[Any, Any], runfold: Call, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two runs that have ended; ``runfold`` has moved to a fresh folder before."""

    async def written() -> list[str]:
        async with Runfold(URL, flows=[greet]) as rf:
            runs = [await rf.start(greet, "you", tags=["a", "b"]), await rf.start(greet, "nobody")]
            await rf.run_until_idle()
            return [run.id for run in runs]

    monkeypatch.setenv("RUNFOLD_URL", URL)
    return asyncio.run(written())


@pytest.fixture
def waiting(past: list[str], runfold: Call) -> str:
    """A run that nobody works on."""
    return str(answer(runfold("start", "greet", "--input", '"later"', "--json"))["id"])


def answer(result: Result) -> Any:
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_a_list_is_newest_first(runfold: Call, past: list[str]) -> None:
    lines = runfold("runs", "ls").stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        [past[1], "greet", "failed"],
        [past[0], "greet", "completed"],
    ]


def test_a_list_goes_on_at_its_cursor(runfold: Call, past: list[str]) -> None:
    first = answer(runfold("runs", "ls", "--limit", "1", "--json"))
    second = answer(runfold("runs", "ls", "--limit", "1", "--cursor", first["next"], "--json"))
    assert [item["id"] for page in (first, second) for item in page["items"]] == past[::-1]
    assert second["next"] is None


def test_a_list_is_filtered(runfold: Call, past: list[str]) -> None:
    of_status = answer(runfold("runs", "ls", "--status", "failed", "--json"))
    of_tags = answer(runfold("runs", "ls", "--tag", "a", "--tag", "b", "--json"))
    of_flow = answer(runfold("runs", "ls", "--flow", "other", "--json"))
    assert [item["id"] for item in of_status["items"]] == [past[1]]
    assert [item["id"] for item in of_tags["items"]] == [past[0]]
    assert of_flow["items"] == []


def test_a_run_is_shown(runfold: Call, past: list[str]) -> None:
    shown = runfold("runs", "show", past[0]).stdout
    assert "completed" in shown
    assert "hello you" in shown


def test_a_failed_run_shows_why(runfold: Call, past: list[str]) -> None:
    shown = answer(runfold("runs", "show", past[1], "--json"))
    assert shown["error"]["message"] == "nobody is there"
    assert shown["steps"][0]["status"] == "failed"


def test_a_state_is_shown_at_a_version(runfold: Call, past: list[str]) -> None:
    then = answer(runfold("runs", "state", past[0], "--version", "1", "--json"))
    now = answer(runfold("runs", "state", past[0], "--json"))
    assert (then["version"], then["result"]) == (1, None)
    assert (now["status"], now["result"]) == ("completed", "hello you")


def test_a_state_is_shown_at_a_moment(runfold: Call, past: list[str]) -> None:
    finished = answer(runfold("runs", "show", past[0], "--json"))["finishedAt"]
    at_end = answer(runfold("runs", "state", past[0], "--at", finished, "--json"))
    assert at_end["status"] == "completed"


def test_events_are_printed_in_order(runfold: Call, past: list[str]) -> None:
    printed = runfold("runs", "events", past[0], "--follow", "--json").stdout
    events = [json.loads(line) for line in printed.splitlines()]
    assert [event["version"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["type"], events[-1]["type"]) == ("flow.start", "flow.completed")


def test_events_are_filtered_by_type(runfold: Call, past: list[str]) -> None:
    lines = runfold("runs", "events", past[0], "--type", "step.completed").stdout.splitlines()
    assert len(lines) == 1
    assert "hello" in lines[0]


def test_a_start_prints_an_id(runfold: Call, past: list[str]) -> None:
    started = runfold("start", "greet", "--input", '"you"')
    assert started.exit_code == 0
    assert UUID(started.stdout.strip())


def test_the_same_key_starts_once(runfold: Call, past: list[str]) -> None:
    ids = {runfold("start", "greet", "--input", '"you"', "--key", "k").stdout for _ in "12"}
    assert len(ids) == 1


@pytest.mark.usefixtures("past")
def test_input_comes_from_a_file_or_standard_input(runfold: Call) -> None:
    Path("input.json").write_text('"file"')
    of_file = answer(runfold("start", "greet", "--input", "@input.json", "--json"))
    of_pipe = answer(runfold("start", "greet", "--input", "-", "--json", given='"pipe"'))
    inputs = [answer(runfold("runs", "show", run["id"], "--json"))["input"]
              for run in (of_file, of_pipe)]  # fmt: skip
    assert inputs == ["file", "pipe"]


def test_waiting_in_vain_gives_one(runfold: Call, past: list[str]) -> None:
    late = runfold("start", "greet", "--input", '"you"', "--wait", "0.05")
    assert late.exit_code == 1
    assert "no result after 0.05 seconds" in late.stderr


def test_a_run_is_paused_and_resumed(runfold: Call, waiting: str) -> None:
    before = answer(runfold("runs", "pause", waiting, "--json"))
    paused = answer(runfold("runs", "show", waiting, "--json"))["status"]
    assert runfold("runs", "resume", waiting).exit_code == 0
    resumed = answer(runfold("runs", "show", waiting, "--json"))["status"]
    assert before == {"id": waiting, "accepted": "pause"}
    assert (paused, resumed) == ("paused", "running")


def test_a_run_is_cancelled(runfold: Call, waiting: str) -> None:
    assert runfold("runs", "cancel", waiting, "--reason", "no longer").exit_code == 0
    (event,) = runfold(
        "runs", "events", waiting, "--type", "flow.cancel_requested", "--json"
    ).stdout.splitlines()
    assert json.loads(event)["data"]["reason"] == "no longer"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["runs", "show", NOBODY], 1, "there is no run"),
        (["runs", "show", "x"], 1, "there is no run"),
        (["runs", "events", NOBODY], 1, "there is no run"),
        (["runs", "cancel", NOBODY], 1, "there is no run"),
        (["runs", "ls", "--status", "fine"], 2, "expected one of"),
        (["runs", "ls", "--limit", "0"], 2, "expected 1 to 1000"),
        (["runs", "ls", "--url", "sqlite:///other.db"], 1, "there is no database 'other.db'"),
        (["runs", "ls", "--url", "memory://"], 2, "lives inside one process"),
        (["runs", "ls", "--url", "gopher://x"], 2, "gopher"),
        (["runs", "state", NOBODY, "--at", "noon"], 2, "no moment"),
        (["runs", "state", NOBODY, "--at", "2024-01-01", "--version", "1"], 2, "not both"),
        (["start", "greet", "--input", "{"], 2, "is no JSON"),
        (["start", "greet", "--input", "@nothing.json"], 2, "cannot be read"),
        (["start", "greet", "--priority", "11"], 2, "expected 1 to 10"),
        (["start", "nothing"], 1, "was ever served here"),
        (["start"], 2, "Missing argument 'NAME'"),
        (["nonsense"], 2, "No such command"),
    ],
)
@pytest.mark.usefixtures("past")
def test_what_is_asked_wrongly_is_one_line(
    runfold: Call, arguments: list[str], status: int, said: str
) -> None:
    result = runfold(*arguments)
    assert result.exit_code == status
    assert said in result.stderr
    assert "Error: " in result.stderr.splitlines()[-1]
    assert result.stdout == ""


def test_a_version_that_is_not_there_is_one_line(runfold: Call, past: list[str]) -> None:
    for version in ("0", "99"):
        result = runfold("runs", "state", past[0], "--version", version)
        assert result.exit_code == 1
        assert f"version is {version}" in result.stderr


def test_a_run_that_has_ended_is_not_cancelled(runfold: Call, past: list[str]) -> None:
    result = runfold("runs", "cancel", past[0])
    assert result.exit_code == 1
    assert "has ended" in result.stderr


def test_looking_creates_no_database(runfold: Call) -> None:
    result = runfold("runs", "ls")
    assert result.exit_code == 1
    assert "there is no database 'runfold.db'" in result.stderr
    assert list(Path().iterdir()) == []


def test_the_database_may_stand_in_a_file(
    runfold: Call, past: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNFOLD_URL")
    Path("runfold.toml").write_text(f'url = "{URL}"\n')
    assert len(answer(runfold("runs", "ls", "--json"))["items"]) == 2


@pytest.mark.parametrize(("text", "said"), [("url =", "is no TOML"), ("url = 1", "a text")])
def test_a_wrong_file_is_one_line(runfold: Call, text: str, said: str) -> None:
    Path("runfold.toml").write_text(text)
    result = runfold("runs", "ls")
    assert result.exit_code == 2
    assert said in result.stderr
