"""A handler that blocks the event loop is named while it does."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from runfold import Flow, Runfold, Settings

flow: Flow[Any, Any] = Flow("shop")
released = threading.Event()


@flow.entry()
async def blocks(data: Any) -> None:
    released.wait(10)


quiet: Flow[Any, Any] = Flow("quiet")


@quiet.entry()
async def waits(data: Any) -> None:
    await asyncio.sleep(0.15)


class Seen(logging.Handler):
    """Keeps what is warned about, and lets the handler go on then."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "event loop" in record.getMessage():
            self.lines.append(record.getMessage())
            released.set()


@pytest.fixture
def seen() -> Any:
    handler = Seen()
    logger = logging.getLogger("runfold.worker")
    logger.addHandler(handler)
    released.clear()
    yield handler
    logger.removeHandler(handler)


def run(target: Flow[Any, Any], **settings: Any) -> None:
    async def main() -> None:
        async with Runfold("memory://", flows=[target], settings=Settings(**settings)) as rf:
            await (await rf.start(target)).result(timeout=20)

    asyncio.run(main())


def test_it_is_named_with_its_stack_and_once(seen: Seen) -> None:
    run(flow, blocking_warn=0.05)
    (line,) = seen.lines
    assert "the handler of step 'blocks' of 'shop' has kept the event loop for 0.1 s" in line
    assert "in blocks" in line
    assert "released.wait(10)" in line
    assert "runfold/runtime" not in line


def test_a_handler_that_awaits_is_not(seen: Seen) -> None:
    run(quiet, blocking_warn=0.05)
    assert seen.lines == []


def test_what_blocks_and_is_no_handler_is_not(seen: Seen) -> None:
    async def main() -> None:
        async with Runfold("memory://", flows=[quiet], settings=Settings(blocking_warn=0.05)):
            time.sleep(0.2)  # noqa: ASYNC251 - this is the point

    asyncio.run(main())
    assert seen.lines == []


def test_nothing_is_looked_at_without_the_setting(seen: Seen) -> None:
    async def main() -> None:
        settings = Settings(blocking_warn=0)
        async with Runfold("memory://", flows=[quiet], settings=settings) as rf:
            await (await rf.start(quiet)).result(timeout=20)
            names = [thread.name for thread in threading.enumerate()]
            assert "runfold-watchdog" not in names

    asyncio.run(main())
