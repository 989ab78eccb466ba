"""Processes that are told to stop, and handlers that do not want to."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runfold import Queue, Runfold, Settings
from runfold.runtime import service
from scenarios.scene import scenario, story

SERVER = """
import asyncio, sys
from typing import Any
from runfold import Context, Queue, Runfold, Settings

queue = Queue("q", retry=1)

@queue.job()
async def patient(data: Any, ctx: Context) -> int:
    print("working", flush=True)
    await asyncio.sleep(data)
    return ctx.attempt

rf = Runfold(sys.argv[1], queues=[queue], settings=Settings(drain=float(sys.argv[2])))
rf.serve_forever()
print("left", flush=True)
"""


def client(url: str) -> Runfold:
    queue = Queue("q", retry=1)

    @queue.job()
    async def patient(data: Any) -> int:
        return 99

    return Runfold(url, queues=[queue])


@contextmanager
def server(url: str, folder: Path, drain: float) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that serves ``url`` and is at work."""
    (folder / "server.py").write_text(SERVER)
    with subprocess.Popen(
        [sys.executable, str(folder / "server.py"), url, str(drain)],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "working\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_the_process_well(
    shared_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    rf = client(shared_url).sync
    try:
        run = rf.start("q/patient", 0.5)
        with server(shared_url, tmp_path, drain=20) as process:
            process.send_signal(number)
            assert process.communicate(timeout=20)[0] == "left\n"
            assert process.returncode == 0
        assert run.result(timeout=0) == 1
    finally:
        rf.close()


def test_a_second_signal_does_not_wait_for_handlers(shared_url: str, tmp_path: Path) -> None:
    rf = client(shared_url).sync
    try:
        run = rf.start("q/patient", 600)
        with server(shared_url, tmp_path, drain=600) as process:
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        types = [event.type for event in run.events()]
        assert types[3] == "step.released"
    finally:
        rf.close()


@scenario
async def test_a_thread_that_hangs_does_not_hold_up_the_stop(url: str) -> None:
    queue = Queue("q")
    started, may_end = threading.Event(), threading.Event()

    @queue.job()
    def block(data: Any) -> None:
        started.set()
        may_end.wait(15)

    rf = Runfold(url, queues=[queue], settings=Settings(drain=0.1))
    async with asyncio.timeout(10):
        async with rf:
            run = await rf.start(block)
            await asyncio.to_thread(started.wait, 10)
    may_end.set()
    async with rf.connect():
        assert (await story(await rf.get(run.id)))[3] == "step.released block"


@scenario
async def test_a_handler_that_swallows_its_cancel_does_not_hold_up_the_stop(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "STOP_SECONDS", (0.1, 0.1))
    queue = Queue("q")
    started, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @queue.job()
    async def stubborn(data: Any) -> None:
        started.set()
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue
        ended.set()

    rf = Runfold(url, queues=[queue], settings=Settings(drain=0))
    async with asyncio.timeout(10):
        async with rf:
            run = await rf.start(stubborn)
            await started.wait()
    may_end.set()
    await ended.wait()
    async with rf.connect():
        assert (await story(await rf.get(run.id)))[3] == "step.released stubborn"
