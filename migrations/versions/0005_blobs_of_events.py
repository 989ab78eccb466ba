"""Which events have a blob: asked when one of them is erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = "runfold" if op.get_bind().dialect.name == "postgresql" else None
    some = sa.text("blob IS NOT NULL")
    for table in ("events", "archive"):
        op.create_index(
            f"{table}_blob", table, ["log_id", "blob"],
            schema=schema, sqlite_where=some, postgresql_where=some,
        )  # fmt: skip


def downgrade() -> None:
    raise NotImplementedError("drop the indexes events_blob and archive_blob by hand")
