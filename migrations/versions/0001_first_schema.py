"""The first schema: the log and the working tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for create in (
        _create_logs,
        _create_streams,
        _create_events,
        _create_blobs,
        _create_batches,
        _create_jobs,
        _create_timers,
        _create_open_runs,
        _create_members,
        _create_leaders,
        _create_cursors,
        _create_inbox,
        _create_tracking,
    ):
        create()
    if _schema() is not None:
        # Positions only grow: no page of this index is ever split in the middle.
        op.execute("ALTER INDEX runfold.events_pk SET (fillfactor = 100)")


def downgrade() -> None:
    raise NotImplementedError("there is no way back to no log at all: restore a backup")


def _schema() -> str | None:
    return "runfold" if op.get_bind().dialect.name == "postgresql" else None


def _column(
    name: str, kind: Any, comment: str, *more: Any, null: bool = False, **options: Any
) -> sa.Column[Any]:
    return sa.Column(name, kind, *more, nullable=null, comment=comment, **options)


def _log_id() -> sa.Column[Any]:
    return _column("log_id", sa.Integer(), "which log: the namespace or the attached Application")


def _index(name: str, table: str, *columns: str, where: str | None = None) -> None:
    only = sa.text(where) if where else None
    op.create_index(
        name, table, list(columns), schema=_schema(), postgresql_where=only, sqlite_where=only
    )


def _work() -> list[sa.Column[Any]]:
    return [
        _column("id", sa.BigInteger(), "position of the event that made this row"),
        _column("stream", sa.BigInteger(), "the run"),
        _log_id(),
        _column("activation", sa.Integer(), "which execution of the step, from 1"),
        _column("attempt", sa.Integer(), "which try of the activation, from 1"),
        _column("priority", sa.SmallInteger(), "10 is served first, 1 last"),
        _column("flow", sa.Text(), "name of the run's flow"),
        _column("step", sa.Text(), "name of the step"),
        _column("queue", sa.Text(), "name of the queue"),
        _column("key", sa.Text(), "key of the queue's keyed limit", null=True),
        _column("inputs", sa.Text(), "JSON: the events that the input is made of", null=True),
    ]


def _create_logs() -> None:
    op.create_table(
        "logs",
        _column("log_id", sa.Integer(), "number of the log, in every key"),
        _column("generation", sa.Integer(), "counts the times that the log was replaced by a copy"),
        _column("created_at", _MOMENT, "when the log was created"),
        _column("name", sa.Text(), "name of the namespace or Application"),
        _column("identity", sa.Text(), "random; a cursor of another identity is refused"),
        sa.PrimaryKeyConstraint("log_id", name="logs_pk"),
        sa.UniqueConstraint("name", name="logs_name"),
        comment="The logs of this database, each with a lock and positions of its own.",
        schema=_schema(),
    )


def _create_streams() -> None:
    op.create_table(
        "streams",
        _column("stream", sa.BigInteger(), "number of the stream: position of its first event"),
        _log_id(),
        _column(
            "gate",
            sa.SmallInteger(),
            "what the run lets through: Gate",
            server_default="0",
        ),
        _column("id", sa.LargeBinary(), "the 16 bytes of the stream's UUID"),
        _column("flow", sa.Text(), "name of the run's flow; null: not a run", null=True),
        sa.PrimaryKeyConstraint("log_id", "stream", name="streams_pk"),
        sa.UniqueConstraint("log_id", "id", name="streams_id"),
        comment="What a stream number stands for.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )


def _create_events() -> None:
    op.create_table(
        "events",
        _column("position", sa.BigInteger(), "place in the log, from 1, contiguous"),
        _column("stream", sa.BigInteger(), "number of the stream"),
        _column("ts", _MOMENT, "when recorded, never before the event before it"),
        _log_id(),
        _column("version", sa.Integer(), "place in the stream, from 1, contiguous"),
        _column("activation", sa.Integer(), "activation that this is about", null=True),
        _column("attempt", sa.Integer(), "attempt that this is about", null=True),
        _column("cause", sa.Integer(), "version of the event that caused this one", null=True),
        _column("topic", sa.Text(), "type of the event; never changes"),
        _column("step", sa.Text(), "step that this is about", null=True),
        _column("key", sa.Text(), "key of the queue's keyed limit", null=True),
        _column("state", sa.LargeBinary(), "the encoded event; null: kept in blobs", null=True),
        _column("blob", sa.LargeBinary(), "hash of the encoded event in blobs", null=True),
        _column("chain", sa.LargeBinary(), "reserved: hash over the stream up to here", null=True),
        sa.PrimaryKeyConstraint("log_id", "position", name="events_pk"),
        sa.UniqueConstraint("stream", "log_id", "version", name="events_version"),
        comment="The log: append-only, the only truth.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )


def _create_blobs() -> None:
    op.create_table(
        "blobs",
        _log_id(),
        _column("hash", sa.LargeBinary(), "SHA-256 of body"),
        _column("body", sa.LargeBinary(), "the encoded event"),
        sa.PrimaryKeyConstraint("log_id", "hash", name="blobs_pk"),
        comment="Encoded events too large for a row of the log.",
        schema=_schema(),
    )


def _create_batches() -> None:
    op.create_table(
        "batches",
        _column("appender", sa.BigInteger(), "random, of the process that sent it"),
        _column("number", sa.BigInteger(), "counts the batches of the appender"),
        _column("first_position", sa.BigInteger(), "position of its first event; 0: recorded none"),
        _column("at", _MOMENT, "when it was committed"),
        _log_id(),
        _column(
            "outcomes",
            sa.Text(),
            "what was refused: JSON [[item, refusal, stream], ...]; null: nothing",
            null=True,
        ),
        sa.PrimaryKeyConstraint("log_id", "appender", "number", name="batches_pk"),
        comment="Commits of the last hour, so that one sent twice is answered as at first.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )
    _index("batches_at", "batches", "log_id", "at")


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        *_work(),
        _column("blocked", sa.Boolean(), "not claimable now: its run is paused or drains"),
        _column("member", sa.BigInteger(), "token of the member that leases it", null=True),
        sa.PrimaryKeyConstraint("log_id", "id", name="jobs_pk"),
        comment="Activations that are ready or leased.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )
    ready = "member IS NULL AND NOT blocked"
    _index("jobs_ready", "jobs", "log_id", "queue", "priority", "id", where=ready)
    _index("jobs_leased", "jobs", "log_id", "member", where="member IS NOT NULL")
    _index("jobs_stream", "jobs", "log_id", "stream")


def _create_timers() -> None:
    op.create_table(
        "timers",
        _column("due_at", _MOMENT, "when it takes effect, by the store's clock"),
        *_work(),
        _column("kind", sa.Text(), "start and retry become jobs; other kinds only a fact"),
        sa.PrimaryKeyConstraint("log_id", "id", name="timers_pk"),
        comment="What happens later.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )
    _index("timers_due", "timers", "log_id", "due_at")
    _index("timers_stream", "timers", "log_id", "stream")


def _create_open_runs() -> None:
    op.create_table(
        "open_runs",
        _column("stream", sa.BigInteger(), "the run"),
        _log_id(),
        sa.PrimaryKeyConstraint("log_id", "stream", name="open_runs_pk"),
        comment="Runs without an end: a row is inserted with the start, deleted with the end.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )


def _create_members() -> None:
    op.create_table(
        "members",
        _column("token", sa.BigInteger(), "random; fences everything that the process leases"),
        _column("expires_at", _MOMENT, "end of its leases unless renewed"),
        _log_id(),
        _column("name", sa.Text(), "what the process calls itself"),
        _column("roles", sa.Text(), "what it does"),
        sa.PrimaryKeyConstraint("log_id", "token", name="members_pk"),
        comment="One row a living process.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )


def _create_leaders() -> None:
    op.create_table(
        "leaders",
        _column("token", sa.BigInteger(), "the member that leads"),
        _column("expires_at", _MOMENT, "end of its lead unless renewed"),
        _log_id(),
        _column("role", sa.Text(), "what it alone does: dispatcher"),
        sa.PrimaryKeyConstraint("log_id", "role", name="leaders_pk"),
        comment="Who alone does what.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )


def _create_cursors() -> None:
    op.create_table(
        "cursors",
        _column("position", sa.BigInteger(), "the last event read"),
        _column("saved_at", _MOMENT, "when it was saved"),
        _log_id(),
        _column("generation", sa.Integer(), "of the log it belongs to"),
        _column("name", sa.Text(), "whose cursor"),
        _column("identity", sa.Text(), "of the log it belongs to"),
        sa.PrimaryKeyConstraint("log_id", "name", name="cursors_pk"),
        comment="How far readers have come.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )


def _create_inbox() -> None:
    op.create_table(
        "inbox",
        _column("id", _SERIAL, "order of arrival, roughly"),
        _column("created_at", _MOMENT, "when it was written"),
        _log_id(),
        _column("run_id", sa.LargeBinary(), "the 16 bytes of the UUID that the run will have"),
        _column("body", sa.Text(), "JSON of the start"),
        sa.PrimaryKeyConstraint("id", name="inbox_pk"),
        comment="Starts written inside a caller's transaction, not recorded yet.",
        schema=_schema(),
    )
    _index("inbox_log", "inbox", "log_id", "id")


def _create_tracking() -> None:
    op.create_table(
        "tracking",
        _column("position", sa.BigInteger(), "last notification processed"),
        _log_id(),
        _column("application", sa.Text(), "name of the upstream Application"),
        sa.PrimaryKeyConstraint("log_id", "application", "position", name="tracking_pk"),
        comment="What attached Applications have processed.",
        sqlite_with_rowid=False,
        schema=_schema(),
    )
