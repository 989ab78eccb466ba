"""Events as they come, from any place of the log on: what is recorded, then what is appended.

A follower reads the log by position until it meets what the feed hands out, and does so
again whenever it fell behind or the database was away. So it sees every event that it wants
once, in order, and goes on by itself after every loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from runfold.client.feed import PAGE, Feed, Subscription, left
from runfold.client.filters import Filter
from runfold.errors import StoreUnavailable
from runfold.flow.events import ENDS
from runfold.kernel.event import Recorded
from runfold.ports import Name
from runfold.runtime.node import Node
from runfold.runtime.tail import decode
from runfold.wire import LogEvent, log_event

AGAIN_SECONDS = 1.0
"""How long a follower waits before it asks a database again that was away."""
NAMES_MAX = 100_000
"""How many names of streams are remembered."""

Names = Callable[[Sequence[int]], Awaitable[Mapping[int, Name]]]


class Source(Protocol):
    """What a follower reads while the feed does not hand it out."""

    def read(self, after: int, upto: int, /) -> AsyncGenerator[LogEvent]:
        """Yield what is wanted above ``after``, at least up to ``upto``."""
        ...


class Following:
    """Reads the log of one process's node for those who want to see it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._names: dict[int, Name] = {}
        self.feed = Feed(node, self._names_of)

    async def log(
        self, wanted: Filter, *, after: int, follow: bool, idle: float | None = None
    ) -> AsyncGenerator[LogEvent | None]:
        """Yield what is wanted of the log above ``after``; ``follow``: beyond its end.

        With ``idle``: None, too, whenever nothing has come for so many seconds.
        """
        source = _Log(self._node, self.names, wanted)
        if not follow:
            async for event in source.read(after, await self._node.store.head()):
                yield event
            return
        with self.feed.subscribed(wanted, after=after) as subscription:
            async with aclosing(self._followed(subscription, source, idle)) as events:
                async for one in events:
                    yield one

    async def run(
        self,
        stream: int,
        name: Name,
        wanted: Filter,
        *,
        after: int = 0,
        follow: bool = False,
        idle: float | None = None,
    ) -> AsyncGenerator[LogEvent | None]:
        """Yield what is wanted of a run above ``after``; ``follow``: until it has ended."""
        with_end = Filter(wanted.types | ENDS if wanted.types else wanted.types)
        source = _Stream(self._node, stream, name, with_end)
        if not follow:
            async for event in source.read(after, 0):
                if event.id > after and wanted.takes(event):
                    yield event
            return
        with self.feed.subscribed(with_end, after=after, stream=stream, name=name) as subscription:
            async with aclosing(self._followed(subscription, source, idle)) as events:
                async for one in events:
                    if one is None or (one.id > after and wanted.takes(one)):
                        yield one
                    if one is not None and one.type in ENDS:
                        return

    async def names(self, streams: Sequence[int]) -> Mapping[int, Name]:
        """Return the names of these streams, and of others."""
        unknown = [stream for stream in dict.fromkeys(streams) if stream not in self._names]
        if unknown:
            found = await self._node.store.names(sorted(unknown))
            if len(self._names) > NAMES_MAX:
                self._names = {one: self._names[one] for one in streams if one in self._names}
            self._names.update(found)
        return self._names

    async def _names_of(self, page: Sequence[Recorded]) -> Mapping[int, Name]:
        return await self.names([recorded.stream for recorded in page])

    async def _followed(
        self, subscription: Subscription, source: Source, idle: float | None
    ) -> AsyncGenerator[LogEvent | None]:
        while not subscription.closed:
            if subscription.is_behind():
                async with aclosing(self._recorded(subscription, source)) as events:
                    async for event in events:
                        yield event
            for event in subscription.take():
                if event.id > subscription.position:
                    subscription.position = event.id
                    yield event
            if not await subscription.wait(idle):
                yield None
        raise left()

    async def _recorded(
        self, subscription: Subscription, source: Source
    ) -> AsyncGenerator[LogEvent]:
        """Yield what the log has for the subscriber, which then takes events from the feed."""
        # Taken again before the position is read: nothing falls in between.
        subscription.catch_up()
        upto = self.feed.position
        try:
            async with aclosing(source.read(subscription.position, upto)) as events:
                async for event in events:
                    subscription.position = max(subscription.position, event.id)
                    yield event
        except StoreUnavailable:
            subscription.fall_behind()
            await asyncio.sleep(AGAIN_SECONDS)
        if not subscription.is_behind():
            subscription.position = max(subscription.position, upto)


class _Log:
    """The whole log, page by page."""

    def __init__(self, node: Node, names: Names, wanted: Filter) -> None:
        self._node, self._names, self._wanted = node, names, wanted

    async def read(self, after: int, upto: int) -> AsyncGenerator[LogEvent]:
        wanted, node = self._wanted, self._node
        while after < upto:
            rows = await node.store.read(after=after, limit=PAGE, upto=upto)
            rows_wanted = [row for row in rows if wanted.takes_type(row.topic)]
            names = await self._names([row.stream for row in rows_wanted])
            for row in rows_wanted:
                name = names[row.stream]
                if wanted.may_take(row.topic, name.flow):
                    event = log_event(decode(node.codec, row), name)
                    if wanted.takes(event):
                        yield event
            if len(rows) < PAGE:
                return
            after = rows[-1].position


class _Stream:
    """One run from its beginning; also its end, wherever it stands."""

    def __init__(self, node: Node, stream: int, name: Name, wanted: Filter) -> None:
        self._node, self._stream = node, stream
        self._name, self._wanted = name, wanted

    async def read(self, after: int, _: int) -> AsyncGenerator[LogEvent]:
        store, version, is_more = self._node.store, 0, True
        while is_more:
            rows = await store.read_stream(self._stream, after=version, limit=PAGE)
            for row in rows:
                version = row.version
                is_new = row.position > after and self._wanted.takes_type(row.topic)
                if is_new or row.topic in ENDS:
                    yield log_event(decode(self._node.codec, row), self._name)
            is_more = len(rows) == PAGE
