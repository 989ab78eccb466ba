"""What the log says about limits: the settings of now, and whoever was told to slow down.

Settings are events of queues and definitions, folded in order of position. An attempt that was
told to slow down has closed what admitted it; only those matter that have closed it until later
than now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from runfold.flow.attempts import holds
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import (
    FlowStart,
    QueueDefined,
    QueueLimited,
    QueuePaused,
    QueueResumed,
    StepErrored,
)
from runfold.flow.limits import queue_scope
from runfold.kernel.event import Recorded
from runfold.ports import Closure, Limit, RestoredLimits
from runfold.runtime.limits import Replaced, closed, limits_of_steps, replaced
from runfold.runtime.queues import TOPICS, UNTIL_OPENED

_EVER = 1 << 63

WANTED = TOPICS | {StepErrored.TOPIC}
"""Types of the events to see; definitions come beside them."""


class Place(NamedTuple):
    """An event of a run."""

    stream: int
    version: int


class Rate(NamedTuple):
    """A limit of starts in a window; it counts those that were recorded while it was one."""

    held: Sequence[tuple[int, int]]
    """Positions behind which it was there, and up to which."""
    per: timedelta
    by_lane: bool

    def counts(self, position: int) -> bool:
        """Return whether a start recorded there is counted while in the window."""
        return any(first < position <= last for first, last in self.held)


class _Held(NamedTuple):
    until: datetime
    wholes: tuple[str, ...]
    """The limits of its whole queue at that time."""


class LimitsSaid:
    """The fold of everything that is said about limits."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._scopes: dict[str, list[Limit]] = {}
        self._rates: dict[str, list[tuple[int, int]]] = defaultdict(list)
        """``Rate.held`` by limit, of those that are gone too."""
        self._paused: dict[str, datetime] = {}
        self._served: dict[str, list[FlowDefinition]] = defaultdict(list)
        self._copied: dict[int, int] = {}
        """Of runs that descend from others, up to which version their events are copies."""
        self.held: dict[Place, _Held] = {}
        """Ends of attempts that were told to slow down until later than now."""

    def see(self, recorded: Recorded) -> None:
        """Remember what ``recorded`` says."""
        event = recorded.event
        match event:
            case QueueDefined() | QueueLimited():
                self._replace(recorded, [replaced(queue_scope(event.queue), event.limits)])
            case QueuePaused():
                self._paused[closed(event.queue, event.key)] = event.until or UNTIL_OPENED
            case QueueResumed():
                self._paused.pop(closed(event.queue, event.key), None)
            case FlowStart(origin=dict() as origin):
                self._copied[recorded.stream] = origin.get("copied", 0)
            case StepErrored() if not self.is_copy(recorded.stream, recorded.version):
                self._hold(recorded, event)

    def is_copy(self, stream: int, version: int) -> bool:
        """Return whether that event came with its run: what it says happened in another."""
        return version <= self._copied.get(stream, 0)

    def serve(self, recorded: Recorded, definition: FlowDefinition) -> None:
        """Remember that ``definition`` was recorded."""
        earlier = self._served[definition.name]
        self._replace(recorded, limits_of_steps(definition, earlier))
        earlier.append(definition)

    def settings(self) -> RestoredLimits:
        """Return the limits that hold now, and what people have paused."""
        return RestoredLimits(list(self._scopes.items()), self._closures(self._paused))

    def closures(self, buckets: Mapping[Place, tuple[str, ...]]) -> list[Closure]:
        """Return what those of ``held`` have closed, admitted by these buckets."""
        until: dict[str, datetime] = {}
        for place, held in self.held.items():
            for bucket in (*buckets.get(place, ()), *held.wholes):
                until[bucket] = max(held.until, until.get(bucket, held.until))
        return self._closures(until)

    def wholes(self, queue: str) -> tuple[str, ...]:
        """Return the limits of ``queue`` that count whatever the lane."""
        return tuple(one.id for one in self._scopes.get(queue_scope(queue), ()) if not one.keyed)

    def rates(self) -> dict[str, Rate]:
        """Return the rates that hold now, by limit."""
        return {limit.id: self._rate(limit) for limit in self._limits() if limit.per is not None}

    def _rate(self, limit: Limit) -> Rate:
        by_lane = limit.keyed or not limit.id.startswith(queue_scope(""))
        return Rate(self._rates[limit.id], timedelta(seconds=limit.per or 0), by_lane)

    def _limits(self) -> Iterator[Limit]:
        for limits in self._scopes.values():
            yield from limits

    def _replace(self, recorded: Recorded, scopes: list[Replaced]) -> None:
        at = recorded.position
        for scope, limits in scopes:
            before = {one.id for one in self._scopes.get(scope, ()) if one.per is not None}
            rates = {one.id for one in limits if one.per is not None}
            for gone in before - rates:
                self._rates[gone][-1] = (self._rates[gone][-1][0], at)
            for come in rates - before:
                self._rates[come].append((at, _EVER))
            self._scopes[scope] = limits

    def _hold(self, recorded: Recorded, event: StepErrored) -> None:
        until = holds(event)
        if until is None:
            return
        if not isinstance(until, datetime):
            until = recorded.ts + timedelta(seconds=until)
        if until > self._now:
            place = Place(recorded.stream, recorded.version)
            self.held[place] = _Held(until, self.wholes(event.queue))

    def _closures(self, until: Mapping[str, datetime]) -> list[Closure]:
        return [Closure(bucket, at) for bucket, at in until.items() if at > self._now]
