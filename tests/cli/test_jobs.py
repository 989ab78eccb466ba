"""``runfold jobs``, ``flows`` and ``queues`` against a database with a short past."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from runfold import Concurrency, Context, Flow, Queue, Runfold

Call = Callable[..., Result]
URL = "sqlite:///past.db"


@pytest.fixture
def past(runfold: Call, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A job that has ended, one that waits, and a flow whose entry waits in the same queue."""
    mail, flow = Queue("mail"), Flow("letters")
    cpu = Queue("cpu", limits=Concurrency(2, key="country"))

    @mail.job(priority=7)
    async def send(to: Any, ctx: Context) -> str:
        ctx.progress(50)
        return f"sent to {to}"

    @flow.entry(queue=mail, emits=["written"])
    async def write(data: Any) -> None: ...

    @flow.step(subscribes="written")
    async def stamp(data: Any) -> None: ...

    async def written() -> dict[str, str]:
        async with Runfold(URL, flows=[flow], queues=[mail, cpu]) as rf:
            ended = await rf.start(send, "you", tags=["a"])
            letter = await rf.start(flow)
            later = await rf.start(send, "me", delay=3600)
            await rf.run_until_idle()
            return {"ended": ended.id, "letter": letter.id, "later": later.id}

    monkeypatch.setenv("RUNFOLD_URL", URL)
    return asyncio.run(written())


def answer(result: Result) -> Any:
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_jobs_of_a_queue_are_listed_without_the_flows_that_wait_there(
    runfold: Call, past: dict[str, str]
) -> None:
    found = answer(runfold("jobs", "ls", "mail", "--json"))
    assert [one["id"] for one in found["items"]] == [past["later"], past["ended"]]
    assert found["next"] is None
    table = runfold("jobs", "ls", "mail", "--status", "done")
    assert table.stdout.splitlines()[0].split() == [
        "id", "name", "status", "priority", "attempt", "progress", "created", "finished",
    ]  # fmt: skip
    assert table.stdout.splitlines()[1].split()[:4] == [
        past["ended"], "mail/send", "completed", "7",
    ]  # fmt: skip
    assert answer(runfold("jobs", "ls", "cpu", "--json"))["items"] == []


def test_the_jobs_that_wait_are_listed_in_the_order_of_claims(
    runfold: Call, past: dict[str, str]
) -> None:
    key: list[str] = ["start", "mail/send", "--key", "k", "--json"]
    first = answer(runfold(*key, "--input", '"a"'))
    last = answer(runfold(*key, "--input", '"b"', "--on-conflict", "replace"))
    assert last["id"] == first["id"]
    found = answer(runfold("jobs", "ls", "mail", "--order", "next", "--json"))
    assert [one["input"] for one in found["items"]] == ["b", "me"]
    refused = runfold(*key, "--on-conflict", "last")
    assert refused.exit_code == 2
    assert "on_conflict is 'last'" in refused.stderr


def test_a_page_of_jobs_is_full_whatever_waits_between_them(
    runfold: Call, past: dict[str, str]
) -> None:
    first = answer(runfold("jobs", "ls", "mail", "--limit", "1", "--json"))
    assert [one["id"] for one in first["items"]] == [past["later"]]
    rest = answer(runfold("jobs", "ls", "mail", "--cursor", first["next"], "--json"))
    assert [one["id"] for one in rest["items"]] == [past["ended"]]


def test_a_job_is_shown(runfold: Call, past: dict[str, str]) -> None:
    state = answer(runfold("jobs", "show", past["ended"], "--json"))
    assert (state["result"], state["progress"], state["queue"]) == ("sent to you", 50, "mail")
    lines = dict(
        line.split(None, 1) for line in runfold("jobs", "show", past["ended"]).stdout.splitlines()
    )
    assert lines["attempt"] == "1 of 3"
    assert lines["result"] == "sent to you"


def test_a_job_is_cancelled_once(runfold: Call, past: dict[str, str]) -> None:
    done = answer(runfold("jobs", "cancel", past["later"], "--reason", "enough", "--json"))
    assert done == {"id": past["later"], "accepted": "cancel"}
    again = runfold("jobs", "cancel", past["later"])
    assert again.exit_code == 1
    assert "nothing was recorded" in again.stderr


@pytest.mark.parametrize("command", ["show", "cancel"])
def test_a_run_of_a_flow_is_no_job(runfold: Call, past: dict[str, str], command: str) -> None:
    refused = runfold("jobs", command, past["letter"])
    assert refused.exit_code == 1
    assert "no job: see `runfold runs`" in refused.stderr


def test_flows_are_listed_shown_and_drawn(runfold: Call, past: dict[str, str]) -> None:
    found = answer(runfold("flows", "ls", "--json"))["items"]
    assert [(one["name"], one["kind"]) for one in found] == [
        ("letters", "flow"), ("mail/send", "job"),
    ]  # fmt: skip
    assert [line.split()[0] for line in runfold("flows", "ls").stdout.splitlines()] == [
        "name", "letters", "mail/send",
    ]  # fmt: skip
    shown = runfold("flows", "show", "letters").stdout
    assert "failure   stop" in shown
    assert answer(runfold("flows", "show", "letters", "--json"))["edges"] == [
        {"source": "write", "target": "stamp", "kind": "emit", "name": "written"}
    ]
    assert runfold("flows", "graph", "letters").stdout.splitlines()[-1] == (
        '    s0 -->|"written"| s1'
    )
    assert answer(runfold("flows", "graph", "letters", "--json"))["name"] == "letters"


def test_a_flow_that_was_never_served_is_refused(runfold: Call, past: dict[str, str]) -> None:
    for command in ("show", "graph"):
        refused = runfold("flows", command, "nothing")
        assert refused.exit_code == 1
        assert "was ever served" in refused.stderr


def test_queues_are_listed_paused_and_resumed(runfold: Call, past: dict[str, str]) -> None:
    done = answer(runfold("queues", "pause", "mail", "--until", "2999-01-01", "--json"))
    assert done == {"queue": "mail", "accepted": "pause"}
    runfold("queues", "pause", "cpu")
    runfold("queues", "pause", "cpu", "--key", "7")
    runfold("queues", "pause", "cpu", "--key", "de")
    cpu, mail = answer(runfold("queues", "ls", "--json"))["items"]
    assert (mail["name"], mail["delayed"], mail["paused"]) == ("mail", 1, True)
    assert mail["pausedUntil"].startswith("2999-01-01")
    assert (cpu["paused"], cpu["pausedUntil"], cpu["pausedKeys"]) == (
        True, None, {"7": None, "de": None},
    )  # fmt: skip
    table = runfold("queues", "ls").stdout
    assert "all, key 7, key de" in table
    assert "all until 2999-01-01" in table
    assert runfold("queues", "resume", "cpu", "--key", "7").stdout.endswith("in force\n")
    runfold("queues", "resume", "mail")
    cpu, mail = answer(runfold("queues", "ls", "--json"))["items"]
    assert (mail["paused"], cpu["pausedKeys"]) == (False, {"de": None})


def test_a_key_that_no_limit_has_cannot_be_paused(runfold: Call, past: dict[str, str]) -> None:
    refused = runfold("queues", "pause", "mail", "--key", "7")
    assert refused.exit_code == 2
    assert "no limit of queue 'mail'" in refused.stderr


def test_a_pause_without_a_moment_is_asked_wrongly(runfold: Call, past: dict[str, str]) -> None:
    refused = runfold("queues", "pause", "mail", "--until", "soon")
    assert refused.exit_code == 2
    assert "is no moment" in refused.stderr
