"""A rebuild on a database: the same for both, over a session that is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Executable

from runfold.errors import EngineRunning
from runfold.flow.work import Gate
from runfold.ports import Limit, LogIdentity, Name, Restored, RestoredLimits, RestoredRun, Start
from runfold.store.buckets import joined, limit_of
from runfold.store.sql import rebuild_queries, stream_queries
from runfold.store.sql.schema import (
    CURSORS,
    HOLDS,
    JOBS,
    LIMITS,
    OPEN_RUNS,
    STARTS,
    STREAMS,
    TIMERS,
)

NOBODY = 0
"""A token that no member has: what it leases is stalled."""
_SHUT = frozenset({Gate.PAUSED, Gate.CLOSED})


class Session(Protocol):
    """A transaction under the log's lock."""

    async def rows(self, statement: Executable, **values: Any) -> list[Any]:
        """Return what ``statement`` answers."""
        ...

    async def many(self, statement: Executable, values: Sequence[Mapping[str, Any]]) -> None:
        """Execute ``statement`` once for each of ``values``."""
        ...

    def moment(self, moment: datetime) -> Any:
        """Return ``moment`` as this database takes it."""
        ...


class SqlRebuilding:
    """``ports.Rebuilding`` through a session."""

    def __init__(self, session: Session, identity: LogIdentity, now: datetime) -> None:
        self._session, self._identity, self._now = session, identity, now
        self._log = identity.log_id
        self._limits: dict[str, Limit] = {}
        self._wholes: dict[str, list[str]] = {}
        """By scope of a queue: its limits that have no key."""

    async def begin(self) -> None:
        """Empty the tables; raise ``EngineRunning`` while somebody works with them."""
        at = {"log_id": self._log, "now": self._session.moment(self._now)}
        alive = [row[0] for row in await self._session.rows(rebuild_queries.alive(), **at)]
        leads = bool(await self._session.rows(rebuild_queries.leads(), **at))
        if alive or leads:
            raise EngineRunning.while_alive(alive, leads=leads)
        for table in rebuild_queries.DERIVED:
            await self._session.many(rebuild_queries.empty(table), [{"log_id": self._log}])

    async def end(self) -> None:
        """Let the first of each lane be ready, now that all jobs are back."""
        await self._session.many(rebuild_queries.heads(), [{"log_id": self._log}])

    async def name(self, streams: Sequence[tuple[int, Name]], ended: Sequence[int]) -> None:
        """Put back what these numbers stand for, and which of them are runs under way."""
        names = [
            {"log_id": self._log, "stream": number, "gate": int(Gate.OPEN), **name._asdict()}
            for number, name in streams
        ]
        opened = [
            {"log_id": self._log, "stream": number}
            for number, name in streams
            if name.flow is not None
        ]
        over = [{"log_id": self._log, "ended": number} for number in ended]
        await self._session.many(rebuild_queries.fill(STREAMS), names)
        await self._session.many(rebuild_queries.fill(OPEN_RUNS), opened)
        await self._session.many(rebuild_queries.ended(), over)

    async def open_runs(self, *, after: int, limit: int) -> list[int]:
        """Return numbers above ``after`` of runs that did not end, in order."""
        asked = {"log_id": self._log, "after": after, "limit": limit}
        return [row[0] for row in await self._session.rows(stream_queries.open_runs(), **asked)]

    async def limit(self, restored: RestoredLimits) -> None:
        """Put back limits, what is closed, and the starts that rates count."""
        limits = []
        for scope, ofs in restored.limits:
            self._limits |= {limit.id: limit for limit in ofs}
            self._wholes[scope] = [limit.id for limit in ofs if not limit.keyed]
            limits += [{"log_id": self._log, "scope": scope, **one._asdict()} for one in ofs]
        closures = [
            {
                "log_id": self._log,
                "bucket": one.bucket,
                "until": str(self._session.moment(one.until)),
            }
            for one in restored.closures
            if one.until is not None
        ]
        starts = [self._start(one) for one in restored.starts]
        await self._session.many(rebuild_queries.fill(LIMITS), limits)
        await self._session.many(rebuild_queries.close(), closures)
        await self._session.many(rebuild_queries.fill(STARTS), starts)

    async def put(self, runs: Sequence[RestoredRun]) -> None:
        """Put back gates, jobs and timers."""
        gates = [
            {"log_id": self._log, "of": run.stream, "to": run.gate}
            for run in runs
            if run.gate != Gate.OPEN
        ]
        work = [(run, one) for run in runs for one in run.work]
        jobs = [self._job(run, one) for run, one in work if one.row.kind is None]
        timers = [self._timer(run, one) for run, one in work if one.row.kind is not None]
        await self._session.many(rebuild_queries.set_gate(), gates)
        holds = [hold for _, one in work if one.leased for hold in self._holds(one)]
        await self._session.many(rebuild_queries.fill(JOBS), jobs)
        await self._session.many(rebuild_queries.fill(HOLDS), holds)
        await self._session.many(rebuild_queries.fill(TIMERS), timers)

    async def save_cursor(self, name: str, position: int) -> None:
        """Put back how far a reader had come."""
        _, identity, generation = self._identity
        row = {
            "log_id": self._log, "name": name, "position": position, "identity": identity,
            "generation": generation, "saved_at": self._session.moment(self._now),
        }  # fmt: skip
        await self._session.many(rebuild_queries.fill(CURSORS), [row])

    def _job(self, run: RestoredRun, one: Restored) -> dict[str, Any]:
        member = NOBODY if one.leased else None
        blocked = 0
        if not one.leased:
            blocked = 1 if run.gate in _SHUT else 2 if one.row.limits else 0
        return {**self._work(run, one), "blocked": blocked, "member": member, "place": one.id}

    def _holds(self, one: Restored) -> list[dict[str, Any]]:
        """Return what the limits count of a leased job."""
        buckets = (*one.row.limits, *self._wholes.get(f"queue:{one.row.queue}", ()))
        return [
            {"log_id": self._log, "bucket": bucket, "job": one.id}
            for bucket in buckets
            if (limit := self._limits.get(limit_of(bucket))) and limit.per is None
        ]

    def _start(self, one: Start) -> dict[str, Any]:
        per = self._limits[limit_of(one.bucket)].per
        over_at = self._session.moment(one.at + timedelta(seconds=per or 0))
        at = self._session.moment(one.at)
        return {**one._asdict(), "log_id": self._log, "at": at, "over_at": over_at}

    def _timer(self, run: RestoredRun, one: Restored) -> dict[str, Any]:
        due_at = one.row.due_at
        assert due_at is not None
        kind = one.row.kind
        return {**self._work(run, one), "kind": kind, "due_at": self._session.moment(due_at)}

    def _work(self, run: RestoredRun, one: Restored) -> dict[str, Any]:
        row = one.row
        return {
            "id": one.id, "stream": run.stream, "log_id": self._log,
            "activation": row.activation, "attempt": row.attempt, "priority": row.priority,
            "flow": row.flow, "step": row.step, "queue": row.queue, "key": row.key,
            "inputs": row.inputs, "limits": joined(row.limits),
        }  # fmt: skip
