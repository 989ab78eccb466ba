"""What a client can do with a log, whatever roles its process has: over one ``Node``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from runfold.client.filters import refused
from runfold.client.following import Following
from runfold.define.values import ANY, Value
from runfold.errors import RunNotFound, StoreUnavailable
from runfold.flow.events import ENDS, FlowStart
from runfold.flow.run import Run as Folded
from runfold.flow.run import evolve, new
from runfold.kernel.event import Draft, Event, Recorded
from runfold.ports import Outcome, Stored
from runfold.runtime.hub import Watched
from runfold.runtime.node import Node
from runfold.runtime.past import position_at
from runfold.runtime.tail import decode, decode_all

T = TypeVar("T")
PAGE = 1000
"""How many events one read returns at most."""
PATIENCE = 30.0
"""Seconds after which a call gives up on a database that is away."""


class Engine:
    """Reads, requests and waits; decides nothing."""

    def __init__(self, node: Node, *, input_of: Callable[[str], Value] = lambda _: ANY) -> None:
        self.node = node
        self.input_of = input_of
        """How the input of runs of a flow or job is written, by its name."""
        self.following = Following(node)

    async def submit(self, drafts: Sequence[Draft], **item: Any) -> Outcome:
        """Record an item; raises ``StoreUnavailable`` when the store does not answer in time."""
        return await self.patiently(self.node.appender.submit(drafts, **item))

    async def patiently(self, future: asyncio.Future[T]) -> T:
        """Return what the future brings; ``StoreUnavailable`` after ``PATIENCE`` seconds."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await future
        except TimeoutError:
            raise StoreUnavailable(
                f"the database did not answer within {PATIENCE:.0f} seconds; the request is "
                "kept and may still be recorded: with key= it is safe to repeat"
            ) from None

    async def aside(self, call: Callable[..., T], /, *args: Any) -> T:
        """Return what ``call`` returns: long work, in a thread, so that the loop goes on."""
        return await asyncio.to_thread(call, *args)

    def watch(self, stream: int, *, fresh: bool) -> Watched:
        """Return the watch on the end of this run."""
        assert self.node.hub is not None
        return self.node.hub.watch(stream, fresh=fresh)

    async def number(self, id: bytes, *, wait: bool = False) -> int:
        """Return the number of the run's stream, 0 without one; ``wait`` until there is one."""
        while True:
            seen = self.node.bell.count
            number = (await self.node.store.find([id])).get(id, 0)
            if number or not wait:
                return number
            await self.node.bell.wait(seen, 0.25)

    async def end(self, stream: int) -> Recorded | None:
        """Return the event that ended the run, None while it goes on."""
        node = self.node
        version = await node.store.last_version(stream)
        rows = await node.store.read_stream(stream, after=version - 1, limit=1)
        return decode(node.codec, rows[-1]) if rows and rows[-1].topic in ENDS else None

    async def fold(
        self,
        stream: int,
        *,
        version: int | None = None,
        at: datetime | None = None,
        position: int | None = None,
    ) -> Folded:
        """Return the run folded to its end, to ``version``, the moment ``at``, or ``position``."""
        if version is not None and version < 1:
            raise ValueError(f"version is {version}, expected 1 or more")
        if at is not None and at.tzinfo is None:
            raise ValueError(f"at is {at!r}, expected a moment with a time zone")
        run = await self._folded(stream, version, at, position)
        if run is None:
            raise ValueError(f"the run did not exist at {at}")
        if version is not None and run.version < version:
            raise ValueError(f"version is {version}, the run is at version {run.version}")
        return run

    async def _folded(
        self, stream: int, version: int | None, at: datetime | None, position: int | None
    ) -> Folded | None:
        run: Folded | None = None
        node, after, is_more = self.node, 0, True
        while is_more:
            rows = await node.store.read_stream(stream, after=after, limit=PAGE, upto=version)
            is_more = len(rows) == PAGE
            if at is not None or position is not None:
                wanted = [row for row in rows if _is_before(row, at, position)]
                is_more &= len(wanted) == len(rows)
                rows = wanted
            for recorded in decode_all(node.codec, rows):
                if run is None:
                    run = await self.new(recorded.event)
                evolve(run, recorded)
                after = recorded.version
        return run

    async def place(self, at: Any) -> tuple[int, datetime]:
        """Return the last position at a moment or position ``at``, and when that was.

        Raises ``InvalidInput`` for what is neither, or lies behind the end of the log.
        """
        store, head = self.node.store, await self.node.store.head()
        if isinstance(at, datetime) and at.utcoffset() is not None:
            return await position_at(store, at, head), at
        if isinstance(at, bool) or not isinstance(at, int) or not 1 <= at <= head:
            raise refused(
                "at", f"at is {at!r}, expected a moment with a time zone, or a position 1 to {head}"
            )
        (stored,) = await store.read(after=at - 1, limit=1)
        return at, stored.ts

    async def now(self) -> datetime:
        """Return what the store's clock says, about, where that saves asking it."""
        return self.node.appender.now() or await self.node.store.now()

    async def new(self, start: Event) -> Folded:
        """Return a run that begins with ``start``, with nothing folded yet."""
        if not isinstance(start, FlowStart):
            raise RunNotFound("this stream is no run")
        definition = await self.node.definitions.get(start.flow, start.definition)
        if definition is None:
            raise RunNotFound(f"run {start.run_id} has no definition in this log")
        run = new(definition)
        run.chain = None  # Whoever ends a run keeps it: to look at a run takes a sixth less time.
        return run

    async def sized(
        self, stream: int, *, upto: int | None = None
    ) -> AsyncIterator[tuple[Recorded, int]]:
        """Yield the events of a run as recorded so far, each with its size as stored."""
        version, is_more = 0, True
        while is_more:
            rows = await self.node.store.read_stream(stream, after=version, limit=PAGE, upto=upto)
            is_more = len(rows) == PAGE
            for row in rows:
                version = row.version
                yield decode(self.node.codec, row), len(row.state)

    def close(self) -> None:
        """End what follows the log, and every wait for a run: the node has stopped."""
        if self.node.hub is not None:
            self.node.hub.close()
        self.following.feed.close()


def _is_before(row: Stored, at: datetime | None, position: int | None) -> bool:
    """Return whether ``row`` was recorded up to that moment, and up to that position."""
    return (at is None or row.ts <= at) and (position is None or row.position <= position)
