"""How the suites that the library ships are run against our databases.

A suite gets its database from the class that stands before it in
``class TestEvents(OnSqlite, Events)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import TrackingRecorder
from eventsourcing.projection import BaseProjectionRunner
from eventsourcing.utils import Environment

from runfold.contrib.eventsourcing import RunfoldFactory

MODULE = "runfold.contrib.eventsourcing"
PATIENCE = 30.0
"""Seconds that the suites wait for a projection; the library's second is short on a busy host."""


class Attached:
    """Has a fresh database, ``url``, and makes factories that are closed after the test."""

    __test__ = False
    database: str
    url: str
    _factories: list[RunfoldFactory]

    @pytest.fixture(autouse=True)
    def _attach(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        self.url = request.getfixturevalue(self.database)
        self._factories = []
        monkeypatch.setenv("PERSISTENCE_MODULE", MODULE)
        monkeypatch.setenv("RUNFOLD_URL", self.url)
        for wait in (TrackingRecorder.wait, BaseProjectionRunner.wait):
            assert wait.__defaults__ is not None
            monkeypatch.setattr(wait, "__defaults__", (PATIENCE, *wait.__defaults__[1:]))
        yield
        for factory in self._factories:
            factory.close()

    def environment(self, name: str = "suite") -> Environment:
        """Return the environment of the Application ``name``."""
        return Environment(name, {"PERSISTENCE_MODULE": MODULE, "RUNFOLD_URL": self.url})

    def new_factory(self) -> RunfoldFactory:
        """Return a factory that this test closes."""
        self._factories.append(RunfoldFactory(self.environment()))
        return self._factories[-1]


class OnMemory(Attached):
    """Runs a suite in memory."""

    __test__ = True
    database = "memory_url"


class OnSqlite(Attached):
    """Runs a suite on a SQLite file."""

    __test__ = True
    database = "sqlite_url"


class OnPostgres(Attached):
    """Runs a suite on PostgreSQL."""

    __test__ = True
    database = "postgres_url"


class OnEmptyPostgres(Attached):
    """Runs a suite on PostgreSQL without a schema, to which it may add its own tables."""

    __test__ = True
    database = "empty_postgres_url"


class WithTextIds:
    """Gives aggregates strings for ids."""

    def new_originator_id(self) -> UUID | str:
        """Return a new id."""
        return f"test-{uuid4()}"
