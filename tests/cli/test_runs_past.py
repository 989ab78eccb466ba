"""``runfold runs why``, ``diff``, ``retry`` and the others, against a run that has failed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from runfold import Context, Flow, PermanentError, Runfold

Call = Callable[..., Result]
URL = "sqlite:///past.db"
NOBODY = "00000000-0000-7000-8000-000000000000"


def trip() -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("trip", input=str)

    @flow.entry(emits=["packed"])
    async def pack(to: str, ctx: Context) -> None:
        await ctx.state.set("to", to)
        ctx.emit("packed", to)

    @flow.step(subscribes="packed", returns=True)
    async def travel(to: str, ctx: Context) -> str:
        there = await ctx.state.get("to")
        if there == "nowhere":
            raise PermanentError("there is no such place")
        return f"in {there}"

    return flow


def served(url: str = URL) -> dict[str, str]:
    """Work until all is idle; return the status of each run."""

    async def work() -> dict[str, str]:
        async with Runfold(url, flows=[trip()]) as rf:
            await rf.run_until_idle()
            return {state.id: state.status for state in (await rf.runs.list()).items}

    return asyncio.run(work())


@pytest.fixture
def failed(runfold: Call, monkeypatch: pytest.MonkeyPatch) -> str:
    async def written() -> str:
        async with Runfold(URL, flows=[trip()]) as rf:
            run = await rf.start("trip", "nowhere")
            await rf.run_until_idle()
            return run.id

    monkeypatch.setenv("RUNFOLD_URL", URL)
    return asyncio.run(written())


def answer(result: Result) -> Any:
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_why_explains_a_run_and_a_step(runfold: Call, failed: str) -> None:
    result = runfold("runs", "why", failed)
    assert result.exit_code == 0
    assert "failed in travel: EXECUTION_ERROR: there is no such place" in result.stdout
    said = answer(runfold("runs", "why", failed, "--step", "travel", "--json"))
    assert [link["step"] for link in said["chain"]] == ["pack", "travel"]
    wrong = runfold("runs", "why", failed, "--step", "fly")
    assert (wrong.exit_code, "no step of flow" in wrong.stderr) == (2, True)


def test_a_fork_with_another_state_arrives(runfold: Call, failed: str) -> None:
    said = answer(runfold("runs", "fork", failed, "--at", "2", "--input", '"Rome"', "--json"))
    other = runfold("runs", "fork", failed, "--at", "7", "--state", '{"to": "Oslo"}')
    assert other.exit_code == 0
    again = runfold("runs", "retry", failed, "--definition", "served").stdout.strip()
    restarted = runfold("runs", "restart", failed, "--deadline", "60").stdout.strip()
    assert served() == {
        failed: "failed",
        said["id"]: "completed",
        other.stdout.strip(): "completed",
        again: "failed",
        restarted: "failed",
    }


def test_diff_exits_with_1_when_runs_differ(runfold: Call, failed: str) -> None:
    same = runfold("runs", "diff", failed, failed)
    assert (same.exit_code, same.stdout) == (0, f"run {failed} and run {failed} are the same\n")
    new = runfold("runs", "fork", failed, "--at", "1", "--input", '"Rome"').stdout.strip()
    served()
    found = runfold("runs", "diff", failed, new)
    assert found.exit_code == 1
    assert "run input: 'nowhere' | 'Rome'" in found.stdout.splitlines()[1]
    said = runfold("runs", "diff", failed, new, "--json")
    assert json.loads(said.stdout)["differences"][0]["field"] == "input"


def test_a_run_is_exported_and_imported(runfold: Call, failed: str, tmp_path: Path) -> None:
    assert runfold("runs", "export", failed).stdout.strip() == f"{failed}.capsule"
    said = answer(
        runfold("runs", "export", failed, "--output", "r.capsule", "--redact", "payload", "--json")
    )
    assert said["file"] == "r.capsule"
    assert "[redacted]" in (tmp_path / "r.capsule").read_text()
    taken = runfold("runs", "import", "r.capsule")
    assert (taken.exit_code, "in this log already" in taken.stderr) == (2, True)
    elsewhere = "sqlite:///other.db"
    served(elsewhere)
    there = runfold("runs", "import", f"{failed}.capsule", "--url", elsewhere)
    assert there.stdout.strip() == failed
    assert served(elsewhere) == {failed: "failed"}


def test_a_run_is_erased_once_that_is_confirmed(runfold: Call, failed: str) -> None:
    asked = runfold("runs", "erase", failed, given="n\n")
    assert (asked.exit_code, "cannot be undone" in asked.stderr) == (1, True)
    assert not answer(runfold("runs", "show", failed, "--json"))["erased"]
    assert runfold("runs", "erase", failed, "--yes").stdout == f"{failed} is erased\n"
    assert answer(runfold("runs", "erase", failed, "--yes", "--json"))["erased"]
    shown = answer(runfold("runs", "show", failed, "--json"))
    assert (shown["erased"], shown["status"], shown["input"]) == (True, "failed", None)
    again = runfold("runs", "retry", failed)
    assert (again.exit_code, "was erased" in again.stderr) == (1, True)
    assert "erased) of" in runfold("log", "verify").stdout


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (["why", NOBODY], 1, "no run"),
        (["diff", NOBODY, NOBODY], 1, "no run"),
        (["retry", NOBODY], 1, "no run"),
        (["fork", "{run}", "--at", "soon"], 2, "no version and no moment"),
        (["fork", "{run}", "--at", "99"], 2, "versions 1 to"),
        (["fork", "{run}", "--at", "2001-01-01"], 2, "did not exist"),
        (["fork", "{run}"], 2, "--at"),
        (["fork", "{run}", "--at", "6", "--input", "3"], 1, "alone reads the input"),
        (["fork", "{run}", "--at", "1", "--input", "Rome"], 2, "no JSON"),
        (["retry", "{run}", "--from-step", "fly"], 2, "no step"),
        (["restart", "{run}", "--definition", "old"], 2, "recorded"),
        (["restart", "{run}", "--deadline", "-1"], 2, "deadline"),
        (["export", "{run}", "--redact", "name"], 2, "users write"),
        (["export", "{run}", "--output", "no/such/folder"], 1, "cannot be written"),
        (["import", "nothing"], 1, "cannot be read"),
        (["import", "past.db"], 2, "no capsule"),
    ],
)
def test_what_cannot_be_done_says_why(
    runfold: Call, failed: str, command: list[str], status: int, said: str
) -> None:
    result = runfold("runs", *(word.format(run=failed) for word in command))
    assert (result.exit_code, said in result.stderr) == (status, True), result.stderr
