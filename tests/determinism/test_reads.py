"""Who reads the clock or chance is named with file and line, and nobody else is."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import random
import secrets
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel, Field

from runfold import Flow, after
from runfold.testing import NotDeterministic, assert_deterministic


class Ticket(BaseModel):
    id: str = Field(default_factory=lambda: str(uuid.uuid4()))


READS: dict[str, Any] = {
    "time.time": lambda: time.time(),
    "time.monotonic_ns": lambda: time.monotonic_ns(),
    "time.perf_counter": lambda: time.perf_counter(),
    "datetime.now": lambda: str(datetime.now(UTC)),
    "uuid.uuid4": lambda: str(uuid.uuid4()),
    "secrets.token_hex": lambda: secrets.token_hex(8),
    "os.urandom": lambda: os.urandom(8).hex(),
    "random.random": lambda: random.random(),
    "random.randint": lambda: random.randint(0, 2**60),
}


def of_one(handler: Any) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("one")
    flow.entry()(handler)
    return flow


def cause_of(flow: Flow[Any, Any], **options: Any) -> str:
    with pytest.raises(NotDeterministic) as caught:
        assert_deterministic(flow, None, **options)
    assert caught.value.cause is not None
    return caught.value.cause


@pytest.mark.parametrize("call", list(READS))
def test_what_is_read_is_named_with_its_line(call: str) -> None:
    async def reads(_: None) -> Any:
        return READS[call]()

    what = "the clock" if call.startswith(("time", "date")) else "chance"
    cause = cause_of(of_one(reads))
    assert f"step 'reads' reads {what} at " in cause
    assert f"test_reads.py:{READS[call].__code__.co_firstlineno} ({call})" in cause


def test_a_sync_handler_is_watched_too() -> None:
    def reads(_: None) -> float:
        return time.time()

    assert "step 'reads' reads the clock at " in cause_of(of_one(reads))


def test_a_task_of_a_handler_is_the_handler() -> None:
    async def reads(_: None) -> float:
        async def inner() -> float:
            await asyncio.sleep(1)
            return random.random()

        return sum(await asyncio.gather(inner(), inner()))

    assert "step 'reads' reads chance at " in cause_of(of_one(reads))


def test_the_step_that_differs_is_named_and_not_another_that_also_reads() -> None:
    flow: Flow[Any, Any] = Flow("two")

    @flow.entry()
    async def measures(_: None) -> int:
        Ticket()
        return int(time.perf_counter() * 0)

    @flow.step(subscribes=after(measures))
    async def stamps(_: int) -> str:
        return str(datetime.now(UTC))

    cause = cause_of(flow)
    assert "step 'stamps' reads the clock" in cause
    assert "measures" not in cause


def changing(*values: int) -> Iterator[int]:
    yield from values
    while True:
        yield values[0]


def test_chance_that_shows_in_a_later_schedule_is_not_put_down_to_the_schedule() -> None:
    rarely = changing(1, 1, 2)

    async def reads(_: None) -> int:
        os.urandom(1)
        return next(rarely)

    with pytest.raises(NotDeterministic) as caught:
        assert_deterministic(of_one(reads), None)
    assert caught.value.first == caught.value.second
    assert "the same schedule gives two outcomes: step 'reads' reads chance" in str(caught.value)


def test_what_outlives_a_run_is_said_to_when_nothing_was_read() -> None:
    calls = changing(1, 2, 3)

    async def counts(_: None) -> int:
        return next(calls)

    cause = cause_of(of_one(counts))
    assert "step 'counts' goes by something that outlives a run" in cause


def test_a_seeded_number_a_log_line_and_a_bounded_wait_are_no_reads() -> None:
    calls, lines = changing(1, 2, 3), queue.Queue[int]()

    def right(_: None) -> float:
        logging.getLogger("shop").warning("a line has its time")
        threading.Event().wait(0.5)
        try:
            lines.get(timeout=0.1)
        except queue.Empty:
            return Random(7).random() + next(calls)
        return 0

    assert "something that outlives a run" in cause_of(of_one(right))


def test_a_flow_that_reads_and_does_not_use_it_is_right() -> None:
    async def measures(_: None) -> str:
        began = time.monotonic()
        Ticket()
        return "done" if time.monotonic() >= began else "back in time"

    assert assert_deterministic(of_one(measures), None).result == "done"


def test_a_profiler_of_somebody_else_stays_and_nothing_is_named() -> None:
    async def reads(_: None) -> float:
        return time.time()

    def profiler(*_: Any) -> None:
        return

    threading.setprofile(profiler)
    try:
        assert "reads the clock of this machine, chance, or" in cause_of(of_one(reads))
        assert threading.getprofile() is profiler
    finally:
        threading.setprofile(None)
    cause_of(of_one(reads))
    assert threading.getprofile() is None
