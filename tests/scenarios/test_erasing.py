"""One subject's payloads are gone, for everybody and for good; the history stays whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runfold import (
    Concurrency,
    Context,
    Flow,
    KeyConflict,
    PayloadErased,
    Projection,
    Rows,
    RunFailed,
    Runfold,
    RunUnfinished,
)
from runfold.testing import Same
from scenarios.scene import chain, finished, scenario, story

SECRET = "jane@subject.example"


def orders() -> Flow[Any, Any]:
    """Return a flow that writes about its subject wherever it can."""
    flow: Flow[Any, Any] = Flow("orders")

    @flow.entry(emits=["paid"], retry=1)
    async def pay(data: Any, ctx: Context) -> Any:
        who = data["who"]
        ctx.log.info(who, who=who)
        ctx.progress(50, who, details={"who": who})
        ctx.record("note", {"who": who})
        ctx.write(who)
        await ctx.state.set("who", who)
        await ctx.state.append("all", who)
        ctx.emit("paid", data)
        if data["fails"]:
            raise ValueError(who)
        return {"to": who, "large": who * 1000}

    @flow.step(subscribes="paid", limits=[Concurrency(5, key="who")])
    async def ship(data: Any) -> str:
        return f"sent to {data['who']}"

    return flow


def order(*, fails: bool = False) -> dict[str, Any]:
    return {"who": SECRET, "fails": fails}


async def everything(rf: Runfold) -> str:
    """Return all that the log, the archive and the views hold, as text."""
    store = rf.projections.store
    node = rf._session.node  # type: ignore[attr-defined]
    rows: list[Any] = [*await node.store.read(after=0, limit=10_000)]
    rows += [(await rf.view(one.at.name).list(limit=1000)).items for one in await store.parts()]
    return repr(rows)


@pytest.mark.parametrize("is_archived", [False, True], ids=["log", "archive"])
@scenario
async def test_nothing_that_a_user_wrote_is_left(url: str, is_archived: bool) -> None:
    flow = orders()
    async with Runfold(url, flows=[flow]) as rf:
        run = await finished(rf, flow, order(), tags=["vip", SECRET], key=SECRET)
        failed = await rf.start(flow, order(fails=True), tags=[SECRET])
        with pytest.raises(RunFailed):
            await failed.result(timeout=10)
        await finished(rf, flow, {"who": "bob", "fails": False})
        await rf.run_until_idle()
        if is_archived:
            assert await rf.log.archive(older_than=0) == 2
        before = await rf.log.verify()
        told = [await story(one) for one in (run, failed)]
        assert SECRET in await everything(rf)

        await run.erase()
        await failed.erase()
        await rf.run_until_idle()

        assert SECRET not in await everything(rf)
        assert [await story(one) for one in (run, failed)] == told
        found = await rf.log.verify()
        assert found.ok
        assert (found.sealed, found.archived) == (before.sealed, before.archived)
        assert found.erased == len(told[0]) + len(told[1])
        for view in await rf.projections.status():
            assert (await rf.projections.verify(view.name)).is_equal
        assert await rf.runs.count(tags=[SECRET]) == 0
        assert await rf.runs.count() == 3


@scenario
async def test_what_is_asked_of_an_erased_run(url: str) -> None:
    flow = orders()
    async with Runfold(url, flows=[flow]) as rf:
        run = await finished(rf, flow, order(), tags=["vip"], key="7")
        other = await finished(rf, flow, order())
        was = await run.state()
        await run.erase()
        await run.erase()
        state = await run.state()
        assert state.erased
        assert not was.erased
        assert (state.input, state.result, state.tags, state.key) == (None, None, [], None)
        assert state.data == {"who": None, "all": [None]}
        assert state.steps == was.steps
        assert (state.created_at, state.finished_at) == (was.created_at, was.finished_at)
        assert all([event.erased async for event in run.events()])
        with pytest.raises(PayloadErased, match="the result of run"):
            await run.result()
        for beginning in (run.restart(), run.retry(from_step="pay"), run.fork(at=3)):
            with pytest.raises(PayloadErased, match="the past of run"):
                await beginning
        assert (await run.diff(other)).same
        assert "completed" in str(await run.why())
        capsule = await run.export()
        assert capsule.redacted
        assert SECRET.encode() not in capsule.dumps()
        report = await rf.runs.replay(flow)
        assert (report.same, report.unknown) == (1, 1)
        assert "erased" in str(report)
        assert (await rf.start(flow, order(), key="7")).id == run.id
        with pytest.raises(KeyConflict):
            await rf.start(flow, None, key="7", on_conflict="refuse")
        assert isinstance((await rf.runs.replay(flow)).replayed[0].verdict, Same)


@scenario
async def test_a_run_that_goes_on_is_not_erased(url: str) -> None:
    flow: Flow[Any, Any] = Flow("waits")
    gate = asyncio.Event()

    @flow.entry()
    async def wait(data: Any) -> Any:
        await gate.wait()
        return data

    async with Runfold(url, flows=[flow]) as rf:
        run = await rf.start(flow, SECRET)
        with pytest.raises(RunUnfinished, match="cancel it, wait for its end"):
            await run.erase()
        gate.set()
        assert await run.result(timeout=10) == SECRET
        assert not (await run.state()).erased
        await run.erase()
        with pytest.raises(PayloadErased):
            await (await rf.get(run.id)).result()


@dataclass
class Mail:
    run: str
    to: str


def mails() -> Projection[Mail]:
    """Return a projection that holds what users wrote, and forgets it when told."""
    view: Projection[Mail] = Projection("mails", Mail, key="run")

    @view.on("flow.start")
    def started(rows: Rows[Mail], event: Any) -> None:
        if not event.erased:
            rows.put(Mail(event.run_id, event.data["input"]["who"]))

    @view.on("flow.erased")
    def erased(rows: Rows[Mail], event: Any) -> None:
        rows.delete(event.data["runId"])

    return view


@scenario
async def test_a_view_of_users_is_told_and_comes_out_the_same_when_rebuilt(url: str) -> None:
    flow = orders()
    async with Runfold(url, flows=[flow], projections=[mails()]) as rf:
        run = await finished(rf, flow, order())
        kept = await finished(rf, flow, {"who": "bob", "fails": False})
        await rf.run_until_idle()
        assert (await rf.view("mails").count()) == 2
        await run.erase()
        await rf.run_until_idle()
        rows = (await rf.view("mails").list()).items
        assert [(row.run, row.to) for row in rows] == [(kept.id, "bob")]
        assert (await rf.projections.verify("mails")).is_equal
        await rf.projections.rebuild("mails")
        assert (await rf.view("mails").list()).items == rows


@scenario
async def test_who_tails_the_log_meanwhile_sees_every_event_once(url: str) -> None:
    flow = chain()
    seen: list[int] = []
    async with Runfold(url, flows=[flow]) as rf:
        runs = [await finished(rf, flow, SECRET) for _ in range(6)]

        async def tail() -> None:
            async for event in rf.events(after=0, follow=True):
                seen.append(event.id)
                if event.type == "flow.completed" and event.run_id == last.id:
                    return

        async def erase() -> None:
            for run in runs:
                await run.erase()
                await rf.log.archive(older_than=0)

        last = await rf.start(flow, "last", delay=0.2)
        await asyncio.gather(tail(), erase())
    assert seen == list(range(1, len(seen) + 1))


def test_the_file_of_a_database_holds_nothing_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with Runfold(f"sqlite:///{tmp_path / 'log.db'}", flows=[flow]) as rf:
            runs = [await finished(rf, flow, order(), tags=[SECRET], key=f"{n}") for n in range(12)]
            await rf.run_until_idle()
            await rf.log.archive(older_than=0)
            assert found() > 0
            for run in runs:
                await run.erase()
            await rf.run_until_idle()
            await runs[0].erase()  # Views are written behind it: cut what they left.
            assert found() == 0

    def found() -> int:
        return sum(file.read_bytes().count(SECRET.encode()) for file in tmp_path.iterdir())

    flow = orders()
    asyncio.run(main())
    assert found() == 0
