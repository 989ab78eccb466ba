"""``runfold replay``: recorded runs against an application that has changed."""

from __future__ import annotations

import asyncio
import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Call = Callable[..., Result]
APP = """
from runfold import Flow, Runfold, after

flow = Flow("greet", input=str)

@flow.entry()
async def hello(name: str) -> str:
    return f"hello {name}"
"""
MORE = """
@flow.step(subscribes=after(hello))
async def shout(text: str) -> str:
    return text.upper()
"""
END = """
rf = Runfold("sqlite:///shop.db", flows=[flow])
"""


@pytest.fixture
def recorded(runfold: Call, monkeypatch: pytest.MonkeyPatch) -> str:
    """One run in a database, and its capsule; ``runfold`` has moved to a fresh folder before."""
    Path("first.py").write_text(APP + END)
    Path("second.py").write_text(APP + MORE + END)
    rf = runpy.run_path("first.py")["rf"]

    async def written() -> str:
        async with rf:
            run = await rf.start("greet", "you")
            await run.result(timeout=10)
            (await run.export()).save("you.capsule")
            return str(run.id)

    return asyncio.run(written())


def test_the_code_that_recorded_it(runfold: Call, recorded: str) -> None:
    done = runfold("replay", "first:rf")
    assert (done.exit_code, done.stdout) == (0, "1 runs: 1 same, 0 diverge, 0 unknown\n")


@pytest.mark.parametrize("options", [(), ("--file", "you.capsule"), ("--file", ".")])
def test_code_that_has_changed(runfold: Call, recorded: str, options: tuple[str, ...]) -> None:
    done = runfold("replay", "second:rf", *options, "--markdown", "report.md", "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert (report["runs"], report["diverged"]) == (1, 1)
    (group,) = report["groups"]
    assert group["what"] == "greet: flow.completed: today's code does not decide this"
    assert "### 1 x greet" in Path("report.md").read_text()


def test_what_cannot_be_asked(runfold: Call, recorded: str) -> None:
    assert runfold("replay", "first:rf", "--file", "nowhere").exit_code == 2
    assert runfold("replay", "first:rf", "--since", "yesterday").exit_code == 2
    unknown = runfold("replay", "first:rf", "--flow", "nothing")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "no flow or job called 'nothing' was ever served here" in unknown.stderr
    both = runfold("replay", "first:rf", "--file", "you.capsule", "--since", "2026-01-01")
    assert both.exit_code == 2
    assert "--since and --until choose runs of the database" in both.stderr
    nothing = runfold("replay", "first:rf", "--file", "you.capsule", "--flow", "other")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    Path("bad.capsule").write_text("{}")
    assert runfold("replay", "first:rf", "--file", "bad.capsule").exit_code == 2
    unwritable = runfold("replay", "first:rf", "--markdown", "no/such/folder.md")
    assert unwritable.exit_code == 1
    assert "cannot be written" in unwritable.stderr
