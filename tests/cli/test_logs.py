"""``runfold logs`` against a database in which handlers have logged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from runfold import Context, Flow, Runfold

Call = Callable[..., Result]
URL = "sqlite:///past.db"


@pytest.fixture
def past(runfold: Call) -> None:
    """One run that logged three lines."""
    flow: Flow[Any, Any] = Flow("greet")

    @flow.entry("hello")
    async def hello(name: str, ctx: Context) -> None:
        ctx.log.info("a greeting", to=name)
        ctx.log.warning("it is late")
        ctx.log.info("greeted")

    async def written() -> None:
        async with Runfold(URL, flows=[flow]) as rf:
            await (await rf.start(flow, "ann")).result(timeout=10)
            await rf.run_until_idle()

    asyncio.run(written())


def test_lines_are_listed_newest_first_by_level_and_page(past: None, runfold: Call) -> None:
    shown = runfold("logs", "--flow", "greet", "--url", URL)
    assert shown.exit_code == 0, shown.stderr
    assert [line.split()[-1] for line in shown.output.splitlines()[1:3]] == ["greeted", "late"]
    found = json.loads(runfold("logs", "--level", "info", "--oldest", "--limit", "1", "--url", URL,
                               "--json").output)  # fmt: skip
    (line,) = found["items"]
    assert (line["message"], line["meta"]) == ("a greeting", {"to": "ann"})
    more = runfold("logs", "--level", "info", "--oldest", "--cursor", found["next"], "--url", URL)
    assert "greeted" in more.output
    assert "late" not in more.output


def test_a_level_that_there_is_not_is_refused(past: None, runfold: Call) -> None:
    refused = runfold("logs", "--level", "loud", "--url", URL)
    assert refused.exit_code == 2
    assert "'loud' is not one of" in refused.stderr


def test_runs_and_queues_are_listed_as_they_were(past: None, runfold: Call) -> None:
    before, after = "2000-01-01T00:00:00", "2100-01-01T00:00:00"
    listed = runfold("runs", "ls", "--at", after, "--url", URL, "--json")
    (run,) = json.loads(listed.output)["items"]
    assert (run["name"], run["status"]) == ("greet", "completed")
    for noun in ("runs", "queues"):
        none = runfold(noun, "ls", "--at", before, "--url", URL, "--json")
        assert none.exit_code == 0, none.stderr
        assert json.loads(none.output)["items"] == []
