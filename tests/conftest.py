"""Databases for tests: one PostgreSQL server a run, one fresh database a test.

The server is that of ``benchmarks/server.py``, or the one that ``RUNFOLD_TEST_POSTGRES``
points to (its role must be allowed to create databases). Nothing is skipped without one:
a suite that does not see PostgreSQL says nothing about it.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from itertools import count

import psycopg
import pytest
from benchmarks.server import running_server
from hypothesis import Phase, settings
from sqlalchemy.engine import make_url

# Of the mutation run: the same examples each time, and the first that fails is enough.
settings.register_profile(
    "mutation", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate)
)

FAST = (
    # What a test run may lose: nothing outlives it.
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    "max_connections = 200",
    "autovacuum = off",
)


class Server:
    """A PostgreSQL server on which databases come and go."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = count(1)
        self._made: list[str] = []
        self._clean: list[str] = []

    def create(self) -> str:
        """Return the URL of a new database without anything in it."""
        name = f"runfold_test_{os.getpid()}_{next(self._numbers)}"
        self._run(f"CREATE DATABASE {name}")
        url = make_url(self.url).set(database=name).render_as_string(hide_password=False)
        self._made.append(url)
        return url

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._run(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")
        self._made.remove(url)

    def borrow(self) -> str:
        """Return the URL of a database that has the schema and nothing else."""
        if self._clean:
            return self._clean.pop()
        url = self.create()
        migrate(url)
        return url

    def give_back(self, url: str) -> None:
        """Empty a borrowed database for the next test: faster than a new one."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_DISCONNECT)
            connection.execute(_EMPTY)
        self._clean.append(url)

    def clear(self) -> None:
        """Remove every database that is left."""
        for url in list(self._made):
            self.drop(url)

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]


_DISCONNECT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_EMPTY = r"""
    DO $$
    DECLARE
        made text;
    BEGIN
        FOR made IN SELECT tablename FROM pg_tables
            WHERE schemaname = 'runfold' AND tablename LIKE 'view\_%'
        LOOP
            EXECUTE 'DROP TABLE runfold.' || quote_ident(made);
        END LOOP;
        EXECUTE (
            SELECT 'TRUNCATE ' || string_agg('runfold.' || tablename, ', ') || ' RESTART IDENTITY'
            FROM pg_tables WHERE schemaname = 'runfold' AND tablename <> 'schema_version'
        );
    END $$
"""


def migrate(url: str) -> None:
    """Bring a database to the schema of this release."""
    from sqlalchemy import create_engine

    from runfold.store.sql.migrate import upgrade

    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        upgrade(connection)
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server of this run."""
    with contextlib.ExitStack() as stack:
        url = os.environ.get("RUNFOLD_TEST_POSTGRES") or stack.enter_context(running_server(FAST))
        server = Server(url)
        stack.callback(server.clear)
        yield server


@pytest.fixture
def postgres_database(postgres_server: Server) -> Iterator[Callable[[], str]]:
    """A function that returns the URL of one more database with the schema of this release."""
    borrowed: list[str] = []

    def borrow() -> str:
        borrowed.append(postgres_server.borrow())
        return borrowed[-1]

    yield borrow
    for url in borrowed:
        postgres_server.give_back(url)


@pytest.fixture
def postgres_url(postgres_database: Callable[[], str]) -> str:
    """The URL of a database with the schema of this release and nothing else.

    Other tests get it later: what changes the schema itself takes ``empty_postgres_url``.
    """
    return postgres_database()


@pytest.fixture
def empty_postgres_url(postgres_server: Server) -> Iterator[str]:
    """The URL of a new database without anything in it."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


def pytest_configure() -> None:
    """Let all processes of a run hash alike: what they share out has the same names in each."""
    os.environ.setdefault("PYTHONHASHSEED", str(random.SystemRandom().randrange(2**32)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse tests that are called differently in each process: nobody could share them out."""
    named = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if named:
        raise pytest.UsageError(f"give their parameters ids (parameters.shown): {named[:3]}")


def pytest_report_header() -> str:
    """Say how this run hashes."""
    return f"PYTHONHASHSEED={os.environ['PYTHONHASHSEED']}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what could not be tested on this machine."""
    for skipped in terminalreporter.stats.get("skipped", ()):
        terminalreporter.write_line(f"NOT TESTED HERE: {skipped.longrepr[2]}", yellow=True)
