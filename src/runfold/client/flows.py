"""``rf.flows``: the flows and jobs that were ever served in a log, and their graphs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from runfold.client.filters import Filter, refused
from runfold.client.flow_graph import FlowGraph
from runfold.client.projections import Projections
from runfold.client.session import Session
from runfold.errors import UnknownTarget
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowDefined
from runfold.ports_views import ViewQuery, Views, ViewTable
from runfold.projections.views import DEFINITIONS, FLOW_RATES
from runfold.projections.views.definitions import DefinitionRow
from runfold.projections.views.rates import TOTAL, FlowRate, percentile

ROWS = 500
"""How many definitions are read at once."""
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
        self._known: dict[str, FlowInfo] = {}
        """By hash: a definition says the same for ever."""

    async def list(self) -> list[FlowInfo]:
        """Return what was ever served, by name, each as it was served last.

        Out of a view; where nobody keeps it, out of the log, which is read whole for it.
        """
        table = await self._projections.caught_up(DEFINITIONS)
        if table is None:
            return [*await self._logged()]
        last: dict[str, DefinitionRow] = {}
        async for row in _rows(self._projections.store, table):
            last[row.flow] = row  # Those of a flow in the order in which they were served.
        return [await self._info(last[name]) for name in sorted(last)]

    async def _logged(self) -> Sequence[FlowInfo]:
        wanted, found = Filter(frozenset({FlowDefined.TOPIC})), dict[str, FlowInfo]()
        events = self._session.engine.following.log(wanted, after=0, follow=False)
        async with aclosing(events):
            async for event in events:
                if event is not None:
                    definition = FlowDefinition.model_validate(event.data["definition"])
                    info = _info(definition, event.data["hash"], event.ts)
                    found[info.name] = info
        return [found[name] for name in sorted(found)]

    async def _info(self, row: DefinitionRow) -> FlowInfo:
        known = self._known.get(row.hash)
        if known is None:
            definition = await self._session.node.definitions.get(row.flow, row.hash)
            assert definition is not None
            known = self._known[row.hash] = _info(definition, row.hash, row.defined_at)
        return replace(known, defined_at=row.defined_at)

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

        It comes from a view, which is waited for until it has what was recorded at the call, for
        a second at most. Costs the same whatever the number of runs. Raises ``ViewNotReady``
        where no process keeps views.
        """
        name = self._session.catalog.name_of(flow)
        if type(minutes) is not int or not 1 <= minutes <= WEEK:
            raise refused("minutes", f"minutes is {minutes!r}, expected 1 to {WEEK}")
        table = await self._projections.freshest(FLOW_RATES)
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


async def _rows(store: Views, table: ViewTable) -> AsyncIterator[DefinitionRow]:
    """Yield all definitions, by flow and position."""
    page = ViewQuery(order=("flow", "position", "hash"), limit=ROWS)
    rows = await store.query(table, page)
    while rows:
        for row in map(DEFINITIONS.rows.thaw, rows):
            yield row
        after = (row.flow, row.position, row.hash)
        rows = await store.query(table, page._replace(after=after)) if len(rows) == ROWS else []


def _info(definition: FlowDefinition, hash: str, defined_at: datetime) -> FlowInfo:
    entry = definition.entry
    is_job = definition.name == f"{entry.queue}/{entry.name}"
    return FlowInfo(
        definition.name, "job" if is_job else "flow", hash, entry.name,
        len(definition.steps), sorted({step.queue for step in definition.steps}), defined_at,
    )  # fmt: skip
