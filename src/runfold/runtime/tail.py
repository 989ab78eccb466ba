"""Reading the log in order, without a hole, from memory where this process wrote it.

What this process commits is pushed in; it counts only when it continues what was read.
Between two pushes other processes may have written: the hole is read from the store
before the later push is delivered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from runfold.flow.seal import rest_of
from runfold.kernel.event import Event, Recorded
from runfold.ports import Codec, EventLog, Stored

BUFFER_MAX = 50_000
"""How many pushed events wait in memory for their turn; past that they are read again."""


def decode(codec: Codec, stored: Stored) -> Recorded:
    """Return a stored event as an object in its envelope."""
    return decode_all(codec, (stored,))[0]


def decode_all(codec: Codec, rows: Iterable[Stored]) -> list[Recorded]:
    """Return stored events as objects in their envelopes."""
    read, new = codec.decode, tuple.__new__  # As ``Recorded`` does, with every event that is read.
    return [
        new(
            Recorded,
            (
                position, stream, version, ts,
                read(topic, rest_of(state)),
                step, activation, attempt, key, cause, state,
            ),
        )
        for position, stream, version, ts, topic, state, step, activation, attempt, key, cause
        in rows
    ]  # fmt: skip


class Tail:
    """A reader at one place of the log; ``position`` is the last event that it delivered.

    With ``topics`` it delivers only events of these types, and does not decode others.
    """

    def __init__(
        self,
        log: EventLog,
        codec: Codec,
        *,
        position: int,
        topics: Collection[str] | None = None,
    ) -> None:
        self._log, self._codec, self.topics = log, codec, topics
        self.position = position
        self.stale = True
        """Somebody else may have appended: the store is worth a look."""
        self.split = 0
        """The stream of the last event of a full page from the store, which may have ended in
        the middle of what one commit recorded; 0 when everything delivered is whole."""
        self.on_read: Callable[[Sequence[Recorded]], object] = lambda _: None
        """Told what was read from the store: nobody else in this process has it yet."""
        self._buffer: deque[Sequence[Recorded]] = deque()
        self._buffered = 0
        self._wants: dict[type[Event], bool] = {}
        """Whether events of a class are delivered: asked of every one that is pushed."""

    @property
    def is_fed(self) -> bool:
        """Whether something that was pushed waits to be delivered."""
        return bool(self._buffer)

    def push(self, recorded: Sequence[Recorded]) -> None:
        """Take what this process has just committed: contiguous, in order."""
        if recorded and recorded[-1].position > self.position:
            if self._buffered > BUFFER_MAX:
                self._buffer.clear()
                self._buffered = 0
            self._buffer.append(recorded)
            self._buffered += len(recorded)

    def pushed(self) -> list[Recorded]:
        """Return what continues the last delivery and is in memory; never waits."""
        page: list[Recorded] = []
        self.split = 0
        if not self._buffer:
            return page
        while self._buffer and self._buffer[0][0].position <= self.position + 1:
            recorded = self._buffer.popleft()
            self._buffered -= len(recorded)
            skip = self.position + 1 - recorded[0].position
            if skip < len(recorded):
                page.extend(recorded[skip:] if skip else recorded)
                self.position = recorded[-1].position
        return self._wanted(page)

    async def read(self, limit: int) -> list[Recorded]:
        """Return what comes next, empty at the end of the log.

        At most ``limit`` events come from the store, which is asked only when there is a hole
        before what is in memory, or when ``stale``. An empty page may also mean that nothing in
        it was wanted: compare ``position``.
        """
        page = self.pushed()
        if page:
            return page
        upto = self._buffer[0][0].position - 1 if self._buffer else None
        if upto is None and not self.stale:
            return []
        if upto is not None:
            return await self._read(limit, upto)  # What is behind the buffer is not looked at.
        self.stale = False  # Before the read: a ring in between makes it stale again.
        try:
            return await self._read(limit, upto)
        except BaseException:
            self.stale = True
            raise

    async def _read(self, limit: int, upto: int | None) -> list[Recorded]:
        rows = await self._log.read(after=self.position, limit=limit, upto=upto)
        is_full = len(rows) >= limit
        self.stale |= is_full
        # While this waited more may have been pushed; what stands in rows comes first.
        if not rows or rows[-1].position <= self.position:
            return self.pushed()
        topics = self.topics
        # Before the position moves: what cannot be read is read again, and never passed over.
        page = decode_all(
            self._codec,
            [
                row
                for row in rows
                if row.position > self.position and (topics is None or row.topic in topics)
            ],
        )
        self.position = rows[-1].position
        self.split = rows[-1].stream if is_full else 0
        self.on_read(page)
        return page

    def _wanted(self, page: list[Recorded]) -> list[Recorded]:
        topics, wanted = self.topics, self._wants
        if topics is None:
            return page
        try:
            return [recorded for recorded in page if wanted[type(recorded.event)]]
        except KeyError:  # Of a class that is seen for the first time.
            for recorded in page:
                wanted[type(recorded.event)] = type(recorded.event).TOPIC in topics
            return self._wanted(page)
