"""The working tables: jobs, timers, members, cursors; and two that are other people's.

All but ``inbox`` and ``tracking`` can be dropped, with the roles stopped, and rebuilt.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)

from runfold.store.sql.columns import METADATA, MOMENT, column, log_id

_SERIAL = BigInteger().with_variant(Integer(), "sqlite")


def _work() -> list[Column[Any]]:
    """The columns that a job and the timer that becomes one have in common."""
    return [
        column("id", BigInteger(), "position of the event that made this row"),
        column("stream", BigInteger(), "the run"),
        log_id(),
        column("activation", Integer(), "which execution of the step, from 1"),
        column("attempt", Integer(), "which try of the activation, from 1"),
        column("priority", SmallInteger(), "10 is served first, 1 last"),
        column("flow", Text(), "name of the run's flow"),
        column("step", Text(), "name of the step"),
        column("queue", Text(), "name of the queue"),
        column("key", Text(), "key of the queue's keyed limit", null=True),
        column("inputs", Text(), "JSON: the events that the input is made of", null=True),
        column("limits", Text(), "its lane: buckets, joined by 0x1e; null: none", null=True),
    ]


_READY = text("member IS NULL AND blocked = 0")
_HEADS = text("member IS NULL AND blocked = 0 AND limits IS NOT NULL")
_WAITING = text("member IS NULL AND blocked = 2")
_LEASED = text("member IS NOT NULL")

JOBS = Table(
    "jobs",
    METADATA,
    *_work(),
    column("blocked", SmallInteger(), "1: its run is paused or drains, 2: waits in its lane"),
    column("member", BigInteger(), "token of the member that leases it", null=True),
    column("place", BigInteger(), "order among the ready of a priority; its id at first"),
    PrimaryKeyConstraint("log_id", "id", name="jobs_pk"),
    Index(
        "jobs_ready",
        *("log_id", "queue", "priority", "place", "id"),
        postgresql_where=_READY,
        sqlite_where=_READY,
    ),
    Index(
        "jobs_heads",
        *("log_id", "queue", "limits", "priority"),
        postgresql_where=_HEADS,
        sqlite_where=_HEADS,
    ),
    Index(
        "jobs_lane",
        *("log_id", "queue", "limits", "priority", "id"),
        postgresql_where=_WAITING,
        sqlite_where=_WAITING,
    ),
    Index("jobs_leased", "log_id", "member", postgresql_where=_LEASED, sqlite_where=_LEASED),
    Index("jobs_stream", "log_id", "stream"),
    comment="Activations that are ready or leased.",
    sqlite_with_rowid=False,
)

TIMERS = Table(
    "timers",
    METADATA,
    column("due_at", MOMENT, "when it takes effect, by the store's clock"),
    *_work(),
    column("kind", Text(), "start and retry become jobs; other kinds only a fact"),
    PrimaryKeyConstraint("log_id", "id", name="timers_pk"),
    Index("timers_due", "log_id", "due_at"),
    Index("timers_stream", "log_id", "stream"),
    comment="What happens later.",
    sqlite_with_rowid=False,
)

OPEN_RUNS = Table(
    "open_runs",
    METADATA,
    column("stream", BigInteger(), "the run"),
    log_id(),
    PrimaryKeyConstraint("log_id", "stream", name="open_runs_pk"),
    comment="Runs without an end: a row is inserted with the start, deleted with the end.",
    sqlite_with_rowid=False,
)

MEMBERS = Table(
    "members",
    METADATA,
    column("token", BigInteger(), "random; fences everything that the process leases"),
    column("expires_at", MOMENT, "end of its leases unless renewed"),
    log_id(),
    column("name", Text(), "what the process calls itself"),
    column("roles", Text(), "what it does"),
    PrimaryKeyConstraint("log_id", "token", name="members_pk"),
    comment="One row a living process.",
    sqlite_with_rowid=False,
)

LEADERS = Table(
    "leaders",
    METADATA,
    column("token", BigInteger(), "the member that leads"),
    column("expires_at", MOMENT, "end of its lead unless renewed"),
    log_id(),
    column("role", Text(), "what it alone does: dispatcher"),
    PrimaryKeyConstraint("log_id", "role", name="leaders_pk"),
    comment="Who alone does what.",
    sqlite_with_rowid=False,
)

CURSORS = Table(
    "cursors",
    METADATA,
    column("position", BigInteger(), "the last event read"),
    column("saved_at", MOMENT, "when it was saved"),
    log_id(),
    column("generation", Integer(), "of the log it belongs to"),
    column("name", Text(), "whose cursor"),
    column("identity", Text(), "of the log it belongs to"),
    PrimaryKeyConstraint("log_id", "name", name="cursors_pk"),
    comment="How far readers have come.",
    sqlite_with_rowid=False,
)

INBOX = Table(
    "inbox",
    METADATA,
    column("id", _SERIAL, "order of arrival, roughly"),
    column("created_at", MOMENT, "when it was written"),
    log_id(),
    column("run_id", LargeBinary(), "the 16 bytes of the UUID that the run will have"),
    column("body", Text(), "JSON of the start"),
    PrimaryKeyConstraint("id", name="inbox_pk"),
    Index("inbox_log", "log_id", "id"),
    comment="Starts written inside a caller's transaction, not recorded yet.",
)

TRACKING = Table(
    "tracking",
    METADATA,
    column("position", BigInteger(), "last notification processed"),
    log_id(),
    column("application", Text(), "name of the upstream Application"),
    PrimaryKeyConstraint("log_id", "application", "position", name="tracking_pk"),
    comment="What attached Applications have processed.",
    sqlite_with_rowid=False,
)
