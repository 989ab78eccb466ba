"""Everyone in this process who waits for the end of a run, behind one reader of the log."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

from runfold.errors import StoreUnavailable
from runfold.flow.events import ENDS, FlowErased
from runfold.kernel.event import Recorded
from runfold.ports import Codec, EventLog
from runfold.runtime.queues import TOPICS
from runfold.runtime.tail import Tail

PAGE = 5000
RECENT_MAX = 1000
"""How many ends are remembered for handles that are made just after them."""


class Watched:
    """One run whose end somebody holds a handle for; kept as long as the handle is."""

    def __init__(self) -> None:
        self.end: Recorded | None = None
        self.looked = False
        """An end before the watch began would be known."""
        self.over = False
        """Nobody reads the log for it any more."""
        self._waiters: dict[asyncio.Future[None], None] = {}

    def ended(self, recorded: Recorded) -> None:
        """Keep the end and wake everyone who waits for it."""
        self.end = recorded
        self._wake()

    def abandon(self) -> None:
        """Let everyone know who waits, now or later, that no end will be told."""
        self.over = True
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> Recorded:
        """Return the event that ended the run, once it has.

        Raises ``StoreUnavailable`` when nobody reads the log any more.
        """
        while self.end is None:
            if self.over:
                raise StoreUnavailable(
                    "this Runfold was left while somebody waited for a run, which goes on if "
                    "others work; enter it again and wait for rf.get(id)"
                )
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters[waiter] = None
            try:
                await waiter
            finally:
                self._waiters.pop(waiter, None)
        return self.end


class Hub:
    """Reads only the ends of runs; a handle that was made before an end learns of it."""

    def __init__(self, log: EventLog, codec: Codec, *, position: int) -> None:
        topics = ENDS | TOPICS | {FlowErased.TOPIC}
        self.tail = Tail(log, codec, position=position, topics=topics)
        self.on_queues: Callable[[Sequence[Recorded]], None] = lambda _: None
        """Told of events of queues."""
        self._watched: WeakValueDictionary[int, Watched] = WeakValueDictionary()
        self._recent: OrderedDict[int, Recorded] = OrderedDict()
        self._is_closed = False

    def watch(self, stream: int, *, fresh: bool) -> Watched:
        """Return the watch on this stream.

        ``fresh``: it was started just now, so its end cannot lie further back than the last
        few; else whoever waits looks into the log once, after this call (``looked``).
        """
        watched = self._watched.get(stream)
        if watched is None:
            watched = self._watched[stream] = Watched()
            watched.end = self._recent.get(stream)
            watched.looked, watched.over = fresh, self._is_closed
        return watched

    def close(self) -> None:
        """Tell no more ends; whoever waits for one hears of that."""
        self._is_closed = True
        for watched in list(self._watched.values()):
            watched.abandon()

    def push(self, recorded: Sequence[Recorded]) -> bool:
        """Take what this process has committed; True when a hole before it must be read."""
        self.tail.push(recorded)
        self._tell(self.tail.pushed())
        return self.tail.position < recorded[-1].position

    async def turn(self) -> bool:
        """Read one page; return False at the end of the log."""
        before = self.tail.position
        self._tell(await self.tail.read(PAGE))
        return self.tail.position != before

    def _tell(self, ends: Sequence[Recorded]) -> None:
        queues = []
        for recorded in ends:
            topic = type(recorded.event).TOPIC
            if topic in ENDS:
                self._keep(recorded)
            elif isinstance(recorded.event, FlowErased):
                self.forget(recorded.event.stream)
            elif topic in TOPICS:
                queues.append(recorded)
        if queues:
            self.on_queues(queues)
        while len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)

    def forget(self, stream: int) -> None:
        """Drop the end of a run, whose result is erased; it is read again when asked for."""
        self._recent.pop(stream, None)
        watched = self._watched.get(stream)
        if watched is not None:
            watched.end, watched.looked = None, False

    def _keep(self, recorded: Recorded) -> None:
        self._recent[recorded.stream] = recorded
        watched = self._watched.get(recorded.stream)
        if watched is not None:
            watched.ended(recorded)
