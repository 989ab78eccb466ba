"""What a role of PostgreSQL is told that may work with the tables and not make any."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy.engine import make_url

from conftest import Server
from runfold.errors import SchemaOutdated
from runfold.ports_views import ViewColumn, ViewTable
from runfold.store.sql.postgres import PostgresStore

TABLE = ViewTable("orders", 1, 1, (ViewColumn("id", "text", False),), ("id",), (), "shape")


@pytest.fixture
def worker_url(postgres_server: Server, postgres_url: str) -> Iterator[str]:
    """The URL of a migrated database for a role that may read and write what is there."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE runfold_worker LOGIN PASSWORD 'poor'")
        connection.execute("GRANT USAGE ON SCHEMA runfold TO runfold_worker")
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA runfold TO runfold_worker")
        yield (
            make_url(postgres_url)
            .set(username="runfold_worker", password="poor")
            .render_as_string(hide_password=False)
        )
        connection.execute("DROP OWNED BY runfold_worker")
        connection.execute("DROP ROLE runfold_worker")


def test_who_may_not_make_the_table_of_a_view_is_told_what_to_grant(worker_url: str) -> None:
    async def main() -> None:
        store = PostgresStore(worker_url)
        await store.open()
        try:
            with pytest.raises(SchemaOutdated, match="grant it CREATE on schema runfold"):
                await store.views.create(TABLE, state="live")
            assert await store.views.parts() == []
            assert await store.head() == 0
        finally:
            await store.close()

    asyncio.run(main())
