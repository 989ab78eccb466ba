"""The schema that the migrations make, how a database gets it, and what is refused."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

from conftest import Server
from runfold.errors import SchemaOutdated
from runfold.flow.events import ENDS, StepStarted
from runfold.settings import Settings
from runfold.store.sql import migrate, schema
from runfold.store.sql.functions import name_of
from runfold.store.sql.postgres import PostgresStore

PROCESSES = 2
FUNCTIONS = migrate.scripts() / "sql" / "functions"
OLDER_FUNCTIONS = """
    CREATE OR REPLACE FUNCTION runfold.expire(p_log integer, p_limit integer, p_now timestamptz)
        RETURNS integer LANGUAGE sql AS 'SELECT -1'; -- another body
    DROP FUNCTION runfold.streams_of;
    CREATE FUNCTION runfold.streams_of(p_log integer, p_ids bytea[])
        RETURNS text LANGUAGE sql AS 'SELECT NULL'; -- another result
    DROP FUNCTION runfold.lock_log;
    CREATE FUNCTION runfold.lock_log(which integer)
        RETURNS void LANGUAGE sql AS ''; -- other names
    CREATE FUNCTION runfold.start(flow text)
        RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'; -- other parameters
    CREATE FUNCTION runfold.gone() RETURNS integer LANGUAGE sql AS 'SELECT 1'; -- no file has it
    REVOKE EXECUTE ON FUNCTION runfold.lead FROM public;
