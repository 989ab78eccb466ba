"""Listings out of the view say what folding the log says, whatever is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any

import pytest

from runfold import Flow, PermanentError, Queue, Retry, Runfold
from runfold.client.finder import Finder
from runfold.client.run_query import RunQuery, run_query
from runfold.client.run_rows import RunRows
from scenarios.scene import scenario

mail = Queue("mail")


@mail.job(retry=1)
async def send(to: str) -> str:
    if to == "nobody":
        message = "nobody is there"
        raise PermanentError(message)
    return f"sent to {to}"


def flow() -> Flow[Any, Any]:
    made: Flow[Any, Any] = Flow("wait", deadline=3600)

    @made.entry(retry=Retry(5))
    async def wait(_: Any) -> None: ...

    return made


async def some_runs(rf: Runfold) -> None:
    for number, to in enumerate(["ann", "nobody", "bob", "nobody", "eve"]):
        tags = [f"n{number % 2}", "mail", 'odd "tag"']
        await rf.start(send, to, tags=tags[: number % 4], key=f"k{number}", priority=7)
    delayed = await rf.start("wait", {"n": 1}, delay=600, tags=["n1"])
    cancelled = await rf.start("wait", None, delay=600)
    await delayed.pause()
    await cancelled.cancel("enough")
    await rf.run_until_idle()


def questions(moments: list[datetime]) -> list[RunQuery]:
    asked = product(
        [None, "wait", "mail/send"],
        [None, "completed", ["failed", "paused"], "PENDING"],
        [None, ["n1"], ["mail", "n1"], ["nothing"]],
        [None, "mail"],
    )
    found = [
        run_query(of, status=status, tags=tags, queue=queue) for of, status, tags, queue in asked
    ]
    return found + [
        run_query(None, since=since, until=until)
        for since in (None, moments[0], moments[3])
        for until in (None, moments[2], moments[-1])
        if since is None or until is None or since <= until
    ]


@scenario
async def test_every_question_has_the_answer_of_the_fold(url: str) -> None:
    async with Runfold(url, flows=[flow()], queues=[mail]) as rf:
        await some_runs(rf)
        session = rf.runs._session
        folded = Finder(session)
        kept = RunRows(session, rf.projections, folded)
        assert await kept._table() is not None
        moments = sorted([one.created_at async for _, one in folded.states(RunQuery())])
        for query in questions(moments):
            expected = [
                (stream, replace(state, steps=[], data={}))
                async for stream, state in folded.states(query)
            ]
            assert [found async for found in kept.states(query)] == expected, query
            assert await kept.count(query) == len(expected) == await folded.count(query)


@scenario
async def test_where_nobody_keeps_the_view_the_log_is_asked(url: str) -> None:
    roles = {"dispatcher", "worker", "timekeeper"}
    async with Runfold(url, flows=[flow()], queues=[mail]).serve(roles) as rf:
        run = await rf.start(send, "ann")
        await run.result(timeout=10)
        (found,) = (await rf.runs.list()).items
        assert (found.id, found.status, found.result) == (run.id, "completed", "sent to ann")
        assert await rf.runs.count(status="completed") == 1


@pytest.mark.parametrize("pages", [1, 2])
@scenario
async def test_pages_of_a_view_go_on(url: str, pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runfold.client.run_rows.ROWS", 2)
    async with Runfold(url, flows=[flow()], queues=[mail]) as rf:
        await some_runs(rf)
        ids, cursor = [], None
        while True:
            page = await rf.runs.list(limit=3 * pages, cursor=cursor)
            ids += [one.id for one in page.items]
            if (cursor := page.next) is None:
                break
        assert len(ids) == len(set(ids)) == 7
