"""Everything but the log, made anew from the log: the proof that nothing else is needed.

The log is read once from its beginning, for names, definitions and which runs are open; then
each open run is folded and its rows are put back. What is in memory at a time is one page,
the definitions and one run. Attempts that were open are put back as leased by nobody: the
timekeeper records them as stalled, which is charged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from runfold.errors import LogUnreadable
from runfold.flow.decide import decide
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import ENDS, FlowDefined, FlowErased, FlowStart
from runfold.flow.run import Run, evolve, new
from runfold.flow.streams import name_of
from runfold.flow.work import Gate
from runfold.flow.working import Placed, Working, ended_rows
from runfold.kernel.event import Event, Recorded
from runfold.kernel.registry import UnknownEvent
from runfold.ports import Codec, Name, Rebuilding, Restored, RestoredRun, Store, Stored
from runfold.runtime.decisions import rows
from runfold.runtime.dispatcher import CURSOR
from runfold.runtime.erasure import is_finished, timer
from runfold.runtime.past import Prefix
from runfold.runtime.rebuild_counts import Counts
from runfold.runtime.rebuild_limits import WANTED, LimitsSaid
from runfold.runtime.tail import decode

PAGE = 2000
"""How many events of the log are read at a time."""
RUNS = 200
"""How many open runs are folded at a time."""
SHORT = 200
"""How many events of each of them the first read brings; more are read run by run."""

_LEARNED = WANTED | {FlowDefined.TOPIC}

Progress = Callable[[int, int], None]
"""Told how many events of how many have been read."""


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild has read and put back."""

    events: int = 0
    streams: int = 0
    runs: int = 0
    """Runs under way."""
    jobs: int = 0
    stalled: int = 0
    """Of the jobs: those whose attempt was open; it is charged."""
    timers: int = 0


async def rebuild(
    store: Store, codec: Codec, *, progress: Progress | None = None, now: datetime | None = None
) -> Rebuilt:
    """Replace every working table of the log by what its events say; return how much that was.

    One transaction: ended in the middle, it has changed nothing. Raises ``EngineRunning`` while
    a role runs anywhere, and ``LogUnreadable`` for an event that this release does not know.
    ``now`` comes only from tests: what time has opened by then stays open.
    """
    async with store.rebuild(now=now) as tables:
        work = _Rebuild(store, codec, tables, now or await store.now())
        await work.names(progress or _untold)
        await work.limits()
        await work.open_runs()
        return work.done


async def fill(tables: Rebuilding, store: Store, codec: Codec, *, head: int, now: datetime) -> None:
    """Fill ``tables`` with what was true when ``head`` was the last event, and it was ``now``."""
    past: Any = Prefix(store, head)
    work = _Rebuild(past, codec, tables, now)
    await work.names(_untold)
    await work.limits()
    await work.open_runs()


class _Folded(NamedTuple):
    run: Run
    working: Working


