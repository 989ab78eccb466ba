"""Runs out of the view that is kept of them: any page of millions in a few questions.

The view is waited for until it has what was recorded at the call, so a listing is as right as
one that folds. Where nobody keeps the view, or it has stopped, the log itself is asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial

from runfold.client.finder import Finder
from runfold.client.places import HIGHEST, Place, between
from runfold.client.projections import Projections
from runfold.client.run_query import STATUSES, RunQuery
from runfold.client.session import Session
from runfold.flow.definition import FlowDefinition, RetryPolicy
from runfold.flow.events import FlowCompleted, FlowFailed, FlowStart
from runfold.flow.start import amended
from runfold.kernel.event import Recorded
from runfold.kernel.ids import text
from runfold.ports import Name
from runfold.ports_views import ViewQuery, ViewTable
from runfold.projections.views import RUNS
from runfold.projections.views.runs import RunRow, tags_of
from runfold.runtime.tail import decode
from runfold.wire import RunState, deadline_of, error_state

ROWS = 200
"""How many rows are read at once."""


class RunRows:
    """Answers queries about the runs of one log."""

    def __init__(self, session: Session, projections: Projections, finder: Finder) -> None:
        self._session, self._projections, self._finder = session, projections, finder

    async def states(
        self, query: RunQuery, *, before: int | None = None, limit: int = ROWS
    ) -> AsyncIterator[tuple[int, RunState]]:
        """Yield the wanted runs below stream ``before``, newest first, with their streams.

        ``limit``: how many are probably looked at; more are read as they are asked for.
        """
        table = await self._table()
        if table is None:
            async for found in self._finder.states(query, before=before):
                yield found
            return
        low, high = await self._bounds(table, query)
        high = min(high, before or HIGHEST)
        is_more = True
        while is_more:
            rows = await self._rows(table, query, low, high, limit)
            is_more, limit = len(rows) >= limit, ROWS
            high = rows[-1].stream if rows else high
            fitting = [row for row in rows if _takes(query, row)]
            for row, state in zip(fitting, await self._shown(fitting), strict=True):
                yield row.stream, state

    async def count(self, query: RunQuery) -> int:
        """Return how many runs are wanted."""
        table = await self._table()
        if table is None:
            return await self._finder.count(query)
        if len(query.tags) > 1 or any(begun is not None for _, begun in query.wanted):
            found = 0
            async for _ in self.states(query):
                found += 1
            return found
        return await self.count_in(table, query)

    async def count_in(self, table: ViewTable, query: RunQuery) -> int:
        """Return how many rows of the view are wanted.

        By flow, queue and status from the counts, for any number of runs at the same cost; by
        tag and time the entries of an index are counted.
        """
        views = self._projections.store
        if not query.tags and query.since is None and query.until is None:
            known = ("flow", query.flow), ("queue", query.queue)
            equal = [(name, value) for name, value in known if value is not None]
            statuses = {status for status, _ in query.wanted}
            counts = await views.counts(table, equal)
            return sum(n for (*_, one), n in counts.items() if not statuses or one in statuses)
        return await views.count(table, _question(query, *await self._bounds(table, query)))

    async def _table(self) -> ViewTable | None:
        """Return the table, once it has everything recorded so far; None where nobody keeps it."""
        return await self._projections.caught_up(RUNS)

    async def _bounds(self, table: ViewTable, query: RunQuery) -> tuple[int, int]:
        """Return the streams (from, below) between which runs were created in time."""

        async def look(stream: int, order: str) -> Place | None:
            asked = ViewQuery((("tag", ""),), (("stream", ">=", stream),), (order,), limit=1)
            found = await self._projections.store.query(table, asked)
            rows = [RUNS.rows.thaw(values) for values in found]
            return Place(rows[0].stream, rows[0].created_at) if rows else None

        return await between(partial(look, order="stream"), partial(look, order="-stream"),
                             query.since, query.until)  # fmt: skip

    async def _rows(
        self, table: ViewTable, query: RunQuery, low: int, high: int, limit: int
    ) -> list[RunRow]:
        """Return the newest rows in (low, high)."""
        asked = _question(query, low, high)._replace(order=("-stream",), limit=limit)
        return [*map(RUNS.rows.thaw, await self._projections.store.query(table, asked))]

    async def _shown(self, rows: Sequence[RunRow]) -> list[RunState]:
        """Return rows as states: inputs and results stand in the log."""
        node = self._session.node
        streams = [row.stream for row in rows]
        names = await node.store.names(streams)
        wanted = {place for row in rows for place in _places(row)}
        found = {
            (stored.stream, stored.version): decode(node.codec, stored)
            for stored in await node.store.read_versions(sorted(wanted))
        }
        states = []
        for row in rows:
            start = found[row.stream, 1].event
            assert isinstance(start, FlowStart)
            if row.input_version > 1:
                start = amended(found[row.stream, 1], found[row.stream, row.input_version]).event
                assert isinstance(start, FlowStart)
            definition = await node.definitions.get(start.flow, start.definition)
            last = found[row.stream, row.version]
            states.append(_state(row, names[row.stream], start, last, definition))
        return states


def _places(row: RunRow) -> tuple[tuple[int, int], ...]:
    return (row.stream, 1), (row.stream, row.input_version), (row.stream, row.version)


def _state(
    row: RunRow,
    name: Name,
    start: FlowStart,
    last: Recorded,
    definition: FlowDefinition | None,
) -> RunState:
    """Return a row, with what its start and its last event say, as a run without its steps."""
    policy = start.retry or {}
    entry = None if definition is None else definition.entry
    attempts = RetryPolicy().max_attempts if entry is None else entry.retry.max_attempts
    of_flow = None if definition is None else definition.deadline
    end = last.event
    return RunState(
        id=text(name.id),
        name=row.flow,
        status=row.status,
        input=start.input,
        result=end.result if isinstance(end, FlowCompleted) else None,
        error=error_state(end.error) if isinstance(end, FlowFailed) else None,
        steps=[],
        data={},
        progress=row.progress,
        attempt=row.attempt,
        max_attempts=policy.get("max_attempts", attempts),
        priority=start.priority or (entry.priority if entry is not None else None) or row.priority,
        queue=row.queue,
        tags=tags_of(row),
        key=start.key,
        parent=start.parent_run_id,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        due_at=row.due_at,
        deadline=deadline_of(start.deadline, of_flow, row.due_at or row.created_at),
        version=row.version,
        position=last.position,
    )


def _question(query: RunQuery, low: int, high: int) -> ViewQuery:
    """Return what is asked of the view: one range of an index, or one for each status."""
    given = {"tag": min(query.tags, default=""), "flow": query.flow, "queue": query.queue}
    equal = tuple((name, value) for name, value in given.items() if value is not None)
    statuses = {status for status, _ in query.wanted}
    if not statuses and (query.flow or query.queue):
        statuses = set(STATUSES)  # No index has the runs of a flow or queue in the order of time.
    either = tuple((("status", status),) for status in sorted(statuses))
    if len(either) == 1:
        equal, either = equal + either[0], ()
    return ViewQuery(equal, (("stream", ">=", low), ("stream", "<", high)), either=either)


def _takes(query: RunQuery, row: RunRow) -> bool:
    has_status = not query.wanted or any(
        status == row.status and begun in (None, row.started_at is not None)
        for status, begun in query.wanted
    )
    return has_status and (len(query.tags) < 2 or query.tags <= set(tags_of(row)))
