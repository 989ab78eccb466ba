"""``rf.logs``: what handlers logged, by flow, run, step, level and time, page by page.

The view says where lines are; their text is read from the log of events. Every question is
one range of an index, or one for each level.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from runfold.client.filters import checked_moment, checked_name, refused
from runfold.client.handle import Handle
from runfold.client.places import Place, between
from runfold.client.projections import Projections
from runfold.client.run_query import checked_cursor, checked_limit
from runfold.client.session import Session
from runfold.errors import RunNotFound
from runfold.flow.events import Log
from runfold.kernel.ids import parsed, text
from runfold.ports_views import ViewQuery, ViewTable
from runfold.projections.views import LOGS
from runfold.projections.views.logs import LEVELS, LogRow
from runfold.runtime.tail import decode

ORDERS = ("newest", "oldest")


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a handler logged."""

    id: int
    """The position of its event."""
    ts: datetime
    level: str
    """``debug``, ``info``, ``warning`` or ``error``."""
    message: str
    meta: dict[str, Any]
    run_id: str
    flow_name: str
    step_name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class LogPage:
    """One page of lines; ``next`` is the cursor of the page behind it, None at the end."""

    items: list[LogLine]
    next: str | None


class Logs:
    """``rf.logs``."""

    def __init__(self, session: Session, projections: Projections) -> None:
        self._session, self._projections = session, projections

    async def list(
        self,
        of: Any = None,
        *,
        run: Any = None,
        step: str | None = None,
        level: str | Sequence[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: str = "newest",
        limit: int = 50,
        cursor: str | None = None,
    ) -> LogPage:
        """Return a page of lines, newest first.

        ``of``: of runs of one flow or job. ``run``: of one run, or its id. ``step``: of one step
        of these. ``level``: one or several of ``debug info warning error``. ``since``,
        ``until``: logged at or after, and before, a moment (aware). ``order``: or ``oldest``
        first. ``limit``: 1 to 1000. ``cursor``: the ``next`` of the page before.

        The view is waited for until it has what was recorded at the call, for a second at most;
        ``rf.projections.wait("logs", position)`` waits for as long as it takes. Raises
        ``InvalidInput``, ``RunNotFound``, and ``ViewNotReady`` where no process keeps views.
        """
        if order not in ORDERS:
            raise refused("order", f"order is {order!r}, expected one of {ORDERS!r}")
        equal = await self._equal(of, run, checked_name("step", step))
        levels, most, before = _levels(level), checked_limit(limit), checked_cursor(cursor)
        since, until = checked_moment("since", since), checked_moment("until", until)
        table = await self._projections.freshest(LOGS)
        low, high = await self._bounds(table, since, until)
        if before is not None and order == "newest":
            high = min(high, before)
        elif before is not None:
            low = max(low, before + 1)
        asked = ViewQuery(
            equal,
            (("position", ">=", low), ("position", "<", high)),
            ("-position" if order == "newest" else "position",),
            limit=most + 1,
            either=tuple((("level", one),) for one in levels or LEVELS if levels or equal),
        )
        found = [*map(LOGS.rows.thaw, await self._projections.store.query(table, asked))]
        is_more, rows = len(found) > most, found[:most]
        return LogPage([*await self._shown(rows)], str(rows[-1].position) if is_more else None)

    async def _equal(self, of: Any, run: Any, step: str | None) -> tuple[tuple[str, Any], ...]:
        """Return what must be equal; raise ``InvalidInput`` or ``RunNotFound``."""
        flow = None if of is None else self._session.catalog.name_of(of)
        if step is not None and flow is None and run is None:
            raise refused("step", f"step is {step!r}, which is one of a flow: say which, with of=")
        stream = None if run is None else await self._stream(run)
        given = {"stream": stream, "flow": flow, "step": step}
        return tuple((name, value) for name, value in given.items() if value is not None)

    async def _stream(self, run: Any) -> int:
        id = run.id if isinstance(run, Handle) else run
        try:
            number = await self._session.engine.number(parsed(str(id)))
        except ValueError:
            number = None
        if not number:
            raise RunNotFound(f"there is no run {id!r} in namespace {self._session.namespace!r}")
        return number

    async def _bounds(
        self, table: ViewTable, since: datetime | None, until: datetime | None
    ) -> tuple[int, int]:
        async def look(position: int, order: str) -> Place | None:
            asked = ViewQuery((), (("position", ">=", position),), (order,), limit=1)
            rows = [*map(LOGS.rows.thaw, await self._projections.store.query(table, asked))]
            return Place(rows[0].position, rows[0].ts) if rows else None

        first, last = partial(look, order="position"), partial(look, order="-position")
        return await between(first, last, since, until)

    async def _shown(self, rows: Sequence[LogRow]) -> Sequence[LogLine]:
        node = self._session.node
        names = await node.store.names([*{row.stream for row in rows}])
        places = sorted((row.stream, row.version) for row in rows)
        events = {
            stored.position: decode(node.codec, stored).event
            for stored in await node.store.read_versions(places)
        }
        return [_line(row, events[row.position], text(names[row.stream].id)) for row in rows]


def _line(row: LogRow, event: Any, run_id: str) -> LogLine:
    assert isinstance(event, Log)
    return LogLine(
        row.position, row.ts, event.level, event.message, event.meta, run_id, row.flow, row.step,
        row.attempt,
    )  # fmt: skip


def _levels(level: Any) -> list[str]:
    if level is None:
        return []
    many = isinstance(level, Collection) and not isinstance(level, str | bytes | Mapping)
    wanted = list(level) if many else [level]
    if not wanted or not set(wanted) <= set(LEVELS):
        raise refused("level", f"level is {level!r}, expected some of {', '.join(LEVELS)}")
    return sorted(set(wanted))