class _Rebuild:
    """One rebuild under way."""

    def __init__(self, store: Store, codec: Codec, tables: Rebuilding, now: datetime) -> None:
        self._store, self._codec, self._tables = store, codec, tables
        self._now, self._said = now, LimitsSaid(now)
        self._definitions: dict[str, FlowDefinition] = {}
        self._topics: set[str] = set()
        self._erasures: list[Recorded] = []
        """First events of the streams that say that a run is erased."""
        self._cursor = 0
        self.done = Rebuilt()

    async def names(self, progress: Progress) -> None:
        """Put back what every stream number stands for, and which runs are under way."""
        head = await self._store.head()
        while self.done.events < head:
            page = await self._store.read(after=self.done.events, limit=PAGE, upto=head)
            named: list[tuple[int, Name]] = []
            for stored in page:
                if stored.version == 1:
                    named.append((stored.stream, self._name(stored)))
                elif stored.topic not in self._topics or stored.topic in _LEARNED:
                    self._learn(self._recorded(stored))
            ends = [one for one in page if one.topic in ENDS]
            await self._tables.name(named, [one.stream for one in ends])
            await self._leaving(ends)
            self.done.events = page[-1].position
            self.done.streams += len(named)
            progress(self.done.events, head)
        await self._unfinished()

    async def limits(self) -> None:
        """Put back limits, what is closed, and the starts that rates count."""
        counts = Counts(
            self._store, self._said, self._now, self.done.events,
            decode=self._recorded, begin=self._definition,
        )  # fmt: skip
        await self._tables.limit(self._said.settings())
        await self._tables.limit(await counts.closures())
        async for starts in counts.starts():
            await self._tables.limit(starts)

    async def open_runs(self) -> None:
        """Put back gates, jobs and timers, and where the dispatcher has to look again."""
        self._cursor, after, is_more = self.done.events, 0, True
        while is_more:
            streams = await self._tables.open_runs(after=after, limit=RUNS)
            is_more = len(streams) == RUNS
            after = streams[-1] if streams else after
            begun: dict[int, _Folded] = {}
            for stored in await self._store.read_streams(streams, upto=SHORT):
                self._fold(begun, stored)
            await self._put([one for one in begun.values() if one.run.version < SHORT])
            for one in [one for one in begun.values() if one.run.version >= SHORT]:
                await self._read_on(begun, one.run)
                await self._put([begun.pop(one.run.stream)])
        await self._tables.save_cursor(CURSOR, self._cursor)

    async def _unfinished(self) -> None:
        """Put back the timers of erasures that were not finished."""
        for recorded in self._erasures:
            event = recorded.event
            assert isinstance(event, FlowErased)
            if not await is_finished(self._store, event):
                row = timer(recorded.ts)
                work = Restored(recorded.position, row, leased=False)
                await self._tables.put([RestoredRun(recorded.stream, int(Gate.OPEN), [work])])
                self.done.timers += 1

    async def _leaving(self, ends: Sequence[Stored]) -> None:
        """Put back when runs that have ended leave for the archive, if they are not there."""
        if not ends or not any(one for one in self._definitions.values() if _leaves(one)):
            return
        gone = await self._store.archived([one.stream for one in ends])
        kept = {one.stream: one for one in ends if one.stream not in gone}
        leaving: list[RestoredRun] = []
        for first in await self._store.read_versions([(stream, 1) for stream in kept]):
            definition = self._definition(first, self._recorded(first).event)
            placed = ended_rows(definition, self._recorded(kept[first.stream]))
            work = [_work(definition.name, one) for one in placed]
            if work:
                leaving.append(RestoredRun(first.stream, int(Gate.OPEN), work))
        self.done.timers += len(leaving)
        await self._tables.put(leaving)

    async def _read_on(self, begun: dict[int, _Folded], run: Run) -> None:
        """Fold the rest of a long run, page by page."""
        is_more = True
        while is_more:
            page = await self._store.read_stream(run.stream, after=run.version, limit=PAGE)
            is_more = len(page) == PAGE
            for stored in page:
                self._fold(begun, stored)

    def _fold(self, begun: dict[int, _Folded], stored: Stored) -> None:
        recorded = self._recorded(stored)
        if stored.stream not in begun:
            run = new(self._definition(stored, recorded.event))
            begun[stored.stream] = _Folded(run, Working())
        run, working = begun[stored.stream]
        evolve(run, recorded)
        working.see(recorded)

    async def _put(self, folded: Sequence[_Folded]) -> None:
        # What is undecided is decided by whoever reads the last event of the run again.
        undecided = [run.position - 1 for run, _ in folded if decide(run)]
        self._cursor = min([self._cursor, *undecided])
        await self._tables.put([self._restored(*one) for one in folded])

    def _definition(self, stored: Stored, start: Event) -> FlowDefinition:
        if not isinstance(start, FlowStart):
            raise LogUnreadable(stored.position, stored.topic, "no run begins with it")
        if start.definition not in self._definitions:
            raise LogUnreadable(
                stored.position,
                stored.topic,
                f"run {start.run_id} follows definition {start.definition} of flow "
                f"{start.flow!r}, which this log does not have",
            )
        return self._definitions[start.definition]

    def _restored(self, run: Run, working: Working) -> RestoredRun:
        placed = working.rows(run)
        jobs = [one for one in placed if one.row.kind is None]
        self.done.runs += 1
        self.done.jobs += len(jobs)
        self.done.stalled += sum(one.leased for one in jobs)
        self.done.timers += len(placed) - len(jobs)
        return RestoredRun(run.stream, int(run.gate), [_work(run.flow, one) for one in placed])

    def _name(self, stored: Stored) -> Name:
        recorded = self._recorded(stored)
        self._learn(recorded)
        try:
            return Name(*name_of(self._store.identity.log_id, recorded.event))
        except (LookupError, ValueError) as error:
            raise LogUnreadable(stored.position, stored.topic, error) from error

    def _learn(self, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, FlowErased):
            self._erasures.append(recorded)
        elif isinstance(event, FlowDefined):
            if event.hash not in self._definitions:
                self._definitions[event.hash] = FlowDefinition.model_validate(event.definition)
            self._said.serve(recorded, self._definitions[event.hash])
        else:
            self._said.see(recorded)

    def _recorded(self, stored: Stored) -> Recorded:
        self._topics.add(stored.topic)
        try:
            return decode(self._codec, stored)
        except (UnknownEvent, ValueError) as error:
            raise LogUnreadable(stored.position, stored.topic, error) from error


def _work(flow: str, placed: Placed) -> Restored:
    row = rows(flow, [placed.row])[0]
    return Restored(placed.id, row._replace(due_at=placed.due_at, delay=None), placed.leased)


def _leaves(definition: FlowDefinition) -> bool:
    return definition.keep is not None or definition.keep_failed is not None


def _untold(*_: Any) -> None:
    """Nobody wants to know how far it is."""
