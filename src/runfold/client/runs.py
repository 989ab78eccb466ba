"""``rf.runs``: runs by what is true of them, listed, counted and cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from runfold.client.capsule import Capsule
from runfold.client.filters import refused
from runfold.client.finder import Finder
from runfold.client.line import Line, checked_place
from runfold.client.projections import Projections
from runfold.client.replaying import Replayed, ReplayReport, replayed
from runfold.client.run_query import (
    ORDERS,
    RunQuery,
    checked_cursor,
    checked_limit,
    run_query,
)
from runfold.client.run_rows import RunRows
from runfold.client.session import Session
from runfold.flow.events import FlowCancelRequested
from runfold.flow.work import ACCEPTING, Gate
from runfold.kernel.event import Draft
from runfold.kernel.ids import text
from runfold.wire import RunState

Status = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing; ``next`` is the cursor of the page behind it, None at the end."""

    items: list[RunState]
    next: str | None


class Runs:
    """``rf.runs``."""

    def __init__(self, session: Session, projections: Projections) -> None:
        self._session, self._finder = session, Finder(session)
        self._line = Line(session)
        self._rows = RunRows(session, projections, self._finder)

    async def list(
        self,
        of: Any = None,
        *,
        status: Status | None = None,
        tags: Sequence[str] | None = None,
        queue: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: str = "newest",
        limit: int = 50,
        cursor: str | None = None,
        at: datetime | int | None = None,
    ) -> Page:
        """Return a page of runs, newest first, without their ``steps`` and ``data``.

        ``order="next"``: only runs of which something waits to be claimed, as workers will take
        it if nothing else is started: best priority first, then by the time since which it is
        ready, keys of a limit in turn; behind these what a limit holds back now, in the same
        order, what belongs to paused runs, and what is due later, soonest first. A paused queue
        changes nothing in the order of its runs. ``queue`` is then where the job waits.

        ``of``: of one flow or job. ``status``: one or several, or what other systems call it
        (``PENDING``, ``PROCESSING``, ...). ``tags``: with all of these. ``queue``: whose entry
        waits there. ``since``, ``until``: created at or after, and before, a moment (aware).
        ``limit``: 1 to 1000. ``cursor``: the ``next`` of the page before. ``at``: as they were
        at a moment (aware), or when an event was the last: its position; each run that is looked
        at is folded up to there, newest first, and only by flow without looking. Raises
        ``InvalidInput``.
        """
        if order not in ORDERS:
            raise refused("order", f"order is {order!r}, expected one of {ORDERS!r}")
        query = self._query(of, status, tags, queue, since, until)
        most, items = checked_limit(limit), list[RunState]()
        if order == "next" and at is not None:
            raise refused("at", "at is given, and the order of claims is that of now")
        if order == "next":
            return await self._next(query, most, checked_place(cursor))
        last = before = checked_cursor(cursor)
        states = (
            self._rows.states(query, before=before, limit=most + 1)
            if at is None
            else self._finder.states(query, before=before, at=await self._session.engine.place(at))
        )
        async for stream, state in states:
            if len(items) == most:
                return Page(items, str(last))
            items.append(replace(state, steps=[], data={}))
            last = stream
        return Page(items, None)

    async def _next(self, query: RunQuery, most: int, after: tuple[int, ...]) -> Page:
        items, last = list[RunState](), after
        async for place, state in self._line.states(query, after=after):
            if len(items) == most:
                return Page(items, ".".join(map(str, last)))
            items.append(replace(state, steps=[], data={}))
            last = place
        return Page(items, None)

    async def count(
        self,
        of: Any = None,
        *,
        status: Status | None = None,
        tags: Sequence[str] | None = None,
        queue: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        at: datetime | int | None = None,
    ) -> int:
        """Return how many runs ``list`` would find."""
        query = self._query(of, status, tags, queue, since, until)
        if at is not None:
            return await self._finder.count(query, at=await self._session.engine.place(at))
        return await self._rows.count(query)

    async def cancel(
        self, of: Any = None, *, tags: Sequence[str], reason: str | None = None
    ) -> int:
        """Cancel every open run with all of ``tags`` that is recorded at the call.

        Returns how many were asked: those that had not ended and were not on their way to an
        end. Each is as after ``Run.cancel``; others are left alone. ``of``: of one flow or job.
        """
        query = self._query(of, None, tags, None, None, None)
        if not query.tags:
            raise refused("tags", "tags are empty, expected those of the group to be cancelled")
        if reason is not None and not isinstance(reason, str):
            raise refused("reason", f"reason is {reason!r}, expected a string")
        asked = 0
        async for streams in self._finder.open(query):
            asked += await self._cancelled(streams, reason)
        return asked

    async def replay(
        self,
        of: Any = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        values: bool = True,
    ) -> ReplayReport:
        """Return what the code of this process would make of every recorded run.

        No handler runs and nothing is recorded. ``of``: runs of one flow or job. ``since``,
        ``until``: created at or after, and before, a moment (aware). ``values``: also whether
        recorded inputs, emits and results fit today's annotations. Raises ``UnknownTarget`` for a
        name that neither this process nor the log knows.
        """
        query, found = self._query(of, None, None, None, since, until), list[Replayed]()
        engine, catalog = self._session.engine, self._session.catalog
        if isinstance(of, str) and catalog.sealed(of) is None:
            await catalog.resolve(of, engine.node)
        async for stream in self._finder.streams(query):
            name = (await engine.node.store.names([stream]))[stream]
            history = [recorded async for recorded, _ in engine.sized(stream)]
            sealed = catalog.sealed(name.flow or "")
            verdict = await asyncio.to_thread(replayed, sealed, history, values=values)
            found.append(Replayed(text(name.id), name.flow or "", verdict))
        return ReplayReport(found)

    def replay_capsules(self, capsules: Mapping[str, Capsule]) -> ReplayReport:
        """Return the same for exported runs, by the names that the report gives them.

        Needs no database: also before anything is entered.
        """
        found = []
        for name, capsule in capsules.items():
            sealed = self._session.catalog.sealed(capsule.flow)
            verdict = replayed(sealed, capsule.history, values=not capsule.redacted)
            found.append(Replayed(name, capsule.flow, verdict))
        return ReplayReport(found)

    async def _cancelled(self, streams: Sequence[int], reason: str | None) -> int:
        engine = self._session.engine
        asked = [
            engine.node.appender.submit(
                [Draft(FlowCancelRequested(reason=reason))],
                stream=stream, gates=ACCEPTING, gate=int(Gate.CLOSED),
            )
            for stream in streams
        ]  # fmt: skip
        outcomes = [await engine.patiently(one) for one in asked]
        return sum(outcome.refusal is None for outcome in outcomes)

    def _query(
        self,
        of: Any,
        status: Status | None,
        tags: Sequence[str] | None,
        queue: str | None,
        since: datetime | None,
        until: datetime | None,
    ) -> RunQuery:
        flow = None if of is None else self._session.catalog.name_of(of)
        return run_query(flow, status=status, tags=tags, queue=queue, since=since, until=until)
