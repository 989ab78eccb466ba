"""Several Runfolds over one database: clients, chosen roles, queues, namespaces, stopping."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runfold import (
    Context,
    Flow,
    InvalidInput,
    Queue,
    Run,
    Runfold,
    RunNotFound,
    Settings,
    UnknownTarget,
)
from scenarios.scene import finished, history, scenario, story


def declared() -> Flow[int, int]:
    """Return what a client knows of a flow: its name and its types."""
    return Flow("double", input=int, result=int)


def served() -> Flow[int, int]:
    flow = declared()

    @flow.entry(returns=True)
    async def start(n: int) -> int:
        return 2 * n

    return flow


async def recorded(run: Run[Any], wanted: str) -> None:
    """Return when the run has recorded such an event."""
    async for event in run.events(follow=True):
        if event.type == wanted:
            return
    raise AssertionError(f"{wanted} never came")


@scenario
async def test_a_client_and_each_role_in_a_runfold_of_its_own(shared_url: str) -> None:
    async with (
        Runfold(shared_url, flows=[served()]).serve({"dispatcher"}),
        Runfold(shared_url, flows=[served()]).serve({"worker"}),
        Runfold(shared_url).serve({"timekeeper"}),
        Runfold(shared_url).connect() as client,
    ):
        run = await client.start("double", 4)
        later = await client.start("double", 5, delay=0.2)
        many = await client.start_many("double", list(range(50)))
        assert await run.result(timeout=10) == 8
        assert await later.result(timeout=10) == 10
        assert [await one.result(timeout=10) for one in many] == [2 * n for n in range(50)]


@scenario
async def test_a_client_needs_no_steps_and_checks_inputs(shared_url: str) -> None:
    shared = declared()
    async with (
        Runfold(shared_url, flows=[served()]),
        Runfold(shared_url, flows=[shared]).connect() as client,
    ):
        by_flow = await client.start(shared, 4)
        by_name = await client.start("double", 5)
        assert [await by_flow.result(timeout=10), await by_name.result(timeout=10)] == [8, 10]
        with pytest.raises(InvalidInput):
            await client.start(shared, "four")  # type: ignore[arg-type]
        with pytest.raises(InvalidInput):
            await client.start("double", "four")
        assert (await client.get(by_flow.id, of=shared)).id == by_flow.id
        assert len((await client.runs.list(shared)).items) == 2


@scenario
async def test_a_client_without_steps_can_start_nothing_before_it_was_served(url: str) -> None:
    shared = declared()
    rf = Runfold(url, flows=[shared])
    async with rf.connect():
        with pytest.raises(UnknownTarget, match="'double'"):
            await rf.start(shared, 4)
        assert [event async for event in rf.events()] == []


@scenario
async def test_a_run_follows_the_definition_of_the_process_that_starts_it(
    shared_url: str,
) -> None:
    old: Flow[Any, Any] = Flow("versioned")

    @old.entry()
    async def start(data: Any) -> str:
        return "old"

    new: Flow[Any, Any] = Flow("versioned")

    @new.entry("start", emits=["more"])
    async def renewed(data: Any, ctx: Context) -> None:
        ctx.emit("more")

    @new.step(subscribes="more")
    async def more(data: Any) -> str:
        return "new"

    async with Runfold(shared_url, flows=[old]).connect() as client:
        first = await client.start(old)
    async with Runfold(shared_url, flows=[new]) as rf:
        # It goes on with the graph it started with, and today's code of that step.
        assert await (await rf.get(first.id)).result(timeout=10) is None
        assert await (await finished(rf, new)).result() == "new"
        async with Runfold(shared_url).connect() as client:
            assert await (await finished(client, "versioned")).result() == "new"


@scenario
async def test_a_worker_serves_only_the_queues_it_is_given(url: str) -> None:
    cpu, mail = Queue("cpu"), Queue("mail")

    @cpu.job()
    async def crunch(data: Any) -> str:
        return "crunched"

    @mail.job()
    async def send(data: Any) -> str:
        return "sent"

    rf = Runfold(url, queues=[cpu, mail])
    async with rf.serve(queues={"cpu": 2}):
        sent, crunched = await rf.start(send), await rf.start(crunch)
        assert await crunched.result(timeout=10) == "crunched"
        assert await story(sent) == ["flow.start", "step.scheduled send"]
    async with rf.serve(queues={"mail": 1}):
        assert await (await rf.get(sent.id)).result(timeout=10) == "sent"


@scenario
async def test_slots_bound_what_runs_at_once(url: str) -> None:
    queue = Queue("q")
    at_once: list[int] = []
    running = 0

    @queue.job()
    async def work(data: Any) -> None:
        nonlocal running
        running += 1
        at_once.append(running)
        await asyncio.sleep(0.01)
        running -= 1

    async with Runfold(url, queues=[queue]).serve(queues={"q": 3}) as rf:
        runs = await rf.start_many(work, [None] * 20)
        await asyncio.gather(*(run.result(timeout=10) for run in runs))
    assert max(at_once) == 3


@scenario
async def test_namespaces_never_see_each_other(shared_url: str) -> None:
    flow = served()
    async with (
        Runfold(shared_url, flows=[flow], namespace="red") as red,
        Runfold(shared_url, flows=[served()], namespace="blue") as blue,
        Runfold(shared_url).connect() as default,
    ):
        one = await finished(red, "double", 1, key="same")
        assert await one.result() == 2
        with pytest.raises(RunNotFound):
            await blue.get(one.id)
        with pytest.raises(RunNotFound):
            await blue.get(of="double", key="same")
        with pytest.raises(UnknownTarget):
            await default.start("double", 1)
        other = await finished(blue, "double", 2, key="same")
        assert other.id != one.id
        assert await other.result() == 4
        assert [state.id for state in (await red.runs.list()).items] == [one.id]
        assert {event.run_id async for event in blue.events()} == {None, other.id}
        assert [event async for event in default.events()] == []
        assert [event.id async for event in red.events()] == list(range(1, 7))
        assert red.identity.log_id != blue.identity.log_id


@scenario
async def test_one_flow_may_be_in_several_runfolds(tmp_path: Path) -> None:
    flow = served()
    async with (
        Runfold("memory://", flows=[flow]) as one,
        Runfold(f"sqlite:///{tmp_path / 'f.db'}", flows=[flow]) as other,
    ):
        assert await (await finished(one, flow, 1)).result() == 2
        assert await (await finished(other, flow, 2)).result() == 4


@scenario
async def test_a_runfold_is_entered_again_in_any_mode(url: str) -> None:
    rf = Runfold(url, flows=[served()])
    async with rf as same:
        assert same is rf
        first = await finished(rf, "double", 1)
    async with rf.connect():
        second = await rf.start("double", 2)
        assert await (await rf.get(first.id)).result(timeout=0) == 2
    async with rf.serve({"dispatcher", "worker", "timekeeper"}):
        assert await (await rf.get(second.id)).result(timeout=10) == 4
    async with rf:
        assert len((await rf.runs.list()).items) == 2
    assert not rf.entered


@scenario
async def test_deps_live_where_workers_run_and_end_after_the_last_handler(url: str) -> None:
    told: list[str] = []
    queue = Queue("q")
    started = asyncio.Event()

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[dict[str, str]]:
        told.append("opened")
        yield {"greeting": "hello"}
        told.append("closed")

    @queue.job()
    async def greet(name: str, ctx: Context) -> str:
        started.set()
        await ctx.cancelled.wait() if name == "slow" else None
        told.append(name)
        return f"{ctx.deps['greeting']} {name}"

    rf = Runfold(url, queues=[queue], lifespan=lifespan)
    async with rf.connect(), _nothing():
        pass
    async with rf.serve({"dispatcher", "timekeeper"}):
        run = await rf.start(greet, "ann")
    assert told == []
    async with rf:
        assert await (await rf.get(run.id, of=greet)).result(timeout=10) == "hello ann"
        started.clear()
    assert told == ["opened", "ann", "closed"]


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


@scenario
async def test_a_lifespan_that_fails_leaves_nothing_behind(url: str) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        raise OSError("no such service")
        yield

    rf = Runfold(url, flows=[served()], lifespan=lifespan)
    with pytest.raises(OSError, match="no such service"):
        async with rf:
            raise AssertionError
    assert not rf.entered
    async with rf.connect():
        assert (await rf.runs.list()).items == []


@scenario
async def test_the_application_may_fail_and_the_engine_still_stops(url: str) -> None:
    queue = Queue("q")
    started, may_end = asyncio.Event(), asyncio.Event()

    @queue.job()
    async def work(data: Any) -> str:
        started.set()
        await may_end.wait()
        return "drained"

    rf = Runfold(url, queues=[queue])
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what fails
        async with rf:
            run = await rf.start(work)
            await started.wait()
            asyncio.get_running_loop().call_later(0.05, may_end.set)
            raise ZeroDivisionError
    async with rf.connect():
        assert await (await rf.get(run.id)).result(timeout=0) == "drained"


@scenario
async def test_stopping_waits_for_what_runs_and_starts_nothing(url: str) -> None:
    queue = Queue("q")
    started, may_end = asyncio.Event(), asyncio.Event()

    @queue.job()
    async def work(data: Any) -> str:
        started.set()
        await may_end.wait()
        return "done"

    rf = Runfold(url, queues=[queue])
    async with rf.serve(queues={"q": 1}):
        running = await rf.start(work)
        await started.wait()
        waiting = await rf.start(work)
        asyncio.get_running_loop().call_later(0.1, may_end.set)
    async with rf.connect():
        assert await (await rf.get(running.id)).result(timeout=0) == "done"
        assert await story(await rf.get(waiting.id)) == ["flow.start", "step.scheduled work"]


@scenario
async def test_what_a_stop_releases_is_not_charged_and_goes_on_elsewhere(url: str) -> None:
    queue = Queue("q", retry=1)
    started, may_end = asyncio.Event(), asyncio.Event()
    attempts: list[int] = []

    @queue.job()
    async def work(data: Any, ctx: Context) -> str:
        attempts.append(ctx.attempt)
        started.set()
        await may_end.wait()
        return "done"

    rf = Runfold(url, queues=[queue], settings=Settings(drain=0))
    async with rf:
        run = await rf.start(work)
        await started.wait()
    may_end.set()
    async with rf:
        run = await rf.get(run.id)
        assert await run.result(timeout=10) == "done"
        assert await story(run) == [
            "flow.start", "step.scheduled work", "step.started work", "step.released work",
            "step.retry work", "step.started work", "step.completed work", "flow.completed",
        ]  # fmt: skip
        (retry,) = await history(run, "step.retry")
        assert (retry.data["reason"], retry.data["nextAttempt"], retry.data["delay"]) == (
            "released", 1, 0,
        )  # fmt: skip
    assert attempts == [1, 1]


@scenario
async def test_a_released_job_goes_on_in_another_process_at_once(shared_url: str) -> None:
    queue = Queue("q", retry=1)
    started, may_end = asyncio.Event(), asyncio.Event()

    @queue.job()
    async def work(data: Any, ctx: Context) -> int:
        started.set()
        await may_end.wait()
        return ctx.attempt

    leaving = Runfold(shared_url, queues=[queue], settings=Settings(drain=0))
    async with Runfold(shared_url, queues=[queue]).serve({"dispatcher", "timekeeper"}) as rf:
        async with leaving.serve({"worker"}):
            run = await rf.start(work)
            await started.wait()
        await recorded(run, "step.retry")
        may_end.set()
        async with Runfold(shared_url, queues=[queue]).serve({"worker"}):
            assert await run.result(timeout=10) == 1


FOUND = """
from typing import Any
from runfold import Flow, Queue

mail = Queue("mail")
flow: Flow[Any, Any] = Flow("found")

@mail.job()
async def send(data: Any) -> str:
    return f"sent {data}"

@flow.entry()
async def start(data: Any) -> str:
    return f"found {data}"
"""


@scenario
async def test_flows_and_queues_of_a_folder_are_discovered(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "discovered_here"
    folder.mkdir()
    (folder / "shop.py").write_text(FOUND)
    paths = list(sys.path)
    try:
        async with Runfold(url, discover=[folder]) as rf:
            assert await (await finished(rf, "found", 1)).result() == "found 1"
            assert await (await finished(rf, "mail/send", 2)).result() == "sent 2"
    finally:
        sys.path[:] = paths
        for name in [name for name in sys.modules if name.startswith("discovered_here")]:
            del sys.modules[name]
