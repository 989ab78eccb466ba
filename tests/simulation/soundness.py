"""What must be true of a whole log and of all that is made of it, at any moment of a play.

Limits, pauses and ends are judged by the events alone, in order of position; the working tables
by a second log in memory that is rebuilt from the same events; memory by a fresh fold.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from runfold.flow import events as ev
from runfold.flow.attempts import holds
from runfold.flow.run import evolve, new
from runfold.kernel.event import Recorded
from runfold.runtime.rebuild import rebuild
from runfold.runtime.tail import decode
from runfold.store.codec import JsonCodec
from runfold.store.memory import MemoryStore
from runfold.store.memory_log import Database, Log
from runfold.testing import Simulation
from runtime.tables import tables_of

CODEC = JsonCodec()
ENDED = ev.StepCompleted | ev.StepErrored | ev.StepStalled | ev.StepReleased | ev.StepCancelled


def unsound(sim: Simulation) -> list[str]:
    """Return what is wrong in the world of ``sim`` as it is now."""
    log = sim._view.log
    history = [decode(CODEC, stored) for stored in log.events]
    judge = Judge()
    for recorded in history:
        judge.see(recorded)
    return [*judge.found, *_left_behind(log), *_memory(sim, history), *_rebuilt(sim)]


class Judge:
    """Reads the log in order of position and objects."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._versions: Counter[int] = Counter()
        self._copied: Counter[int] = Counter()
        self._begun: dict[int, datetime] = {}
        """When runs were forked: what was under way in their origin is given back then."""
        self._ended: set[int] = set()
        self._scheduled: set[Any] = set()
        self._attempts: Counter[Any] = Counter()
        self._leased: dict[Any, tuple[str, str | None]] = {}
        """By stream, step and activation: the queue, and the key of a job's input."""
        self._keys: dict[int, str | None] = {}
        self._limits: dict[str, tuple[Any, ...]] = {}
        self._starts: dict[Any, list[datetime]] = defaultdict(list)
        self._closed: dict[Any, datetime | None] = {}
        self._ts: datetime | None = None

    def see(self, recorded: Recorded) -> None:
        """Judge one event."""
        event, stream = recorded.event, recorded.stream
        self._versions[stream] += 1
        if recorded.version != self._versions[stream]:
            self._object(recorded, "its version is not the next")
        if stream in self._ended and event.TOPIC != "record":
            self._object(recorded, "it follows an end")
        if self._ts is not None and recorded.ts < self._ts:
            self._object(recorded, "time goes back")
        self._ts = recorded.ts
        if isinstance(event, ev.FlowStart) and event.origin is not None:
            self._copied[stream] = event.origin["copied"]
            self._begun[stream] = recorded.ts
        place = (stream, recorded.step, recorded.activation)
        if recorded.version <= self._copied[stream] and not isinstance(event, ev.FlowStart):
            self._scheduled.add(place)
            return  # It happened in another run.
        match event:
            case ev.FlowStart():
                given = event.input if isinstance(event.input, dict) else {}
                self._keys[stream] = str(given.get("key")) if "/" in event.flow else None
            case ev.StepScheduled():
                if place in self._scheduled:
                    self._object(recorded, "it was scheduled before")
                self._scheduled.add(place)
            case ev.StepStarted():
                self._started(recorded, event, place)
            case ev.QueueDefined() | ev.QueueLimited():
                if self._limits.get(event.queue) != event.limits:
                    self._starts.clear()
                    self._closed.clear()
                self._limits[event.queue] = event.limits
            case ev.QueuePaused():
                self._closed[event.queue, event.key] = event.until
            case ev.QueueResumed():
                self._closed.pop((event.queue, event.key), None)
        if isinstance(event, ENDED):
            self._answered(recorded, place)
        elif event.TOPIC in ev.ENDS:
            self._ended.add(stream)
            for held in [held for held in self._leased if held[0] == stream]:
                del self._leased[held]

    def _started(self, recorded: Recorded, event: ev.StepStarted, place: Any) -> None:
        self._attempts[*place, recorded.attempt] += 1
        if self._attempts[*place, recorded.attempt] > 1:
            self._object(recorded, "this attempt began before")
        if place in self._leased:
            self._object(recorded, "an attempt of it is under way")
        key = self._keys.get(recorded.stream)
        for index, limit in enumerate(self._limits.get(event.queue, ())):
            if limit.key is not None and key is None:
                continue
            bucket = (event.queue, index, key if limit.key is not None else None)
            if limit.kind == "concurrency":
                held = self._held(event.queue, bucket[2])
                if held >= limit.max:
                    self._object(recorded, f"{held} are under way, {limit} admits no more")
            else:
                after = recorded.ts - timedelta(seconds=limit.per)
                counted = [at for at in self._starts[bucket] if at > after]
                if len(counted) >= limit.max:
                    self._object(recorded, f"{len(counted)} began lately, {limit} admits no more")
                self._starts[bucket] = [*counted, recorded.ts]
            self._check_open(recorded, bucket)
        self._check_open(recorded, (event.queue, None))
        if any(limit.key is not None for limit in self._limits.get(event.queue, ())):
            self._check_open(recorded, (event.queue, key))
        self._leased[place] = event.queue, key

    def _held(self, queue: str, key: str | None) -> int:
        return sum(1 for where, of in self._leased.values() if where == queue and key in (None, of))

    def _check_open(self, recorded: Recorded, bucket: Any) -> None:
        if bucket in self._closed:
            until = self._closed[bucket]
            if until is None or until > recorded.ts:
                self._object(recorded, f"{bucket} is closed until {until}")

    def _answered(self, recorded: Recorded, place: Any) -> None:
        event = recorded.event
        held = self._leased.pop(place, None)
        is_given_back = recorded.ts == self._begun.get(recorded.stream)
        if held is None and not isinstance(event, ev.StepCancelled) and not is_given_back:
            self._object(recorded, "no attempt of it is under way")
        if isinstance(event, ev.StepReleased) or getattr(event, "charged", True) is False:
            self._attempts[*place, recorded.attempt] -= 1
        until = holds(event) if isinstance(event, ev.StepErrored) else None
        if held is None or until is None:
            return
        queue = held[0]
        at = until if isinstance(until, datetime) else recorded.ts + timedelta(seconds=until)
        for index, limit in enumerate(self._limits.get(queue, ())):
            if limit.key is None:
                before = self._closed.get((queue, index, None)) or at
                self._closed[queue, index, None] = max(at, before)

    def _object(self, recorded: Recorded, what: str) -> None:
        event = f"{recorded.event.TOPIC} {recorded.step} {recorded.activation} {recorded.attempt}"
        where = f"{recorded.position} (stream {recorded.stream}, version {recorded.version})"
        self.found.append(f"{where} {event}: {what}")


