"""What a batch writes, gathered item by item and sent to SQLite table by table.

Rows of one table go in one ``executemany``. The order between tables means nothing, with one
exception: what looks at all rows of a stream (drops, clears, a gate) must see those that an
earlier item of the batch made, so these are sent first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from sqlalchemy import Table, delete, func, insert, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from runfold.flow.events import ENDS
from runfold.flow.work import Gate
from runfold.ports import Change, Encoded, Item, Outcome, Row
from runfold.store.buckets import joined
from runfold.store.sql.schema import (
    BLOBS,
    EVENTS,
    INBOX,
    JOBS,
    OPEN_RUNS,
    STREAMS,
    TIMERS,
)
from runfold.store.sql.sqlite_guards import Facts, Head, Lease, heads
from runfold.store.sql.sqlite_lanes import SqliteLanes, Touched, in_use
from runfold.store.sql.sqlite_limits import SqliteLimits
from runfold.store.sql.sqlite_values import micros, param, prepared

SHUT = frozenset({Gate.PAUSED, Gate.CLOSED})
"""Gates under which nothing of the run is claimed."""
_BECOMES_JOB = ("start", "retry")
_SECOND = 1_000_000

_LOG, _STREAM = param("log"), param("in_stream")
_STEP, _ACTIVATION = param("of_step"), param("of_activation")


def _inserts(table: Table, *names: str) -> str:
    return prepared(insert(table).values({name: param(name) for name in names}), *names)


_EVENT = _inserts(
    EVENTS, "position", "stream", "ts", "log_id", "version", "activation", "attempt", "cause",
    "topic", "step", "key", "state", "blob",
)  # fmt: skip
_NEW_STREAM = _inserts(STREAMS, "stream", "log_id", "id", "flow")
_OPENED = _inserts(OPEN_RUNS, "stream", "log_id")
_WORK = (
    "id", "stream", "log_id", "activation", "attempt", "priority", "flow", "step", "queue", "key",
    "inputs", "limits",
)  # fmt: skip
_JOB = _inserts(JOBS, *_WORK, "blocked", "place")
_TIMER = _inserts(TIMERS, "due_at", *_WORK, "kind")
_BLOB = prepared(
    upsert(BLOBS)
    .values({name: param(name) for name in ("log_id", "hash", "body")})
    .on_conflict_do_nothing(),
    "log_id", "hash", "body",
)  # fmt: skip
_ENDED = prepared(
    delete(OPEN_RUNS).where(OPEN_RUNS.c.stream == _STREAM, OPEN_RUNS.c.log_id == _LOG),
    "in_stream", "log",
)  # fmt: skip
_FREED, _FIRED = (
    prepared(delete(table).where(table.c.log_id == _LOG, table.c.id == param("of")), "log", "of")
    for table in (JOBS, TIMERS)
)
_TAKEN_IN = prepared(
    delete(INBOX).where(INBOX.c.log_id == _LOG, INBOX.c.id == param("of")), "log", "of"
)
_GONE = (JOBS.c.id, JOBS.c.member, JOBS.c.queue, JOBS.c.limits, JOBS.c.priority, JOBS.c.key)


def _drops(table: Table, *answered: Any) -> str:
    drop = delete(table).where(
        table.c.log_id == _LOG,
        table.c.stream == _STREAM,
        table.c.step == _STEP,
        table.c.activation == _ACTIVATION,
    )
    answering = drop.returning(*answered) if answered else drop
    return prepared(answering, "log", "in_stream", "of_step", "of_activation")


def _clears(table: Table, *answered: Any) -> str:
    clear = delete(table).where(table.c.log_id == _LOG, table.c.stream == _STREAM)
    answering = clear.returning(*answered) if answered else clear
    return prepared(answering, "log", "in_stream")


_DROP_JOBS = {False: _drops(JOBS), True: _drops(JOBS, *_GONE)}
_CLEAR_JOBS = {False: _clears(JOBS), True: _clears(JOBS, *_GONE)}
"""By whether anybody cares what is gone: an answer costs as much as the deletion."""
_DROP_TIMERS, _CLEAR_TIMERS = _drops(TIMERS), _clears(TIMERS)
_GATE = prepared(
    update(STREAMS)
    .where(STREAMS.c.log_id == _LOG, STREAMS.c.stream == _STREAM)
    .values(gate=param("to")),
    "to", "log", "in_stream",
)  # fmt: skip
_SHUT_OUT = prepared(
    update(JOBS)
    .where(JOBS.c.log_id == _LOG, JOBS.c.stream == _STREAM, text("member IS NULL AND blocked <> 1"))
    .values(blocked=text("1"))
    .returning(*_GONE),
    "log", "in_stream",
)  # fmt: skip
_LET_IN = prepared(
    update(JOBS)
    .where(JOBS.c.log_id == _LOG, JOBS.c.stream == _STREAM, text("member IS NULL AND blocked = 1"))
    .values(blocked=text("CASE WHEN limits IS NULL THEN 0 ELSE 2 END"), place=param("at"))
    .returning(*_GONE),
    "at", "log", "in_stream",
)  # fmt: skip
_CHANGE_JOB, _CHANGE_TIMER = (
    prepared(
        update(table)
        .where(table.c.log_id == _LOG, table.c.id == param("of"))
        .values(inputs=func.coalesce(param("inputs"), table.c.inputs)),
        "inputs", "log", "of",
    )
    for table in (JOBS, TIMERS)
)  # fmt: skip
_MOVE_TIMER = prepared(
    update(TIMERS)
    .where(TIMERS.c.log_id == _LOG, TIMERS.c.id == param("of"))
    .values(due_at=param("due")),
    "due", "log", "of",
)  # fmt: skip
_ORDER = (_NEW_STREAM, _OPENED, _ENDED, _BLOB, _EVENT, _FREED, _FIRED, _TAKEN_IN, _JOB, _TIMER)
"""What may follow what: a run that starts and ends in one batch is not open after it."""


class Writing:
    """The rows of one batch on their way into the tables of log ``log``."""

    def __init__(
        self, connection: sqlite3.Connection, log: int, *, last: int, ts: int, blob_min: int
    ) -> None:
        self.position, self.ts = last, ts
        self._connection, self._log, self._blob_min = connection, log, blob_min
        self._versions: dict[int, int] = {}
        self._gates: dict[int, int] = {}
        self._rows: dict[str, list[tuple[object, ...]]] = {}
        self._made: set[int] = set()
        self._limits: list[tuple[Item, Lease | None]] = []
        self._touched: list[Touched] = []
        self._freed: list[int] = []
        self._place = last + 1
        """Where stands what becomes ready by this batch's items and is older."""

    def know(self, heads: dict[int, Head]) -> None:
        """Remember how far streams have come."""
        for stream, head in heads.items():
            self._versions[stream], self._gates[stream] = head.version, head.gate

    def know_all(self, streams: set[int]) -> None:
        """Look up those of ``streams`` that are not known."""
        if unknown := streams - self._versions.keys():
            self.know(heads(self._connection, self._log, unknown))

    def item(self, item: Item, found: Facts) -> Outcome:
        """Write ``item``, whose guards hold."""
        first, stream = self.position + 1, item.stream
        if item.id is not None:
            stream = self._create(item, first)
        version = self._versions[stream] + 1
        for event in item.events:
            self.append(stream, event)
        if item.events and item.events[-1].topic in ENDS:
            self._add(_ENDED, (stream, self._log))
        if item.limits or item.closures or item.holds is not None:
            lease = found.leases[item.lease[0]] if item.lease is not None else None
            self._limits.append((item, lease))
        self._remove(item, stream, found)
        if item.gate is not None:
            self._set_gate(stream, item.gate)
        if item.timer is not None:
            self._fire(item.timer, found.timers[item.timer], first, stream)
        for change in item.changes:
            self._change(change)
        for row in item.rows:
            self._add_row(row, first + row.event, stream)
        return Outcome(None, stream, first, version) if item.events else Outcome(None, stream)

    def exists(self, item: Item) -> None:
        """Take the inbox row of ``item``, whose run is there already."""
        if item.inbox is not None:
            self._add(_TAKEN_IN, (self._log, item.inbox))

    def append(self, stream: int, event: Encoded) -> int:
        """Record ``event`` as the next of the log and of ``stream``; return its version."""
        topic, state, step, activation, attempt, key, cause = event
        blob = None
        if len(state) > self._blob_min:
            blob = sha256(state).digest()
            self._add(_BLOB, (self._log, blob, state))
        self.position += 1
        version = self._versions[stream] = self._versions[stream] + 1
        self._add(
            _EVENT,
            (
                self.position, stream, self.ts, self._log, version, activation, attempt, cause,
                topic, step, key, state if blob is None else None, blob,
            ),
        )  # fmt: skip
        return version

    def flush(self) -> None:
        """Send everything gathered so far."""
        for statement in _ORDER:
            if rows := self._rows.get(statement):
                self._connection.executemany(statement, rows)
        self._rows, self._made = {}, set()

    @cached_property
    def _is_limited(self) -> bool:
        """Whether there is a limit, or a lane, that may follow from what is removed."""
        return in_use(self._connection, self._log)

    def settle(self) -> None:
        """Send everything, and let limits and lanes follow."""
        self.flush()
        if self._limits or self._touched or self._freed:
            lanes = SqliteLanes(self._connection, self._log)
            limits = SqliteLimits(self._connection, self._log, self.ts)
            limits.free(self._freed)
            opened = [
                bucket
                for item, lease in self._limits
                for bucket in settings(item, lease, limits, lanes, self._place)
            ]
            lanes.make_up(self._touched, self._place)
            for bucket in opened:
                lanes.wake(bucket, self._place)
            self._limits, self._touched, self._freed = [], [], []

    def _add(self, statement: str, row: tuple[object, ...]) -> None:
        rows = self._rows.get(statement)
        if rows is None:
            self._rows[statement] = [row]
        else:
            rows.append(row)

    def _create(self, item: Item, number: int) -> int:
        self._versions[number], self._gates[number] = 0, Gate.OPEN
        self._made.add(number)
        self._add(_NEW_STREAM, (number, self._log, item.id, item.flow))
        if item.flow is not None:
            self._add(_OPENED, (number, self._log))
        return number

    def _remove(self, item: Item, stream: int, found: Facts) -> None:
        if item.frees and item.lease is not None:
            self._free(item.lease[0], found)
        if item.stalled is not None:
            self._free(item.stalled, found)
        self.exists(item)
        if item.clears or item.drops:
            self._flush_rows_of(stream)
        if item.clears:
            self._gone(self._connection.execute(_CLEAR_JOBS[self._is_limited], (self._log, stream)))
            self._connection.execute(_CLEAR_TIMERS, (self._log, stream))
        elif item.drops:
            for drop in item.drops:
                drop_jobs = _DROP_JOBS[self._is_limited]
                self._gone(self._connection.execute(drop_jobs, (self._log, stream, *drop)))
                self._connection.execute(_DROP_TIMERS, (self._log, stream, *drop))

    def _free(self, job: int, found: Facts) -> None:
        self._add(_FREED, (self._log, job))
        if not self._is_limited:
            return
        lease = found.leases[job]
        row = (job, lease.member, lease.queue, lease.limits, lease.priority, lease.key)
        self._gone([row])

    def _gone(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Remember what jobs that were removed, or shut out, leave to others."""
        for job, member, queue, lane, priority, key in rows:
            if member is not None:
                self._freed.append(job)
            if lane is not None:
                self._touched.append(Touched(queue, lane, priority, key, is_gone=True))

    def _set_gate(self, stream: int, gate: int) -> None:
        self._flush_rows_of(stream)
        self._gates[stream] = gate
        self._connection.execute(_GATE, (gate, self._log, stream))
        if gate in SHUT:
            self._gone(self._connection.execute(_SHUT_OUT, (self._log, stream)))
            return
        for row in self._connection.execute(_LET_IN, (self._place, self._log, stream)):
            self._wait(*row[2:])

    def _wait(self, queue: str, lane: str | None, priority: int, key: str | None) -> None:
        if lane is not None:
            self._touched.append(Touched(queue, lane, priority, key, is_gone=False))

    def _flush_rows_of(self, stream: int) -> None:
        """Send what the batch made of ``stream`` so far, as what follows looks at all of it."""
        if stream in self._made:
            self.flush()

    def _fire(self, timer: int, columns: tuple[object, ...], job: int, stream: int) -> None:
        kind, *work = columns
        self._add(_FIRED, (self._log, timer))
        if kind in _BECOMES_JOB:
            self._made.add(stream)
            self._add_job((job, stream, self._log, *work))

    def _change(self, change: Change) -> None:
        for statement in (_CHANGE_JOB, _CHANGE_TIMER):
            self._connection.execute(statement, (change.inputs, self._log, change.id))
        if change.due_at is not None or change.delay is not None:
            due = self._due(change.due_at, change.delay)
            self._connection.execute(_MOVE_TIMER, (due, self._log, change.id))

    def _due(self, due_at: datetime | None, delay: float | None) -> int:
        if due_at is not None:
            return micros(due_at)
        return self.ts + round((delay or 0) * _SECOND)

    def _add_row(self, row: Row, number: int, stream: int) -> None:
        self._made.add(stream)
        work = (
            number, stream, self._log, row.activation, row.attempt, row.priority, row.flow,
            row.step, row.queue, row.key, row.inputs, joined(row.limits),
        )  # fmt: skip
        if row.kind is None:
            self._add_job(work)
            return
        self._add(_TIMER, (self._due(row.due_at, row.delay), *work, row.kind))

    def _add_job(self, work: tuple[Any, ...]) -> None:
        """Add a job with these columns; of a lane, it waits until the lane is looked at."""
        priority, queue, key, lane = work[5], work[8], work[9], work[11]
        blocked = 0 if lane is None else 2
        if self._gates[work[1]] in SHUT:
            blocked = 1
        else:
            self._wait(queue, lane, priority, key)
        self._add(_JOB, (*work, blocked, work[0]))


def settings(
    item: Item, lease: Lease | None, limits: SqliteLimits, lanes: SqliteLanes, place: int
) -> list[str]:
    """Take over what ``item`` says about limits and closures; return what it opens or closes:
    until when may be sooner than what those who wait were told."""
    for scope, wanted in item.limits:
        if limits.replace(scope, wanted):
            lanes.wake_scope(scope, place)
    for closure in item.closures:
        limits.close(closure)
    if item.holds is not None and lease is not None:
        limits.hold_off(lease.queue, lease.limits, item.holds)
    return [closure.bucket for closure in item.closures]
