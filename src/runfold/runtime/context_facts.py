"""Facts that a handler leaves while it runs: gathered, written in order, never lost halfway.

While one batch is being written the next one gathers. Output is gathered longer, so that a
handler that writes a token at a time makes at most one event in ``OUTPUT_EVERY`` seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from runfold.errors import RunfoldError
from runfold.flow.events import Log, Output
from runfold.kernel.event import Draft, Event

BATCH_MAX = 500
"""How many facts are written at once."""
PENDING_MAX = 20_000
"""How many facts wait to be written; of more, log lines are dropped and counted."""
OUTPUT_EVERY = 0.05
"""Seconds between two events of output."""

Spawn = Callable[[Coroutine[Any, Any, Any]], "asyncio.Task[Any]"]
Record = Callable[[Sequence[Draft]], Awaitable[None]]

_log = logging.getLogger("runfold.executor")


class Facts:
    """The facts of one attempt on their way into the log; used on the loop's thread."""

    __slots__ = (
        "_chunks", "_dropped", "_flushed", "_idle", "_is_held", "_make", "_pending", "_record",
        "_spawn", "_timer", "_written_at",
    )  # fmt: skip

    def __init__(self, record: Record, spawn: Spawn, make: Callable[[Event], Draft]) -> None:
        self._record, self._spawn, self._make = record, spawn, make
        self._pending: list[Draft] = []
        self._idle, self._is_held = True, False
        self._flushed: list[asyncio.Future[None]] = []
        self._dropped = 0
        self._chunks: dict[str, list[str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._written_at = float("-inf")

    def add(self, event: Event) -> None:
        """Write ``event`` as soon as what came before it is written."""
        if len(self._pending) >= PENDING_MAX and isinstance(event, Log):
            self._dropped += 1
            return
        self._pending.append(self._make(event))
        self._send()

    def write(self, stream: str, chunk: str) -> None:
        """Gather ``chunk``; what is gathered becomes an event when the next one may be."""
        self._chunks.setdefault(stream, []).append(chunk)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            wait = self._written_at + OUTPUT_EVERY - loop.time()
            if wait <= 0:
                self._output()
            else:
                self._timer = loop.call_later(wait, self._output)

    def hold(self) -> None:
        """Keep what comes from now on, until ``taken`` or ``flush``."""
        self._is_held = True

    def taken(self) -> list[Draft]:
        """Return what was kept, for whoever records it with the end of the attempt."""
        self._gather()
        pending, self._pending = self._pending, []
        return pending

    async def flush(self) -> None:
        """Return when everything is written, or known never to be."""
        self._is_held = False
        self._gather()
        if self._pending:
            self._send()
        if not self._idle:
            flushed = asyncio.get_running_loop().create_future()
            self._flushed.append(flushed)
            await flushed

    def _gather(self) -> None:
        """Make events of the output that waits, and of what was dropped."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for stream in list(self._chunks):
            self._add_output(stream)
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self.add(Log(level="warning", message=f"{dropped} log lines were too many; dropped"))

    def _output(self) -> None:
        """Write the chunks of one stream; the others wait for their turn."""
        self._timer = None
        if not self._chunks:
            return
        self._add_output(next(iter(self._chunks)))
        loop = asyncio.get_running_loop()
        self._written_at = loop.time()
        if self._chunks:
            self._timer = loop.call_later(OUTPUT_EVERY, self._output)

    def _add_output(self, stream: str) -> None:
        self.add(Output(stream=stream, chunk="".join(self._chunks.pop(stream))))

    def _send(self) -> None:
        if self._idle and not self._is_held:
            self._idle = False
            self._spawn(self._sending())

    async def _sending(self) -> None:
        try:
            while self._pending:
                batch = self._pending[:BATCH_MAX]
                del self._pending[:BATCH_MAX]
                await self._write(batch)
        finally:
            self._idle = True
            for flushed in self._flushed:
                if not flushed.done():
                    flushed.set_result(None)
            self._flushed.clear()

    async def _write(self, batch: list[Draft]) -> None:
        try:
            await self._record(batch)
        except RunfoldError as error:
            if len(batch) == 1:
                _log.warning("a %s of a handler was not recorded: %s", batch[0].event.TOPIC, error)
                return
            for draft in batch:  # One of them is refused: find it.
                await self._write([draft])
