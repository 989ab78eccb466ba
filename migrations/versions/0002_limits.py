"""Limits: what holds, what is counted, what is closed, and the lanes of jobs that wait.

A job is ready in the order of ``place``, at first its id; ``blocked`` says what holds it back:
1 the gate of its run (all that there was before), 2 its lane.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
_LANE = "its lane: buckets, joined by 0x1e; null: none"
_PLACE = "order among the ready of a priority; its id at first"
_BLOCKED = "1: its run is paused or drains, 2: waits in its lane"
_JOBS = (
    "id, stream, log_id, activation, attempt, priority, flow, step, queue, key, inputs, "
    "blocked, member"
)


def upgrade() -> None:
    for name in ("jobs_ready", "jobs_leased", "jobs_stream"):
        op.drop_index(name, "jobs", schema=_schema())
    if _schema() is None:
        _copy_jobs()
    else:
        _alter_jobs()
    _index_jobs()
    op.add_column("timers", _column("limits", sa.Text(), _LANE, null=True), schema=_schema())
    for create in (
        _create_limits,
        _create_holds,
        _create_starts,
        _create_closures,
        _create_parked,
        _create_alarms,
    ):
        create()


def downgrade() -> None:
    raise NotImplementedError("there is no way back: restore a backup")


def _schema() -> str | None:
    return "runfold" if op.get_bind().dialect.name == "postgresql" else None


def _column(name: str, kind: Any, comment: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=null, comment=comment)


def _log_id() -> sa.Column[Any]:
    return _column("log_id", sa.Integer(), "which log: the namespace or the attached Application")


def _index(name: str, table: str, *columns: str, where: str | None = None) -> None:
    only = sa.text(where) if where else None
    op.create_index(
        name, table, list(columns), schema=_schema(), postgresql_where=only, sqlite_where=only
    )


def _alter_jobs() -> None:
    where = _schema()
    op.alter_column(
        "jobs", "blocked", schema=where, type_=sa.SmallInteger(), comment=_BLOCKED,
        postgresql_using="blocked::integer",
    )  # fmt: skip
    op.add_column("jobs", _column("limits", sa.Text(), _LANE, null=True), schema=where)
    op.add_column("jobs", _column("place", sa.BigInteger(), _PLACE, null=True), schema=where)
    op.execute("UPDATE runfold.jobs SET place = id")
    op.alter_column("jobs", "place", schema=where, nullable=False)


def _copy_jobs() -> None:
    op.create_table(
        "jobs_next",
        _column("id", sa.BigInteger(), ""),
        _column("stream", sa.BigInteger(), ""),
        _log_id(),
        _column("activation", sa.Integer(), ""),
        _column("attempt", sa.Integer(), ""),
        _column("priority", sa.SmallInteger(), ""),
        _column("flow", sa.Text(), ""),
        _column("step", sa.Text(), ""),
        _column("queue", sa.Text(), ""),
        _column("key", sa.Text(), "", null=True),
        _column("inputs", sa.Text(), "", null=True),
        _column("limits", sa.Text(), _LANE, null=True),
        _column("blocked", sa.SmallInteger(), _BLOCKED),
        _column("member", sa.BigInteger(), "", null=True),
        _column("place", sa.BigInteger(), _PLACE),
        sa.PrimaryKeyConstraint("log_id", "id", name="jobs_pk"),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO jobs_next ({_JOBS}, place) SELECT {_JOBS}, id FROM jobs")  # noqa: S608
    op.drop_table("jobs")
    op.rename_table("jobs_next", "jobs")


def _index_jobs() -> None:
    ready, leased = "member IS NULL AND blocked = 0", "member IS NOT NULL"
    lane = ("log_id", "queue", "limits", "priority")
    _index("jobs_ready", "jobs", "log_id", "queue", "priority", "place", "id", where=ready)
    _index("jobs_heads", "jobs", *lane, where=f"{ready} AND limits IS NOT NULL")
    _index("jobs_lane", "jobs", *lane, "id", where="member IS NULL AND blocked = 2")
    _index("jobs_leased", "jobs", "log_id", "member", where=leased)
    _index("jobs_stream", "jobs", "log_id", "stream")


def _create_limits() -> None:
    op.create_table(
        "limits",
        _column("per", sa.Float(53), "seconds of a rate's window; null: not a rate", null=True),
        _log_id(),
        _column("max", sa.Integer(), "leased at once, or starts in a window"),
        _column("keyed", sa.Boolean(), "one bucket for each value of the key"),
        _column("id", sa.Text(), "<scope>#<n>"),
        _column("scope", sa.Text(), "queue:<name> or step:<flow>/<step>"),
        _column("kind", sa.Text(), "concurrency or rate"),
        sa.PrimaryKeyConstraint("log_id", "id", name="limits_pk"),
        comment="Limits that hold now, across all workers.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )
    _index("limits_scope", "limits", "log_id", "scope")


def _create_holds() -> None:
    op.create_table(
        "holds",
        _column("job", sa.BigInteger(), "a leased job"),
        _log_id(),
        _column("bucket", sa.Text(), "a bucket of a concurrency limit that counts it"),
        sa.PrimaryKeyConstraint("log_id", "bucket", "job", name="holds_pk"),
        comment="Which leased jobs the concurrency limits count.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )
    _index("holds_job", "holds", "log_id", "job")


def _create_starts() -> None:
    op.create_table(
        "starts",
        _column("at", _MOMENT, "when the job was started"),
        _column("position", sa.BigInteger(), "of its step.started"),
        _column("over_at", _MOMENT, "end of the window of its limit: not counted from then on"),
        _log_id(),
        _column("bucket", sa.Text(), "a bucket of a rate limit that counts it"),
        sa.PrimaryKeyConstraint("log_id", "bucket", "at", "position", name="starts_pk"),
        comment="Which starts the rate limits count.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )
    _index("starts_over", "starts", "log_id", "over_at")


def _create_closures() -> None:
    op.create_table(
        "closures",
        _column("until", _MOMENT, "admits nothing until then"),
        _log_id(),
        _column(
            "bucket",
            sa.Text(),
            "a bucket, a queue (queue:<name>), a key of it (queue:<name>=<key>)",
        ),
        sa.PrimaryKeyConstraint("log_id", "bucket", name="closures_pk"),
        comment="What is closed, by a person or by a handler that was told to wait.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )
    _index("closures_until", "closures", "log_id", "until")


def _create_parked() -> None:
    op.create_table(
        "parked",
        _column("place", sa.BigInteger(), "place of the head that was refused"),
        _column("head", sa.BigInteger(), "id of the head that was refused"),
        _log_id(),
        _column("rank", sa.SmallInteger(), "10 minus the best priority in the lane"),
        _column("queue", sa.Text(), "name of the queue"),
        _column("lane", sa.Text(), "jobs.limits"),
        _column("bucket", sa.Text(), "the bucket or closure that refused"),
        sa.PrimaryKeyConstraint("log_id", "queue", "lane", name="parked_pk"),
        comment="Lanes of which nothing is ready until a bucket opens.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )
    _index("parked_bucket", "parked", "log_id", "bucket", "queue", "rank", "place", "head")


def _create_alarms() -> None:
    op.create_table(
        "alarms",
        _column("due_at", _MOMENT, "when time alone may open the bucket"),
        _log_id(),
        _column("queue", sa.Text(), "name of the queue whose lanes wait"),
        _column("bucket", sa.Text(), "the bucket or closure that they are parked on"),
        sa.PrimaryKeyConstraint("log_id", "queue", "bucket", name="alarms_pk"),
        comment="When a parked lane is to be woken; one row for all lanes of a queue and bucket.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )
    _index("alarms_due", "alarms", "log_id", "queue", "due_at")
