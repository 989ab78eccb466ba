"""What limits count and close after a rebuild, from attempts that began or ended before.

What admitted an attempt stands in no event: its run, ended or not, is folded up to it. Only
attempts that matter now are looked at: started in the window of a rate, or told to slow down
until later than now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime

from runfold.flow.attempts import job
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import StepStarted
from runfold.flow.run import Run, evolve, new
from runfold.kernel.event import Event, Recorded
from runfold.ports import EventLog, RestoredLimits, Start, Stored
from runfold.runtime.past import position_at
from runfold.runtime.rebuild_limits import LimitsSaid, Place

PAGE = 2000
"""How many events are read at a time."""
RUNS_MAX = 500
"""How many folded runs are kept from one page of starts to the next."""

Decode = Callable[[Stored], Recorded]
Begin = Callable[[Stored, Event], FlowDefinition]
"""Answers which definition a run follows that begins so."""


class Counts:
    """Reads what counts, with the settings of ``said`` and up to ``head``."""

    def __init__(
        self, log: EventLog, said: LimitsSaid, now: datetime, head: int,
        *, decode: Decode, begin: Begin,
    ) -> None:  # fmt: skip
        self._log, self._said, self._now, self._head = log, said, now, head
        self._decode, self._begin = decode, begin
        self._rates = said.rates()
        self._runs: dict[int, Run] = {}

    async def closures(self) -> RestoredLimits:
        """Return what is closed because somebody was told to slow down."""
        self._runs.clear()
        return RestoredLimits(closures=self._said.closures(await self._buckets(self._said.held)))

    async def starts(self) -> AsyncIterator[RestoredLimits]:
        """Yield the starts that rates count, page by page in order of position."""
        if not self._rates:
            return
        self._runs.clear()
        window = max(rate.per for rate in self._rates.values())
        folds = any(rate.by_lane for rate in self._rates.values())
        after = await position_at(self._log, self._now - window, self._head)
        while after < self._head:
            page = await self._log.read(after=after, limit=PAGE, upto=self._head)
            after = page[-1].position
            started = [
                stored
                for stored in page
                if stored.topic == StepStarted.TOPIC
                and not self._said.is_copy(stored.stream, stored.version)
            ]
            places = [Place(one.stream, one.version) for one in started] if folds else []
            lanes = await self._buckets(places)
            yield RestoredLimits(
                starts=[start for one in started for start in self._counted(one, lanes)]
            )

    def _counted(self, started: Stored, lanes: dict[Place, tuple[str, ...]]) -> Iterator[Start]:
        event = self._decode(started).event
        assert isinstance(event, StepStarted)
        lane = lanes.get(Place(started.stream, started.version), ())
        for bucket in (*lane, *self._said.wholes(event.queue)):
            rate = self._rates.get(bucket.partition("=")[0])
            if rate is None or started.ts <= self._now - rate.per:
                continue
            if rate.counts(started.position):
                yield Start(bucket, started.ts, started.position)

    async def _buckets(self, places: Iterable[Place]) -> dict[Place, tuple[str, ...]]:
        """Return the lane of the attempt to which the event at each place belongs."""
        if len(self._runs) > RUNS_MAX:
            self._runs.clear()
        versions: dict[int, set[int]] = defaultdict(set)
        for place in places:
            versions[place.stream].add(place.version)
        found: dict[Place, tuple[str, ...]] = {}
        for stream, wanted in versions.items():
            async for recorded in self._folded(stream, max(wanted)):
                if recorded.version in wanted:
                    lane = _lane(self._runs[stream], recorded)
                    found[Place(stream, recorded.version)] = lane
        return found

    async def _folded(self, stream: int, upto: int) -> AsyncIterator[Recorded]:
        """Fold the run further, up to that version; yield each event after it was folded."""
        run, version = self._runs.get(stream), 0
        if run is not None:
            version = run.version
        while version < upto:
            page = await self._log.read_stream(stream, after=version, limit=PAGE, upto=upto)
            for stored in page:
                recorded = self._decode(stored)
                if run is None:
                    run = self._runs[stream] = new(self._begin(stored, recorded.event))
                evolve(run, recorded)
                yield recorded
            version = page[-1].version


def _lane(run: Run, recorded: Recorded) -> tuple[str, ...]:
    step, activation = recorded.step, recorded.activation
    if step is None or activation is None or (act := run.open.get((step, activation))) is None:
        return ()
    if run.erased:
        return ()  # The values of its keys are gone: it counts for nobody.
    row = job(run, act.node, 0, step, activation, act.attempt, plan=act.plan, keys=act.keys)
    return row.limits
