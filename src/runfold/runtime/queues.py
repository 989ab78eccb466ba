"""What is said about queues: limits and pauses, each queue's as the history of one stream.

What the code says is recorded when it is served and differs from what code said last; what
is said at run time holds until the code says something else. Store and log change in one
commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from runfold.errors import InvalidInput, StoreUnavailable
from runfold.flow.definition import LimitDefinition
from runfold.flow.events import QueueDefined, QueueLimited, QueuePaused, QueueResumed
from runfold.flow.faults_limits import faults_of_limit
from runfold.flow.limits import keys_of, queue_scope
from runfold.flow.paths import text_of
from runfold.flow.streams import queue_id
from runfold.kernel.event import Draft, Event, Recorded
from runfold.ports import Closure, Codec, EventLog, LogIdentity, Refusal
from runfold.runtime.appender import Appender
from runfold.runtime.limits import closed, replaced

PAGE = 1000
"""How many events of a queue are read at once."""
TRIES_MAX = 100
"""How often a change is tried again when another process was faster."""
UNTIL_OPENED = datetime.max.replace(tzinfo=UTC)
TOPICS = frozenset(event.TOPIC for event in (QueueDefined, QueueLimited, QueuePaused, QueueResumed))
"""Types of the events in a queue's stream."""

Limits = tuple[LimitDefinition, ...]
Change = tuple[Event, dict[str, Any]]
"""An event, and the fields of ``ports.Item`` that make it true."""


@dataclass(slots=True)
class Said:
    """What is said about one queue: the fold of its stream."""

    version: int = 0
    defined: Limits = ()
    """By the code that was served last."""
    limits: Limits = ()
    """Now."""
    paused: dict[str | None, datetime] = field(default_factory=dict)
    """By key, None for the whole queue: until when."""

    def fold(self, version: int, event: Event) -> None:
        """Remember the event that is next, or was folded before."""
        if version <= self.version:
            return
        self.version = version
        match event:
            case QueueDefined():
                self.defined = self.limits = event.limits
            case QueueLimited():
                self.limits = event.limits
            case QueuePaused():
                self.paused[event.key] = event.until or UNTIL_OPENED
            case QueueResumed():
                self.paused.pop(event.key, None)


