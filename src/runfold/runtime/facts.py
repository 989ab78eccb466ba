"""What a worker needs of a run's history, from memory where this process recorded it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import from_json

from runfold.flow.events import (
    ENDS,
    REGISTRY,
    Emit,
    FlowInputReplaced,
    FlowStart,
    StepCompleted,
    StepFailed,
)
from runfold.flow.inputs import replaced_at, versions
from runfold.flow.start import amended
from runfold.kernel.event import Event, Recorded
from runfold.ports import Codec, EventLog, Job
from runfold.runtime.tail import decode_all

FACTS_MAX = 50_000
"""How many events are remembered; the oldest go first and are read again."""

SHORT = 200
"""Up to how many characters the inputs of a job are remembered, as they were read."""

LEARNED_MAX = 20_000
"""Up to so many, those that the dispatcher has read are remembered as well."""

_KEPT: dict[type[Event], bool] = {
    **dict.fromkeys((Emit, FlowInputReplaced, FlowStart, StepCompleted, StepFailed), True),
    **dict.fromkeys((REGISTRY[topic] for topic in ENDS), False),
}
"""False: with it all that is kept of its stream goes. Of other classes nothing is of interest."""


@dataclass(slots=True)
class Brief:
    """What one job is about."""

    start: Recorded
    """With what has replaced its input."""
    plan: list[Any] | None
    events: dict[int, Event]


Events = dict[int, Recorded]
"""Of one stream, by version."""


class Facts:
    """Events of open runs: what their jobs may take as input."""

    def __init__(self, log: EventLog, codec: Codec) -> None:
        self._log, self._codec = log, codec
        self._streams: OrderedDict[int, Events] = OrderedDict()
        self._count = 0

    def push(self, recorded: Sequence[Recorded]) -> None:
        """Remember what this process has just committed, or read; nothing of runs that end."""
        streams = self._streams
        for one in [one for one in recorded if type(one.event) in _KEPT]:
            if _KEPT[type(one.event)]:
                events = streams.get(one.stream)
                if events is None:
                    events = streams[one.stream] = {}
                self._count += one.version not in events
                events[one.version] = one
            else:
                self._count -= len(streams.pop(one.stream, ()))
        while self._count > FACTS_MAX:
            _, events = streams.popitem(last=False)
            self._count -= len(events)

    def learn(self, recorded: Sequence[Recorded]) -> None:
        """Remember what somebody else has read, while there is room: it may be of no use here."""
        if self._count < LEARNED_MAX:
            self.push(recorded)

    def clear(self) -> None:
        """Forget everything: the log may not be what it was."""
        self._streams.clear()
        self._count = 0

    def known(self, jobs: Sequence[Job]) -> tuple[list[tuple[Job, Brief]], list[Job]]:
        """Return what each of ``jobs`` is about, and those of which something must be read."""
        found, rest = [], []
        for job in jobs:
            try:
                found.append((job, _brief(job, self._streams[job.stream])))
            except KeyError:
                rest.append(job)
        return found, rest

    async def briefs(self, jobs: Sequence[Job]) -> list[tuple[Job, Brief]]:
        """Return what each of ``jobs`` is about, with one read for all that is not known."""
        known: dict[int, Events] = {job.stream: {} for job in jobs}
        missing: set[tuple[int, int]] = set()
        for job in jobs:
            events = self._streams.get(job.stream, {})
            for at in _read(job.inputs).places:
                if at in events:
                    known[job.stream][at] = events[at]
                else:
                    missing.add((job.stream, at))
        if missing:
            rows = await self._log.read_versions(sorted(missing))
            read = decode_all(self._codec, rows)
            # Of a run that another process has started every job asks for the same start.
            self.push(read)
            for one in read:
                known[one.stream][one.version] = one
        return [(job, _brief(job, known[job.stream])) for job in jobs]


class _Read(NamedTuple):
    """The inputs of a job, read."""

    plan: list[Any] | None
    places: tuple[int, ...]
    """The versions of the events that it takes."""
    replaced_at: int | None


def _read(inputs: str | None) -> _Read:
    known = inputs is None or len(inputs) <= SHORT
    return _read_short(inputs) if known else _read_anew(inputs)


def _read_anew(inputs: str | None) -> _Read:
    plan = None if inputs is None else from_json(inputs)
    return _Read(plan, tuple({1: None, **dict.fromkeys(versions(plan))}), replaced_at(plan))


_read_short = lru_cache(maxsize=4096)(_read_anew)


def _brief(job: Job, known: Events) -> Brief:
    plan, places, replaced = _read(job.inputs)
    start, events = known[1], {}
    for version in places:
        events[version] = known[version].event
    if replaced is not None:
        start = amended(start, known[replaced])
    return Brief(start, plan, events)
