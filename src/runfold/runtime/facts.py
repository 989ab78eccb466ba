"""What a worker needs of a run's history, from memory where this process recorded it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import from_json

from runfold.flow.events import (
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
from runfold.runtime.tail import decode

FACTS_MAX = 50_000
"""How many events are remembered; the oldest go first and are read again."""

SHORT = 200
"""Up to how many characters the inputs of a job are remembered, as they were read."""

_KEPT = frozenset((Emit, FlowInputReplaced, FlowStart, StepCompleted, StepFailed))


class Brief(NamedTuple):
    """What one job is about."""

    start: Recorded
    """With what has replaced its input."""
    plan: list[Any] | None
    events: dict[int, Event]


class Facts:
    """Events of open runs by stream and version."""

    def __init__(self, log: EventLog, codec: Codec) -> None:
        self._log, self._codec = log, codec
        self._facts: OrderedDict[tuple[int, int], Recorded] = OrderedDict()

    def push(self, recorded: Sequence[Recorded]) -> None:
        """Remember what this process has just committed, or read."""
        facts = self._facts
        for one in recorded:
            if type(one.event) in _KEPT:
                facts[one.stream, one.version] = one
        while len(facts) > FACTS_MAX:
            facts.popitem(last=False)

    def clear(self) -> None:
        """Forget everything: the log may not be what it was."""
        self._facts.clear()

    def known(self, jobs: Sequence[Job]) -> tuple[list[tuple[Job, Brief]], list[Job]]:
        """Return what each of ``jobs`` is about, and those of which something must be read."""
        found, rest = [], []
        for job in jobs:
            try:
                found.append((job, _brief(job, self._facts)))
            except KeyError:
                rest.append(job)
        return found, rest

    async def briefs(self, jobs: Sequence[Job]) -> list[tuple[Job, Brief]]:
        """Return what each of ``jobs`` is about, with one read for all that is not known."""
        wanted = {(job.stream, at) for job in jobs for at in _read(job.inputs).places}
        facts = await self._fetch(wanted)
        return [(job, _brief(job, facts)) for job in jobs]

    async def _fetch(self, wanted: Set[tuple[int, int]]) -> dict[tuple[int, int], Recorded]:
        found = {place: self._facts[place] for place in wanted & self._facts.keys()}
        missing = sorted(wanted - found.keys())
        if missing:
            read = [decode(self._codec, row) for row in await self._log.read_versions(missing)]
            # Of a run that another process has started every job asks for the same start.
            self.push(read)
            found.update({(one.stream, one.version): one for one in read})
        return found


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


def _brief(job: Job, facts: Mapping[tuple[int, int], Recorded]) -> Brief:
    stream = job.stream
    plan, places, replaced = _read(job.inputs)
    events = {version: facts[stream, version].event for version in places}
    start = facts[stream, 1]
    if replaced is not None:
        start = amended(start, facts[stream, replaced])
    return Brief(start, plan, events)
