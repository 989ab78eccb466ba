"""``rf.flows``: the flows and jobs that were ever served in a log, and their graphs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runfold.client.filters import Filter, refused
from runfold.client.flow_graph import FlowGraph
from runfold.client.projections import Projections
from runfold.client.session import Session
from runfold.errors import UnknownTarget
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowDefined
from runfold.ports_views import ViewQuery
from runfold.projections.views import FLOW_RATES
from runfold.projections.views.rates import TOTAL, FlowRate, percentile
from runfold.wire import LogEvent

WEEK = 7 * 24 * 60
"""Minutes that ``stats`` looks back at most."""


@dataclass(frozen=True, slots=True)
class FlowInfo:
    """A flow or job as it was served last. ``kind``: ``flow`` or ``job``."""

    name: str
    kind: str
    hash: str
    """The identity of its definition."""
    entry: str
    steps: int
    queues: list[str]
    """Where its steps wait."""
    defined_at: datetime


@dataclass(frozen=True, slots=True)
class FlowStats:
    """What runs of a flow did: ever, and lately."""

    started: int
    completed: int
    failed: int
    cancelled: int
    lately: FlowCounts
    """In the minutes that were asked for."""

    @property
    def open(self) -> int:
        """How many have not ended."""
        return self.started - self.completed - self.failed - self.cancelled


@dataclass(frozen=True, slots=True)
class FlowCounts:
    """Some minutes of a flow; percentiles in ms, at most 19 % too high, None without an end."""

    started: int
    completed: int
    failed: int
    cancelled: int
    p50: float | None
    p95: float | None
    p99: float | None


class Flows:
    """``rf.flows``."""

    def __init__(self, session: Session, projections: Projections) -> None:
        self._session, self._projections = session, projections
        self._found: dict[str, FlowInfo] = {}
        self._upto = 0

    async def list(self) -> list[FlowInfo]:
        """Return what was ever served, by name, each as it was served last.

        The first call reads the log for it, later ones what has come since.
        """
        engine = self._session.engine
        head = await engine.node.store.head()
        if head < self._upto:  # The log is not what it was.
            self._found, self._upto = {}, 0
        wanted = Filter(frozenset({FlowDefined.TOPIC}))
        found = engine.following.log(wanted, after=self._upto, follow=False)
        async with aclosing(found):
            async for event in found:
                if event is not None:
                    self._found[event.data["name"]] = _info(event)
        self._upto = head
        return [self._found[name] for name in sorted(self._found)]

    async def graph(self, flow: Any) -> FlowGraph:
        """Return the graph of a flow or job as it was served last; raises ``UnknownTarget``."""
        name = self._session.catalog.name_of(flow)
        definition = await self._session.node.definitions.last(name)
        if definition is None:
            raise UnknownTarget(
                f"no flow or job called {name!r} was ever served here", details={"target": name}
            )
        return FlowGraph.of(definition)

    async def stats(self, flow: Any, *, minutes: int = 60) -> FlowStats:
        """Return what its runs did, ever and in the last ``minutes`` (1 to 10,080: a week).

        It comes from a view: as old as that is, within a second. Costs the same whatever the
        number of runs. Raises ``ViewNotReady`` where no process keeps views.
        """
        name = self._session.catalog.name_of(flow)
        if type(minutes) is not int or not 1 <= minutes <= WEEK:
            raise refused("minutes", f"minutes is {minutes!r}, expected 1 to {WEEK}")
        table = await self._projections.table(FLOW_RATES)
        now = await self._session.engine.now()
        since = now.replace(second=0, microsecond=0) - timedelta(minutes=minutes - 1)
        store, thaw = self._projections.store, FLOW_RATES.rows.thaw
        of_flow = (("flow", name),)
        asked = ViewQuery(of_flow, (("minute", ">=", since),), ("minute",), limit=minutes + 1)
        rates = [thaw(row) for row in await store.query(table, asked)]
        found = await store.get(table, [(name, TOTAL)])
        total = next((thaw(row) for row in found.values()), FlowRate(name, TOTAL))
        counts = (total.started, total.completed, total.failed, total.cancelled)
        return FlowStats(*counts, lately=_counts(rates))


def _counts(rates: Sequence[FlowRate]) -> FlowCounts:
    durations = [rate.durations for rate in rates]
    return FlowCounts(
        sum(rate.started for rate in rates),
        sum(rate.completed for rate in rates),
        sum(rate.failed for rate in rates),
        sum(rate.cancelled for rate in rates),
        *(percentile(durations, share) for share in (0.5, 0.95, 0.99)),
    )


def _info(event: LogEvent) -> FlowInfo:
    definition = FlowDefinition.model_validate(event.data["definition"])
    entry = definition.entry
    is_job = definition.name == f"{entry.queue}/{entry.name}"
    return FlowInfo(
        definition.name, "job" if is_job else "flow", event.data["hash"], entry.name,
        len(definition.steps), sorted({step.queue for step in definition.steps}), event.ts,
    )  # fmt: skip
