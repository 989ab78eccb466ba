"""When the database is set up, and what is said when it cannot be used."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import InterfaceError, OperationalError, StoredEvent
from sqlalchemy import text

from runfold.contrib.eventsourcing import RunfoldFactory
from runfold.errors import InvalidSettings, SchemaOutdated
from runfold.store.sql import blocking


@pytest.fixture(params=["new_file", "empty_postgres_url"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database without anything in it."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def new_file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new.db'}"


@pytest.fixture
def factory(url: str) -> Iterator[RunfoldFactory]:
    made = RunfoldFactory({"RUNFOLD_URL": url})
    yield made
    made.close()


def insert(factory: RunfoldFactory) -> object:
    return factory.application_recorder().insert_events([StoredEvent(uuid4(), 1, "topic", b"")])


def test_an_empty_database_is_set_up_at_the_first_call(empty_url: str) -> None:
    factory = RunfoldFactory({"RUNFOLD_URL": empty_url})
    assert insert(factory) == [1]
    factory.close()


def test_nothing_is_opened_before_the_first_call(tmp_path: Path) -> None:
    factory = RunfoldFactory({"RUNFOLD_URL": f"sqlite:///{tmp_path / 'new.db'}"})
    factory.application_recorder()
    factory.close()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_left_alone_when_asked_to(empty_url: str) -> None:
    factory = RunfoldFactory({"RUNFOLD_URL": empty_url, "CREATE_TABLE": "n"})
    with pytest.raises(SchemaOutdated, match="runfold migrate"):
        insert(factory)
    factory.close()


def test_a_database_of_a_newer_release_is_refused(empty_url: str) -> None:
    first = RunfoldFactory({"RUNFOLD_URL": empty_url})
    name = "schema_version" if empty_url.startswith("sqlite") else "runfold.schema_version"
    first.tracking_recorder().write(
        lambda connection: connection.execute(text(f"UPDATE {name} SET version_num = '9999'"))
    )
    first.close()
    factory = RunfoldFactory({"RUNFOLD_URL": empty_url})
    with pytest.raises(SchemaOutdated, match="9999"):
        insert(factory)
    factory.close()


def test_a_closed_factory_says_so(factory: RunfoldFactory) -> None:
    insert(factory)
    factory.close()
    with pytest.raises(InterfaceError, match="was closed"):
        insert(factory)


def test_memory_may_be_closed_while_others_read_it() -> None:
    factory = RunfoldFactory({"RUNFOLD_URL": "memory://"})
    recorder = factory.application_recorder()
    insert(factory)

    def read_until_closed() -> str:
        try:
            for _ in range(100_000):
                recorder.select_notifications(None, 10)
        except InterfaceError as closed:
            return str(closed)
        return "never closed"

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read_until_closed) for _ in range(4)]
        recorder.select_notifications(None, 10)
        factory.close()
        assert all("was closed" in reader.result(20) for reader in readers)


def test_use_after_a_fork_is_refused(
    factory: RunfoldFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(factory)
    with monkeypatch.context() as child:
        child.setattr(blocking.os, "getpid", lambda: -1)
        with pytest.raises(InterfaceError, match="after a fork"):
            insert(factory)
    assert insert(factory) == [2]


def test_a_recorder_may_be_called_inside_a_running_loop(factory: RunfoldFactory) -> None:
    async def call() -> object:
        return insert(factory)

    assert asyncio.run(call()) == [1]


def test_connections_that_the_server_closed_are_replaced(postgres_url: str) -> None:
    factory = RunfoldFactory({"RUNFOLD_URL": postgres_url})
    assert insert(factory) == [1]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert insert(factory) == [2]
    factory.close()


def test_a_server_that_is_not_there_is_an_operational_error() -> None:
    factory = RunfoldFactory({"RUNFOLD_URL": "postgresql://nobody@127.0.0.1:1/nothing"})
    with pytest.raises(OperationalError):
        insert(factory)
    factory.close()


@pytest.mark.parametrize("url", ["mysql://host/database", "sqlite://", "nonsense"])
def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings):
        RunfoldFactory({"RUNFOLD_URL": url})
