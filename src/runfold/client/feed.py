"""Everyone in this process who follows the log, behind one reader.

What is committed, here or elsewhere, is read and decoded once and handed to whoever wants
it. Nobody can hold the reader up: a subscriber that does not keep up is told so, loses what
waits for it, and reads it again from the log by position. Without subscribers nothing is
read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from runfold.client.filters import Filter
from runfold.errors import RunfoldError
from runfold.kernel.event import Recorded
from runfold.ports import Name
from runfold.runtime.bell import Bell
from runfold.runtime.node import SAFETY, Node
from runfold.runtime.tail import Tail
from runfold.wire import LogEvent, log_event

PAGE = 1000
"""How many events one read returns at most."""
SUBSCRIBER_EVENTS_MAX = 10_000
"""How many events wait for one subscriber; with more it is behind."""
LOOK_SECONDS = 0.02
"""How often the log is looked at although no bell rang, while somebody follows: where other
processes cannot ring (SQLite, PgBouncer), this is how late their events are."""

EVERYTHING = 0
"""In place of the number of a stream: the whole log."""

Names = Callable[[Sequence[Recorded]], Awaitable[Mapping[int, Name]]]


class Left(RunfoldError):
    """The engine was left while somebody followed its log."""


class Subscription:
    """What waits for one subscriber: of the whole log, or of the stream called ``name``."""

    def __init__(self, wanted: Filter, stream: int, name: Name | None, position: int) -> None:
        self.wanted, self.stream, self.name = wanted, stream, name
        self.position = position
        """The last event that the subscriber has had, or knows that it does not want."""
        self.closed = False
        self._behind = True
        self._events: deque[LogEvent] = deque()
        self._bell = Bell()

    def is_behind(self) -> bool:
        """Return whether events above ``position`` stand in the log that do not wait here."""
        return self._behind

    def push(self, event: LogEvent) -> None:
        """Take the next event; with too many of them the subscriber is behind."""
        if self._behind:
            return None
        if len(self._events) >= SUBSCRIBER_EVENTS_MAX:
            return self.fall_behind()
        self._events.append(event)
        return self._bell.ring()

    def fall_behind(self) -> None:
        """Drop what waits: the subscriber must read in the log."""
        self._events.clear()
        self._behind = True
        self._bell.ring()

    def catch_up(self) -> None:
        """Take events again: those up to the feed's position are read in the log."""
        self._behind = False

    def rewind(self, head: int) -> None:
        """The log ends at ``head`` now: what came above it never was."""
        self.position = min(self.position, head)
        self.fall_behind()

    def take(self) -> list[LogEvent]:
        """Return what waits."""
        events = list(self._events)
        self._events.clear()
        return events

    def close(self) -> None:
        """Wake the subscriber for good."""
        self.closed = True
        self._bell.ring()

    async def wait(self, timeout: float | None) -> bool:
        """Return True when something has come or changed, False after ``timeout`` seconds."""
        if self._events or self._behind or self.closed:
            return True
        return await self._bell.wait(self._bell.count, timeout)


class Feed:
    """The reader, and its subscribers."""

    def __init__(self, node: Node, names: Names) -> None:
        self._node, self._names = node, names
        self._tail: Tail | None = None
        self._by_stream: dict[int, set[Subscription]] = {}
        # Where no other process can append, every event comes with a bell.
        self._look_every = SAFETY if node.store.in_process else LOOK_SECONDS
        self._looked_at = 0.0
        self._is_looping = False
        self.closed = False
        self.position = 0
        """What came up to here was handed out; what comes above it will be."""

    @contextmanager
    def subscribed(
        self, wanted: Filter, *, after: int, stream: int = EVERYTHING, name: Name | None = None
    ) -> Iterator[Subscription]:
        """Yield a subscription to the log, or to one of its streams, that is behind as yet."""
        if self.closed:
            raise left()
        subscription = Subscription(wanted, stream, name, after)
        if self._tail is None:
            self._begin()
        self._by_stream.setdefault(stream, set()).add(subscription)
        try:
            yield subscription
        finally:
            self._drop(subscription)

    def close(self) -> None:
        """End every subscription: the engine was left."""
        self.closed = True
        for subscription in self._subscribers():
            subscription.close()

    async def turn(self) -> bool:
        """Hand out one page; return False when nothing has come."""
        tail, now = self._tail, self._node.clock.monotonic()
        if tail is None:
            return False
        if now - self._looked_at >= self._look_every:
            self._looked_at, tail.stale = now, True
        if tail.position < self.position:
            for subscription in self._subscribers():
                subscription.rewind(tail.position)
        try:
            page = await self._read(tail)
        except BaseException:
            # The tail may have moved on: what it would have given is in the log.
            for subscription in self._subscribers():
                subscription.fall_behind()
            raise
        self._looked_at = now if page else self._looked_at
        return page

    async def _read(self, tail: Tail) -> bool:
        try:
            page = await tail.read(PAGE)
        finally:
            # Before the next wait: who subscribes during it reads this page in the log.
            self.position = tail.position
        by_stream = {stream: tuple(group) for stream, group in self._by_stream.items()}
        everything = by_stream.pop(EVERYTHING, ())
        names = await self._names(page) if everything else {}
        for recorded in page:
            takers = everything + by_stream.get(recorded.stream, ())
            _deliver(recorded, takers, names.get(recorded.stream))
        return bool(page)

    def _begin(self) -> None:
        assert self._node.hub is not None
        self.position = self._node.hub.tail.position
        self._tail = self._node.tail(self.position)
        if self._is_looping:
            self._node.bell.ring()
        else:
            self._is_looping = True
            self._node.service.loop("feed", self.turn, self._node.bell, self._pause)

    def _drop(self, subscription: Subscription) -> None:
        group = self._by_stream[subscription.stream]
        group.discard(subscription)
        if not group:
            del self._by_stream[subscription.stream]
        if not self._by_stream and self._tail is not None:
            self._node.drop_tail(self._tail)
            self._tail = None

    def _subscribers(self) -> list[Subscription]:
        return [one for group in self._by_stream.values() for one in group]

    async def _pause(self) -> float:
        return SAFETY if self._tail is None else self._look_every


def left() -> Left:
    """Return the error for who follows a log that nobody reads any more."""
    return Left("this Runfold was left while its events were followed; enter it again")


def _deliver(recorded: Recorded, takers: Sequence[Subscription], name: Name | None) -> None:
    """Hand one event to those who want it; showing it, which costs most, is done once."""
    event: LogEvent | None = None
    for subscription in takers:
        called = subscription.name or name
        assert called is not None
        if subscription.wanted.may_take(recorded.event.TOPIC, called.flow):
            event = event or log_event(recorded, called)
            if subscription.wanted.takes(event):
                subscription.push(event)
