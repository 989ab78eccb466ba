"""The archive: where runs that have ended leave the log for, whole."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "archive",
        _column("position", sa.BigInteger(), "place in the log, from 1, contiguous"),
        _column("stream", sa.BigInteger(), "number of the stream"),
        _column("ts", _MOMENT, "when recorded, never before the event before it"),
        _column("log_id", sa.Integer(), "which log: the namespace or the attached Application"),
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
        sa.PrimaryKeyConstraint("log_id", "position", name="archive_pk"),
        sa.UniqueConstraint("stream", "log_id", "version", name="archive_version"),
        comment="Runs that have ended and left the log, whole; read with it as one.",
        sqlite_with_rowid=False,
        schema="runfold" if op.get_bind().dialect.name == "postgresql" else None,
    )


def downgrade() -> None:
    raise NotImplementedError("the archive is a part of the truth: restore a backup")


def _column(name: str, kind: Any, comment: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=null, comment=comment)
