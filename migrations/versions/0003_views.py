"""The registry of views: which builds of projections there are, how far, kept by whom."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "views",
        _column("position", sa.BigInteger(), "the last event that its rows contain"),
        _column("token", sa.BigInteger(), "who keeps it", null=True),
        _column("expires_at", _MOMENT, "end of the keeper's lease unless renewed", null=True),
        _column("saved_at", _MOMENT, "when its position last moved"),
        _column("log_id", sa.Integer(), "which log: the namespace or the attached Application"),
        _column("version", sa.Integer(), "version of the projection"),
        _column("build", sa.Integer(), "counts the builds of this version, from 1"),
        _column("part", sa.Integer(), "which part of the build, from 0"),
        _column("parts", sa.Integer(), "how many parts the build has"),
        _column("generation", sa.Integer(), "of the log it was made for"),
        _column("name", sa.Text(), "name of the projection"),
        _column("state", sa.Text(), "live, building or old"),
        _column("shape", sa.Text(), "hash of columns, key and indexes"),
        _column("identity", sa.Text(), "of the log it was made for"),
        _column("error", sa.Text(), "JSON: why it stopped; null: it did not", null=True),
        sa.PrimaryKeyConstraint("log_id", "name", "version", "build", "part", name="views_pk"),
        comment="Builds of projections: which is live, how far they are, who keeps them.",
        sqlite_with_rowid=False,
        schema="runfold" if op.get_bind().dialect.name == "postgresql" else None,
    )


def downgrade() -> None:
    raise NotImplementedError("drop the table views: it is made again from the log")


def _column(name: str, kind: Any, comment: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=null, comment=comment)
