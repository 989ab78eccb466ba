"""What the guards of a batch ask: one statement for each kind of question, not for each item.

Everything here runs inside the batch's transaction, before anything of it is written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Column, and_, literal_column, select

from runfold.flow.events import ENDS, FlowCompleted
from runfold.flow.work import Gate
from runfold.ports import Item, Refusal
from runfold.store.sql.schema import EVENTS, INBOX, JOBS, LEADERS, MEMBERS, STREAMS, TIMERS
from runfold.store.sql.sqlite_values import given, listed, param, prepared

DISPATCHER = "dispatcher"
"""The role whose token ``Item.leader`` names."""

_LOG = param("log")
_streams, _jobs, _timers, _inbox = (given(name) for name in ("streams", "jobs", "timers", "rows"))


def _last(column: Column[Any]) -> Any:
    """Return ``column`` of the stream's last event: one probe from the end of its index."""
    return (
        select(column)
        .where(EVENTS.c.log_id == _LOG, EVENTS.c.stream == STREAMS.c.stream)
        .order_by(EVENTS.c.version.desc())
        .limit(literal_column("1"))
        .offset(literal_column("0"))
        .correlate(STREAMS)
        .scalar_subquery()
    )


# Scalar subqueries, not a join: whatever SQLite thinks of the tables, it cannot start at events.
_HEADS = prepared(
    select(STREAMS.c.stream, STREAMS.c.gate, _last(EVENTS.c.version), _last(EVENTS.c.topic)).where(
        STREAMS.c.log_id == _LOG, STREAMS.c.stream.in_(select(_streams.c.value))
    ),
    "log", "log", "log", "streams",
)  # fmt: skip
_TAKEN = prepared(
    select(STREAMS.c.stream).where(STREAMS.c.log_id == _LOG, STREAMS.c.id == param("id")),
    "log", "id",
)  # fmt: skip
_LEADER = prepared(
    select(LEADERS.c.token).where(LEADERS.c.log_id == _LOG, LEADERS.c.role == param("role")),
    "log", "role",
)  # fmt: skip
_LEASES = prepared(
    select(
        JOBS.c.id, JOBS.c.member, MEMBERS.c.token, JOBS.c.queue, JOBS.c.limits, JOBS.c.priority,
        JOBS.c.key,
    )
    .select_from(_jobs)
    .join(JOBS, and_(JOBS.c.log_id == _LOG, JOBS.c.id == _jobs.c.value))
    .outerjoin(
        MEMBERS,
        and_(
            MEMBERS.c.log_id == _LOG,
            MEMBERS.c.token == JOBS.c.member,
            MEMBERS.c.expires_at > param("now"),
        ),
    ),
    "jobs", "log", "log", "now",
)  # fmt: skip
_DUE = prepared(
    select(
        TIMERS.c.id, TIMERS.c.kind, TIMERS.c.activation, TIMERS.c.attempt, TIMERS.c.priority,
        TIMERS.c.flow, TIMERS.c.step, TIMERS.c.queue, TIMERS.c.key, TIMERS.c.inputs,
        TIMERS.c.limits,
    )
    .select_from(_timers)
    .join(TIMERS, and_(TIMERS.c.log_id == _LOG, TIMERS.c.id == _timers.c.value))
    .where(TIMERS.c.due_at <= param("now")),
    "timers", "log", "now",
)  # fmt: skip
_WAITING = prepared(
    select(INBOX.c.id)
    .select_from(_inbox)
    .join(INBOX, and_(INBOX.c.id == _inbox.c.value, INBOX.c.log_id == _LOG)),
    "rows", "log",
)  # fmt: skip


class Head(NamedTuple):
    """How far a stream has come."""

    gate: int
    version: int
    """0 where the stream is in the archive."""
    topic: str
    """Of its last event."""


_NEW = Head(Gate.OPEN, 0, "")


class Lease(NamedTuple):
    """Who leases a job."""

    member: int | None
    alive: int | None
    """The same token while its member lives."""
    queue: str
    limits: str | None
    priority: int
    key: str | None