"""


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'log.db'}"


def psycopg_url(url: str) -> str:
    plain = make_url(url).set(drivername="postgresql+psycopg")
    return plain.render_as_string(hide_password=False)


def revision_of(url: str) -> str | None:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        found = migrate.current(connection)
    engine.dispose()
    return found


def set_revision(url: str, revision: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE runfold.schema_version SET version_num = %s", [revision])


def open_postgres(url: str, *, migrating: bool = False) -> None:
    async def opened() -> None:
        store = PostgresStore(url, Settings(migrate=migrating))
        await store.open()
        await store.close()

    asyncio.run(opened())


def upgrade_sqlite(url: str, together: Any) -> None:
    together.wait()
    with sa.create_engine(url).connect() as connection:
        migrate.upgrade(connection)


def upgrade_postgres(url: str, together: Any) -> None:
    together.wait()
    open_postgres(url)


def in_many_processes(work: Callable[[str, Any], None], url: str) -> list[int | None]:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(PROCESSES)
    processes = [context.Process(target=work, args=(url, together)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make this the release after the current one: it has one more migration."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.scripts(), folder)
    revision = f"{int(schema.HEAD) + 1:04}"
    (folder / "versions" / f"{revision}_more.py").write_text(
        "from alembic import op\n"
        f"revision, down_revision = {revision!r}, {schema.HEAD!r}\n"
        "branch_labels = depends_on = None\n"
        "def upgrade():\n"
        "    op.execute('CREATE TABLE runfold.more (n integer)')\n"
    )
    monkeypatch.setattr(migrate, "HEAD", revision)
    monkeypatch.setattr(migrate, "scripts", lambda: folder)
    return revision


@pytest.fixture
def poor_role(postgres_server: Server, empty_postgres_url: str) -> Iterator[str]:
    """The URL of the empty database for a role that may create nothing in it."""
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE runfold_poor LOGIN PASSWORD 'poor'")
        yield (
            make_url(empty_postgres_url)
            .set(username="runfold_poor", password="poor")
            .render_as_string(hide_password=False)
        )
        connection.execute("DROP ROLE runfold_poor")


def test_the_migrations_make_the_tables_of_this_release_on_sqlite(tmp_path: Path) -> None:
    ours = sa.MetaData()
    for table in schema.METADATA.tables.values():
        table.to_metadata(ours, schema=None)
    engine = sa.create_engine(sqlite_url(tmp_path))
    with engine.connect() as connection:
        migrate.upgrade(connection)
        assert compare_metadata(_compared(connection, None), ours) == []
    engine.dispose()


def test_the_migrations_make_the_tables_of_this_release_on_postgres(postgres_url: str) -> None:
    engine = sa.create_engine(psycopg_url(postgres_url))
    with engine.connect() as connection:
        assert compare_metadata(_compared(connection, "runfold"), schema.METADATA) == []
    engine.dispose()


def _compared(connection: sa.Connection, where: str | None) -> MigrationContext:
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "include_schemas": where is not None,
        "include_name": lambda name, kind, _: kind != "schema" or name == where,
        "version_table": migrate.VERSION_TABLE,
        "version_table_schema": where,
    }
    return MigrationContext.configure(connection, opts=options)


def test_the_head_of_this_release_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.scripts()))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.head()]


@pytest.mark.parametrize("table", schema.METADATA.tables.values(), ids=lambda table: table.name)
def test_every_table_and_column_says_what_it_holds(table: sa.Table) -> None:
    assert table.comment
    assert [column.name for column in table.columns if not column.comment] == []


@pytest.mark.parametrize("table", schema.METADATA.tables.values(), ids=lambda table: table.name)
def test_every_table_is_divided_by_log(table: sa.Table) -> None:
    assert "log_id" in table.columns


def test_the_functions_know_the_types_of_events() -> None:
    text = (FUNCTIONS / "30_commit.sql").read_text()
    assert all(f"'{topic}'" in text for topic in ENDS)
    assert f"'{StepStarted.TOPIC}'" in (FUNCTIONS / "36_claim.sql").read_text()


@pytest.mark.parametrize("file", sorted(FUNCTIONS.glob("*.sql")), ids=lambda file: file.stem)
def test_every_file_of_functions_replaces_the_one_of_its_name(file: Path) -> None:
    found = re.findall(r"^CREATE .*?FUNCTION runfold\.\w+", file.read_text(), re.MULTILINE)
    assert found == [f"CREATE OR REPLACE FUNCTION runfold.{name_of(file)}"]


def test_an_empty_file_is_migrated_by_many_processes_at_once(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    assert in_many_processes(upgrade_sqlite, url) == [0] * PROCESSES
    assert revision_of(url) == schema.HEAD


def test_an_empty_database_is_set_up_by_many_processes_at_once(empty_postgres_url: str) -> None:
    assert in_many_processes(upgrade_postgres, empty_postgres_url) == [0] * PROCESSES
    assert revision_of(psycopg_url(empty_postgres_url)) == schema.HEAD


def test_an_empty_database_is_not_set_up_by_a_role_that_may_not(poor_role: str) -> None:
    with pytest.raises(SchemaOutdated, match="run `runfold migrate` as a role that may"):
        open_postgres(poor_role)


def test_an_older_database_is_refused_with_the_command(
    empty_postgres_url: str, next_release: str
) -> None:
    _at_this_release(empty_postgres_url)
    with pytest.raises(SchemaOutdated, match="run `runfold migrate`, or serve with Settings"):
        open_postgres(empty_postgres_url)
    assert revision_of(psycopg_url(empty_postgres_url)) == schema.HEAD


def test_an_older_database_is_migrated_when_the_settings_say_so(
    empty_postgres_url: str, next_release: str
) -> None:
    _at_this_release(empty_postgres_url)
    open_postgres(empty_postgres_url, migrating=True)
    assert revision_of(psycopg_url(empty_postgres_url)) == next_release


def test_a_migration_leaves_the_functions_of_its_release_and_their_grants(
    empty_postgres_url: str, next_release: str
) -> None:
    _at_this_release(empty_postgres_url)
    ours = _functions_of(empty_postgres_url)
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute(OLDER_FUNCTIONS)
    granted = _grants_of(empty_postgres_url, "lead")
    assert _functions_of(empty_postgres_url) != ours
    open_postgres(empty_postgres_url, migrating=True)
    assert _functions_of(empty_postgres_url) == ours
    assert _grants_of(empty_postgres_url, "lead") == granted
    assert granted is not None


def test_a_migration_that_would_drop_what_a_view_needs_changes_nothing(
    empty_postgres_url: str, next_release: str
) -> None:
    _at_this_release(empty_postgres_url)
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute(OLDER_FUNCTIONS)
        connection.execute("CREATE VIEW theirs AS SELECT runfold.gone()")
    older = _functions_of(empty_postgres_url)
    with pytest.raises(sa.exc.DBAPIError, match="other objects depend on it"):
        open_postgres(empty_postgres_url, migrating=True)
    assert _functions_of(empty_postgres_url) == older
    assert revision_of(psycopg_url(empty_postgres_url)) == schema.HEAD


def _functions_of(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT pg_get_functiondef(oid) FROM pg_proc"
            " WHERE pronamespace = 'runfold'::regnamespace ORDER BY 1"
        ).fetchall()
    return [text for (text,) in found]


def _grants_of(url: str, function: str) -> str | None:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT proacl::text FROM pg_proc"
            " WHERE pronamespace = 'runfold'::regnamespace AND proname = %s",
            [function],
        ).fetchone()
    return found[0] if found else None


def _at_this_release(url: str) -> None:
    open_postgres(url)
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE runfold.more")
    set_revision(url, schema.HEAD)


def test_a_newer_database_is_refused(empty_postgres_url: str) -> None:
    open_postgres(empty_postgres_url)
    set_revision(empty_postgres_url, "9999")
    with pytest.raises(
        SchemaOutdated, match=f"newer than {schema.HEAD!r} of this release; upgrade"
    ):
        open_postgres(empty_postgres_url, migrating=True)


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    engine = sa.create_engine(sqlite_url(tmp_path))
    with engine.connect() as connection:
        migrate.upgrade(connection)
        connection.execute(sa.text("UPDATE schema_version SET version_num = '9999'"))
        connection.commit()
        with pytest.raises(SchemaOutdated, match="upgrade runfold"):
            migrate.upgrade(connection)
    engine.dispose()


def test_each_revision_is_empty_older_current_or_newer() -> None:
    assert migrate.check(None) is migrate.State.EMPTY
    assert migrate.check("0000") is migrate.State.OLDER
    assert migrate.check(migrate.head()) is migrate.State.CURRENT
    assert migrate.check("9999") is migrate.State.NEWER
