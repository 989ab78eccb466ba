"""What is not simulated is refused in handlers, and is what it was everywhere else."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import subprocess
import sys
import threading
import time
from time import sleep as nap
from typing import Any

import pytest

from runfold import Flow
from runfold.testing import RealWorld, Simulation


def of_one(handler: Any) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("one")
    flow.entry()(handler)
    return flow


async def _connects() -> None:
    await asyncio.open_connection("localhost", 1)


async def _hands_over() -> None:
    await asyncio.to_thread(print)


def _socket() -> None:
    import socket

    socket.socket()


def _process() -> None:
    subprocess.run([sys.executable, "-V"], check=True)


def _swallows() -> None:
    try:
        time.sleep(0.001)
    except RuntimeError:
        return


async def _blocks() -> None:
    threading.Event().wait(1)


def _forks() -> None:
    os.fork()


def _forks_by_library() -> None:
    multiprocessing.get_context("fork").Process(target=print).start()


def _opens_a_pipe() -> None:
    os.popen("true")


def _asks_for_a_name() -> None:
    import socket

    socket.gethostbyname("localhost")


def _waits_for_sockets() -> None:
    select.select([], [], [], 0.01)


def _runs_a_loop() -> None:
    asyncio.new_event_loop()  # What asyncio.run does.


def _naps() -> None:
    nap(0.01)


@pytest.mark.parametrize(
    "handler",
    [
        _connects,
        _hands_over,
        _socket,
        _process,
        _swallows,
        _blocks,
        _forks,
        _forks_by_library,
        _opens_a_pipe,
        _asks_for_a_name,
        _waits_for_sockets,
        _runs_a_loop,
        _naps,
    ],
)
def test_the_real_world_is_refused_with_handler_file_and_line(handler: Any) -> None:
    flow = of_one(handler)
    with Simulation(flow) as sim:
        sim.start(flow)
        with pytest.raises(RealWorld, match=rf"'{handler.__name__}' of 'one' .*{__file__}:\d+"):
            sim.run_until_idle()


def test_the_real_world_is_what_it_was_afterwards() -> None:
    before = (time.sleep, nap, threading.Condition.wait, subprocess.Popen.__init__)
    flow = of_one(_swallows)
    with Simulation(flow) as sim:
        time.sleep(0)  # Outside of handlers everything works.
        sim.start(flow)
        with pytest.raises(RealWorld):
            sim.run_until_idle()
    assert (time.sleep, nap, threading.Condition.wait, subprocess.Popen.__init__) == before
    assert not [one.name for one in threading.enumerate() if "simulat" in one.name]


def test_who_is_left_first_takes_no_guard_from_another() -> None:
    flow, before = of_one(_naps), nap
    first, second = Simulation(flow), Simulation(flow)
    with second:
        with first:
            second.start(flow)
        with pytest.raises(RealWorld):
            second.run_until_idle()
    assert nap is before
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.start(flow)
    with pytest.raises(RealWorld):
        second.run_until_idle()
    second.__exit__(None, None, None)
    assert nap is before
