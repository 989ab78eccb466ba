"""A database with the schema for each test; one on PostgreSQL is made by ``tests/conftest.py``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runfold.store.sql.attached_log import open_database


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that has the schema and nothing else."""
    file = tmp_path_factory.mktemp("schema") / "runfold.db"
    database = open_database(f"sqlite:///{file}")
    database.read(lambda _connection: None)
    database.close()
    return file


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """The URL of a fresh SQLite file with the schema of this release."""
    return f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'runfold.db')}"


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database of each kind."""
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def memory_url() -> str:
    """The URL of a database that is gone with whoever opens it."""
    return "memory://"
