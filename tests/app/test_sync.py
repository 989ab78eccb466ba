"""``rf.sync``: the same client with calls that block."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runfold import (
    Context,
    Flow,
    InvalidSettings,
    PermanentError,
    RunCancelled,
    RunFailed,
    Runfold,
    RunfoldError,
    RunNotFound,
)
from scenarios.scene import scenario


def flows() -> list[Flow[Any, Any]]:
    double: Flow[Any, Any] = Flow("double")
    fail: Flow[Any, Any] = Flow("fail")

    @double.entry()
    async def start(n: Any, ctx: Context) -> Any:
        ctx.progress(50)
        return 2 * n

    @fail.entry()
    async def begin(n: Any) -> None:
        raise PermanentError("no")

    return [double, fail]


def test_all_roles_in_a_thread_of_this_process(url: str) -> None:
    rf = Runfold(url, flows=flows())
    with rf.sync as sync:
        run = sync.start("double", 4)
        assert run.result(timeout=10) == 8
        assert run.status() == "completed"
        assert run.state().result == 8
        assert run.state(version=1).status == "running"
        assert next(event.type for event in run.events()) == "flow.start"
        assert [event.type for event in run.events(follow=True)][-1] == "flow.completed"
        assert [e.data["percent"] for e in sync.events(types=["step.progress"])] == [50]
        many = sync.start_many("double", [1, 2, 3], tags=["many"])
        assert [one.result(timeout=10) for one in many] == [2, 4, 6]
        assert len(sync.runs.list("double", tags=["many"]).items) == 3
        assert sync.get(run.id).result(timeout=0) == 8
        with pytest.raises(RunFailed, match="no"):
            sync.start("fail").result(timeout=10)
        later = sync.start("double", 1, delay=60, key="later")
        with pytest.raises(TimeoutError):
            later.result(timeout=0)
        sync.get(of="double", key="later").pause()
        assert later.status() == "paused"
        later.resume()
        later.cancel("enough")
        with pytest.raises(RunCancelled, match="enough"):
            later.result(timeout=10)
        with pytest.raises(RunNotFound):
            sync.get(of="double", key="nobody")
        sync.run_until_idle()
        assert list(sync.health()) == ["default"]
    assert not rf.entered


def test_it_is_entered_again(url: str) -> None:
    rf = Runfold(url, flows=flows())
    for n in (1, 2):
        with rf.sync as sync:
            assert sync.start("double", n).result(timeout=10) == 2 * n
            with pytest.raises(RunfoldError, match="entered already"), rf.sync:
                raise AssertionError
            assert sync.start("double", n).result(timeout=10) == 2 * n


def test_an_error_at_entry_leaves_no_thread_behind(tmp_path: Path) -> None:
    rf = Runfold(f"sqlite:///{tmp_path}/missing/f.db")
    for _ in range(2):
        with pytest.raises(InvalidSettings, match="is no directory"), rf.sync:
            raise AssertionError
        with pytest.raises(InvalidSettings, match="is no directory"):
            rf.sync.start("double", 1)
    assert "runfold-sync" not in {thread.name for thread in threading.enumerate()}


def test_unentered_it_becomes_a_client_at_its_first_call(shared_url: str) -> None:
    client = Runfold(shared_url, flows=flows())
    with Runfold(shared_url, flows=flows()).sync as serving:
        try:
            run = client.sync.start("double", 4)
            assert run.result(timeout=10) == 8
            assert serving.get(run.id).result(timeout=10) == 8
        finally:
            client.sync.close()
    assert not client.entered


def test_threads_that_make_the_first_call_at_once_share_one_client(shared_url: str) -> None:
    rf = Runfold(shared_url, flows=flows())
    together = threading.Barrier(8)

    def first(n: int) -> str:
        together.wait(10)
        return rf.sync.start("double", n).id

    with ThreadPoolExecutor(8) as pool:
        try:
            assert len(set(pool.map(first, range(8)))) == 8
        finally:
            rf.sync.close()


@scenario
async def test_unentered_it_uses_the_engine_of_this_process(url: str) -> None:
    async with Runfold(url, flows=flows()) as rf:
        run = await asyncio.to_thread(rf.sync.start, "double", 4)
        assert await asyncio.to_thread(run.result, timeout=10) == 8
        events = await asyncio.to_thread(lambda: [event.type for event in run.events()])
        assert events[-1] == "flow.completed"
    assert not rf.entered


@scenario
async def test_on_the_thread_of_a_running_loop_it_raises(url: str) -> None:
    rf = Runfold(url, flows=flows())
    async with rf:
        for call in (
            lambda: rf.sync.start("double", 1),
            lambda: rf.sync.get("x"),
            lambda: rf.sync.runs.list(),
            rf.sync.health,
            lambda: next(rf.sync.events()),
        ):
            with pytest.raises(RunfoldError, match="would block"):
                call()
    with pytest.raises(RunfoldError, match="would block"), rf.sync:
        raise AssertionError


def test_a_listener_that_stops_early_leaves_nothing_open(url: str) -> None:
    with Runfold(url, flows=flows()).sync as sync:
        sync.start("double", 1).result(timeout=10)
        for event in sync.events(follow=True):
            assert event.id == 1
            break
        assert sync.start("double", 2).result(timeout=10) == 4