@dataclass(slots=True)
class Facts:
    """What is so before the batch, as far as its guards ask."""

    heads: dict[int, Head] = field(default_factory=dict)
    taken: dict[bytes, int] = field(default_factory=dict)
    leader: int | None = None
    leases: dict[int, Lease] = field(default_factory=dict)
    timers: dict[int, tuple[object, ...]] = field(default_factory=dict)
    """Due ones: kind, then the columns of the job that they become."""
    inbox: set[int] = field(default_factory=set)


def heads(connection: sqlite3.Connection, log: int, streams: set[int]) -> dict[int, Head]:
    """Return gate, version and last topic of those of ``streams`` that exist."""
    rows = connection.execute(_HEADS, (log, log, log, listed(streams)))
    return {
        # What has no event here is in the archive: it has ended.
        row[0]: Head._make(row[1:]) if row[3] is not None else Head(row[1], 0, FlowCompleted.TOPIC)
        for row in rows
    }


def facts(connection: sqlite3.Connection, log: int, items: Sequence[Item], now: int) -> Facts:
    """Return what the guards of ``items`` have to know, at ``now``."""
    found = Facts()
    streams = {item.stream for item in items if item.id is None}
    jobs = {item.lease[0] for item in items if item.lease is not None}
    jobs |= {item.stalled for item in items if item.stalled is not None}
    timers = {item.timer for item in items if item.timer is not None}
    inbox = {item.inbox for item in items if item.inbox is not None}
    if streams:
        found.heads = heads(connection, log, streams)
    for item in items:
        if item.id is not None and (row := connection.execute(_TAKEN, (log, item.id)).fetchone()):
            found.taken[item.id] = row[0]
    if any(item.leader is not None for item in items):
        row = connection.execute(_LEADER, (log, DISPATCHER)).fetchone()
        found.leader = row[0] if row else None
    if jobs:
        rows = connection.execute(_LEASES, (listed(jobs), log, log, now))
        found.leases = {row[0]: Lease._make(row[1:]) for row in rows}
    if timers:
        rows = connection.execute(_DUE, (listed(timers), log, now))
        found.timers = {row[0]: row[1:] for row in rows}
    if inbox:
        found.inbox = {row[0] for row in connection.execute(_WAITING, (listed(inbox), log))}
    return found


def refusals(items: Sequence[Item], found: Facts) -> list[Refusal | None]:
    """Return the first guard of each item that does not hold, None where all do."""
    made: set[bytes] = set()
    answers: list[Refusal | None] = []
    for item in items:
        refusal = Refusal.EXISTS if item.id in made else _refusal(item, found)
        if item.id is not None and refusal is None:
            made.add(item.id)
        answers.append(refusal)
    return answers


def _refusal(item: Item, found: Facts) -> Refusal | None:
    head = _NEW if item.id is not None else found.heads.get(item.stream)
    if item.id is not None and item.id in found.taken:
        return Refusal.EXISTS
    if head is None:
        return Refusal.MISSING
    if item.leader is not None and item.leader != found.leader:
        return Refusal.LEADER
    if item.lease is not None and not _is_leased(item.lease, found):
        return Refusal.LEASE
    if not _is_there(item, found):
        return Refusal.TIMER
    if item.events and head.topic in ENDS:
        return Refusal.ENDED
    if not item.gates >> head.gate & 1:
        return Refusal.GATE
    if item.version is not None and item.version != head.version:
        return Refusal.VERSION
    return None


def _is_leased(lease: tuple[int, int], found: Facts) -> bool:
    job, token = lease
    return job in found.leases and found.leases[job].member == token


def _is_there(item: Item, found: Facts) -> bool:
    """Return whether the timer is due, the job stalled and the inbox row there, if asked."""
    if item.timer is not None and item.timer not in found.timers:
        return False
    if item.stalled is not None:
        lease = found.leases.get(item.stalled)
        if lease is None or lease.member is None or lease.alive is not None:
            return False
    return item.inbox is None or item.inbox in found.inbox
