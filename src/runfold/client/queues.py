"""``rf.queues``: what waits where, and what holds it back; said at run time, for all processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from runfold.client.filters import checked_name, refused
from runfold.client.flows import Flows
from runfold.client.session import Session
from runfold.define.limits import AnyLimit, limits_of
from runfold.define.queue import Queue
from runfold.errors import InvalidDefinition
from runfold.flow.definition import FlowDefinition
from runfold.flow.limits import keys_of
from runfold.ports import LogIdentity, QueueState, Rebuilding
from runfold.runtime.queues import UNTIL_OPENED
from runfold.runtime.rebuild import fill


@dataclass(frozen=True, slots=True)
class LimitInfo:
    """A limit: ``concurrency``, at most ``max`` at once, or ``rate``, at most ``max`` starts in
    ``per`` seconds; ``keyed``: for each value of its key."""

    kind: str
    max: int
    per: float | None
    keyed: bool


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue now, over all processes, in numbers of jobs."""

    name: str
    ready: int = 0
    blocked: int = 0
    """Held back by a limit, a pause, or jobs before them that are; or their run is paused."""
    leased: int = 0
    """Claimed: their handlers run."""
    delayed: int = 0
    """Due later."""
    paused: bool = False
    paused_until: datetime | None = None
    """None of a queue that is paused until it is resumed, or not paused."""
    paused_keys: Mapping[str, datetime | None] = field(default_factory=dict)
    """The values of keys that are paused, each until when (None: until resumed)."""
    limits: tuple[LimitInfo, ...] = ()

    @classmethod
    def of(cls, state: QueueState) -> QueueInfo:
        """Return what the working tables say."""
        return cls(
            state.name, state.ready, state.blocked, state.leased, state.delayed,
            state.closed_until is not None, _until(state.closed_until),
            {key: _until(until) for key, until in state.closed_keys},
            tuple(LimitInfo(one.kind, one.max, one.per, one.keyed) for one in state.limits),
        )  # fmt: skip


class Aside(Rebuilding, Protocol):
    """Working tables that nobody works with, filled to be asked."""

    def end(self) -> None: ...

    def queues(self, now: datetime) -> Sequence[QueueState]: ...


class Queues:
    """``rf.queues``."""

    def __init__(
        self,
        session: Session,
        aside: Callable[[LogIdentity], Aside],
        flows: Flows | None = None,
    ) -> None:
        self._session, self._aside, self._flows = session, aside, flows

    async def list(self, *, at: datetime | int | None = None) -> list[QueueInfo]:
        """Return every queue that has jobs, limits or a pause, or is used by what is served
        here, by name.

        ``at``: as they were at a moment (aware), or when an event was the last: its position.
        Such a question folds the log up to there, as a rebuild does: it takes seconds for each
        100,000 events. What a limit would have held back counts as ready then, one job for each
        key of it. Raises ``InvalidInput``.
        """
        if at is not None:
            return [QueueInfo.of(state) for state in await self._past(at)]
        found = {name: QueueInfo(name) for name in self._session.catalog.queue_names()}
        for state in await self._session.node.store.queues():
            found[state.name] = QueueInfo.of(state)
        return [found[name] for name in sorted(found)]

    async def stats(self, name: str | Queue, *, at: datetime | int | None = None) -> QueueInfo:
        """Return one queue; nothing waits in one that nobody has ever used. ``at``: as ``list``."""
        queue = _name(name)
        states = self._session.node.store.queues() if at is None else self._past(at)
        for state in await states:
            if state.name == queue:
                return QueueInfo.of(state)
        return QueueInfo(queue)

    async def _past(self, at: datetime | int) -> Sequence[QueueState]:
        node = self._session.node
        head, now = await self._session.engine.place(at)
        tables = self._aside(node.store.identity)
        await fill(tables, node.store, node.codec, head=head, now=now)
        tables.end()
        return tables.queues(now)

    async def pause(
        self, name: str | Queue, *, key: Any = None, until: datetime | None = None
    ) -> None:
        """Let nothing more of the queue be claimed, by any process, until it is resumed.

        What runs goes on, what is started waits. ``key``: only jobs with this value of the
        queue's key. ``until``: a moment (aware) from which it goes on by itself. Raises
        ``InvalidInput``, also for a key where no job of the queue has one.
        """
        if key is not None and not await self._has_keys(_name(name)):
            raise refused(
                "key",
                f"key is {key!r}, and no limit of queue {_name(name)!r}, or of a job or step in "
                "it, has a key=: no job would be held back; pause the whole queue, or serve it "
                "with a keyed limit first",
            )
        await self._session.node.queues.pause(_name(name), key=key, until=until)

    async def resume(self, name: str | Queue, *, key: Any = None) -> None:
        """Let the queue, or the value ``key``, go on; one that is not paused stays as it is."""
        await self._session.node.queues.resume(_name(name), key=key)

    async def _has_keys(self, queue: str) -> bool:
        """Return whether jobs of ``queue`` have keys: here, or as they were served last."""
        node, catalog = self._session.node, self._session.catalog
        if keys_of((await node.queues.said(queue)).defined):
            return True
        if any(_is_keyed(definition, queue) for definition in catalog.definitions()):
            return True
        for info in [] if self._flows is None else await self._flows.list():
            definition = await node.definitions.last(info.name)
            if definition is not None and _is_keyed(definition, queue):
                return True
        return False

    async def limit(self, name: str | Queue, limits: Iterable[AnyLimit] | AnyLimit) -> None:
        """Give the queue these limits instead of its own, until its code says others.

        An empty list: none. A keyed limit needs one of that key in the code. Raises
        ``InvalidInput``.
        """
        try:
            given = limits_of(limits)
        except InvalidDefinition as error:
            raise refused("limits", str(error)) from error
        await self._session.node.queues.limit(_name(name), given)


def _name(queue: Any) -> str:
    name = checked_name("name", queue.name if isinstance(queue, Queue) else queue)
    if name is None:
        raise refused("name", "name is None, expected that of a queue")
    return name


def _is_keyed(definition: FlowDefinition, queue: str) -> bool:
    return any(
        step.queue == queue and (step.queue_keys or keys_of(step.limits))
        for step in definition.steps
    )


def _until(moment: datetime | None) -> datetime | None:
    return None if moment is None or moment >= UNTIL_OPENED else moment