class Queues:
    """What this process knows of the queues of its log, and how it changes them."""

    def __init__(
        self, log: EventLog, codec: Codec, identity: LogIdentity, appender: Appender
    ) -> None:
        self._log, self._codec, self._identity = log, codec, identity
        self._appender = appender
        self._said: dict[str, Said] = {}
        self._streams: dict[str, int] = {}
        self._limited_steps: set[str] = set()

    def clear(self) -> None:
        """Forget everything: the log may not be what it was."""
        self._said.clear()
        self._streams.clear()

    async def open(self, queues: Iterable[str]) -> None:
        """Read what is said about each of ``queues``."""
        ids = {queue_id(self._identity.log_id, queue): queue for queue in queues}
        for id, stream in (await self._log.find(list(ids))).items():
            self._streams[ids[id]] = stream
            await self.said(ids[id])

    def holds_back(self, queue: str) -> bool:
        """Return whether jobs of ``queue`` may be ready and yet not be admitted."""
        said = self._said.get(queue)
        return queue in self._limited_steps or (
            said is not None and bool(said.limits or said.paused)
        )

    def limit_steps(self, queue: str) -> None:
        """Know that steps or jobs in ``queue`` have limits of their own."""
        self._limited_steps.add(queue)

    async def said(self, queue: str) -> Said:
        """Return what is said about ``queue``, as the log has it now."""
        said = self._said.setdefault(queue, Said())
        stream = await self._stream(queue)
        if stream:
            rows = await self._log.read_stream(stream, after=said.version, limit=PAGE)
            for row in rows:
                said.fold(row.version, self._codec.decode(row.topic, row.state))
            if len(rows) == PAGE:
                return await self.said(queue)
        return said

    def learn(self, recorded: Sequence[Recorded]) -> None:
        """Take events of queues that were recorded, here or elsewhere."""
        for one in recorded:
            queue = getattr(one.event, "queue", "")
            said = self._said.setdefault(queue, Said())
            if one.version == said.version + 1:
                said.fold(one.version, one.event)

    async def define(self, queue: str, limits: Limits) -> None:
        """Record what the code says about ``queue``, unless it is what code said last."""

        def change(said: Said) -> Change | None:
            if said.defined == limits:
                return None
            event = QueueDefined(queue=queue, limits=limits)
            return event, {"limits": [replaced(queue_scope(queue), limits)]}

        await self._record(queue, change)

    async def limit(self, queue: str, limits: Limits) -> None:
        """Give ``queue`` these limits instead of those that it has, until the code changes.

        Raises ``InvalidInput`` for a key that the code does not give the queue: its jobs would
        not have it.
        """
        for one in limits:
            for fault in faults_of_limit(one, f"queue {queue!r}"):
                raise _refused("limits", fault)

        def change(said: Said) -> Change | None:
            _check_keys(queue, limits, said)
            if said.limits == limits:
                return None
            event = QueueLimited(queue=queue, limits=limits)
            return event, {"limits": [replaced(queue_scope(queue), limits)]}

        await self._record(queue, change)

    async def pause(self, queue: str, *, key: Any = None, until: datetime | None = None) -> None:
        """Admit nothing of ``queue``, or of the value ``key``, until then or until resumed.

        What runs goes on. Raises ``InvalidInput`` for a moment without a time zone.
        """
        if until is not None and until.utcoffset() is None:
            raise _refused("until", f"until is {until!r}, expected a datetime with a time zone")
        text = None if key is None else text_of(key)

        def change(said: Said) -> Change | None:
            if said.paused.get(text) == (until or UNTIL_OPENED):
                return None
            closure = Closure(closed(queue, text), until or UNTIL_OPENED)
            return QueuePaused(queue=queue, key=text, until=until), {"closures": [closure]}

        await self._record(queue, change)

    async def resume(self, queue: str, *, key: Any = None) -> None:
        """Let ``queue``, or the value ``key``, go on; what is not paused stays as it is."""
        text = None if key is None else text_of(key)

        def change(said: Said) -> Change | None:
            if text not in said.paused:
                return None
            closure = Closure(closed(queue, text), None)
            return QueueResumed(queue=queue, key=text), {"closures": [closure]}

        await self._record(queue, change)

    async def _record(self, queue: str, change: Callable[[Said], Change | None]) -> None:
        for _ in range(TRIES_MAX):
            said = await self.said(queue)
            found = change(said)
            if found is None:
                return
            event, fields = found
            stream = await self._stream(queue)
            where: dict[str, Any] = (
                {"stream": stream, "version": said.version}
                if stream
                else {"id": queue_id(self._identity.log_id, queue)}
            )
            outcome = await self._appender.submit([Draft(event)], **where, **fields)
            if outcome.refusal is None:
                said.fold(outcome.version, event)
                return
            # Another process was faster: look again, and decide again.
            if outcome.refusal not in (Refusal.EXISTS, Refusal.VERSION):
                break
        raise StoreUnavailable(f"queue {queue!r} was not changed: others change it all the time")

    async def _stream(self, queue: str) -> int:
        if queue not in self._streams:
            id = queue_id(self._identity.log_id, queue)
            stream = (await self._log.find([id])).get(id, 0)
            if not stream:
                return 0
            self._streams[queue] = stream
        return self._streams[queue]


def _check_keys(queue: str, limits: Limits, said: Said) -> None:
    known = list(keys_of(said.defined))
    for key in keys_of(limits):
        if key not in known:
            raise _refused(
                "limits",
                f"queue {queue!r} has no limit with key={key!r} in its code, or not as many of "
                "them: its jobs are made without that key; say it in Queue(limits=) first",
            )
        known.remove(key)


def _refused(option: str, message: str) -> InvalidInput:
    return InvalidInput(message, details=[{"loc": option, "msg": message}])
