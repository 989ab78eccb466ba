"""Limits among processes: they hold for all workers together, whoever is slow or killed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from processes.group import Group, group
from processes.limited import (
    MOST,
    PER,
    Letter,
    letters,
    mail,
    most_inside,
    most_leased,
    post,
    send,
    shortest_window,
)
from processes.member import engine
from runfold import LogEvent, Runfold

COUNT = 24
SKEWS = (0, 40, -40, 0)
"""How wrong the clocks of processes are, where the store has a clock of its own."""


@pytest.fixture
def floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which handlers of all processes say that they enter and leave."""
    file = tmp_path / "floor"
    monkeypatch.setenv("FLOOR", str(file))
    monkeypatch.setenv("ENGINES", "2")
    return file


def inputs(*keys: str) -> list[Letter]:
    return [{"to": keys[n % len(keys)], "n": n} for n in range(COUNT)]


def skews(url: str) -> tuple[int, ...]:
    """Return a clock for each process; those of a file share the clock of their machine."""
    return SKEWS if url.startswith("postgres") else (0, 0)


async def kept(rf: Runfold, queue: str) -> list[LogEvent]:
    """Return the events of attempts in ``queue``, which have kept its limits."""
    events = [event async for event in rf.events() if event.data.get("queue") == queue]
    assert most_leased(events) == MOST
    assert shortest_window(events) >= PER
    return events


async def once(rf: Runfold, runs: list[Any]) -> None:
    """Return when each run has its result, and has completed once."""
    assert [await run.result(timeout=60) for run in runs] == list(range(COUNT))
    ends = [event.run_id async for event in rf.events(types=["flow.completed"])]
    assert sorted(filter(None, ends)) == sorted(run.id for run in runs)


@pytest.mark.parametrize(("job", "keys"), [(send, ["all"]), (post, ["adam", "eve", "zoe"])],
                         ids=["whole", "keyed"])  # fmt: skip
def test_they_hold_with_overruns_and_clocks_that_differ(
    shared_url: str, floor: Path, job: Any, keys: list[str]
) -> None:
    async def scenario(members: Group) -> None:
        async with engine(shared_url, [mail, letters]).serve({"dispatcher", "timekeeper"}) as rf:
            starting = [
                asyncio.to_thread(members.start, "worker", skew=one) for one in skews(shared_url)
            ]
            await asyncio.gather(*starting)
            runs = await rf.start_many(job, inputs(*keys))
            await once(rf, runs)
            events = await kept(rf, "mail" if job is send else "letters")
        assert "step.errored" in {event.type for event in events}  # Some did overrun.
        assert most_inside(floor, by_key=job is post) <= MOST

    with group(shared_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 90))


@pytest.mark.parametrize(("job", "keys"), [(send, ["all"]), (post, ["adam", "eve", "zoe"])],
                         ids=["whole", "keyed"])  # fmt: skip
def test_killed_workers_lose_nothing_and_their_places_come_back(
    shared_url: str, floor: Path, job: Any, keys: list[str]
) -> None:
    async def scenario(members: Group) -> None:
        async with engine(shared_url, [mail, letters]).serve({"dispatcher", "timekeeper"}) as rf:
            doomed = [await asyncio.to_thread(members.start, "worker") for _ in skews(shared_url)]
            runs = await rf.start_many(job, inputs(*keys))
            begun = 0
            async for event in rf.events(types=["step.started"], follow=True):
                begun += event.data.get("queue") in {"mail", "letters"}
                if doomed and begun >= 3 * (len(skews(shared_url)) - len(doomed) + 1):
                    doomed.pop().kill()
                    if not doomed:
                        break
            await asyncio.to_thread(members.start, "worker")
            await once(rf, runs)
            await kept(rf, "mail" if job is send else "letters")

    with group(shared_url) as members:
        asyncio.run(asyncio.wait_for(scenario(members), 90))