def _left_behind(log: Log) -> list[str]:
    """Return the rows of runs that have ended, but for the timer of their archive."""
    works = [*log.jobs.values(), *log.timers.values()]
    return [
        f"{work.row.kind or 'job'} {work.id} of stream {work.stream}, which has ended"
        for work in works
        if log.streams[work.stream].ended and work.row.kind != "archive"
    ]


def _memory(sim: Simulation, history: list[Recorded]) -> list[str]:
    """Return the runs that a dispatcher remembers otherwise than the log has them."""
    found, by_stream = [], defaultdict(list)
    for recorded in history:
        by_stream[recorded.stream].append(recorded)
    for process in sim._processes:
        dispatcher = process.node.dispatcher if process.node is not None else None
        if dispatcher is None or not process.is_leading or not process.has_written:
            continue
        for stream, run in dispatcher._runs._runs.items():
            fresh = new(run.definition)
            fresh.chain = None
            for recorded in by_stream[stream][: run.version]:
                evolve(fresh, recorded)
            found += [
                f"{process.name} remembers stream {stream} otherwise: {what}"
                for what in _differences("", said(run), said(fresh))
            ]
    return found


def _differences(path: str, ours: Any, theirs: Any) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = sorted(ours.keys() | theirs.keys())
        pairs = [(name, ours.get(name), theirs.get(name)) for name in names]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(str(place), *both) for place, both in enumerate(zip(ours, theirs, strict=True))]
    else:
        return [] if ours == theirs else [f"{path} is {ours}, the log says {theirs}"]
    return [what for name, *both in pairs for what in _differences(f"{path}.{name}", *both)]


def said(value: Any) -> Any:
    """Return ``value`` as plain data that can be compared; definitions aside."""
    if isinstance(value, dict):
        return {repr(key): said(inner) for key, inner in value.items() if inner not in ([], {})}
    if isinstance(value, list | tuple):
        return [said(inner) for inner in value]
    if isinstance(value, BaseModel):
        return said(value.model_dump())
    if isinstance(value, datetime):
        return None  # What is folded ahead of its commit has the moment at which that was asked.
    slots = getattr(type(value), "__slots__", ())
    if slots and type(value).__module__.startswith("runfold."):
        # What was folded ahead of its commit knows no position yet, and nobody asks it for one.
        skipped = {"chain", "definition", "graph", "node", "owned", "plan", "position"}
        return {name: said(getattr(value, name, None)) for name in slots if name not in skipped}
    return repr(value)


def _rebuilt(sim: Simulation) -> list[str]:
    """Return how the working tables differ from those that the log alone gives."""
    ours, now = sim._view.log, sim._view._moment()
    database = Database()
    database.logs["default"] = theirs = Log(ours.identity, events=list(ours.events))
    theirs.archived = set(ours.archived)
    for number, stream in ours.streams.items():
        theirs.streams[number] = type(stream)(b"", None, positions=list(stream.positions))
    copy = MemoryStore(database=database)
    asyncio.run(rebuild(copy, CODEC, now=now))
    mine = tables_of(MemoryStore(database=sim._database))
    found = []
    for name, rows in tables_of(copy).rows().items():
        expected, there = rows, mine.rows()[name]
        found += [f"{name} lacks {row}" for row in sorted(map(str, expected - there))]
        found += [f"{name} has {row}" for row in sorted(map(str, there - expected))]
    identity, (a, b) = ours.identity.log_id, (mine, tables_of(copy))
    for name, kept in a.limits(identity, now).items():
        expected_limits = b.limits(identity, now)[name]
        if kept != expected_limits:
            found.append(f"{name} of limits are {kept}, the log says {expected_limits}")
    return found
