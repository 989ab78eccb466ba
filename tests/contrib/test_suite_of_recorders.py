"""The library's suites of recorders and factories, on our recorders and factory."""

from __future__ import annotations

from typing import Any

from eventsourcing.persistence import AggregateRecorder, ProcessRecorder, TrackingRecorder
from eventsourcing.tests import persistence as shipped

from contrib.suites import Attached, OnMemory, OnPostgres, OnSqlite, WithTextIds
from runfold.contrib.eventsourcing import (
    RunfoldAggregateRecorder,
    RunfoldApplicationRecorder,
    RunfoldFactory,
    RunfoldProcessRecorder,
    RunfoldTrackingRecorder,
)


class Aggregates(Attached, shipped.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return self.new_factory().aggregate_recorder()


class Events(Attached, shipped.ApplicationRecorderTestCase[Any]):
    def create_recorder(self) -> Any:
        return self.new_factory().application_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class Trackings(Attached, shipped.TrackingRecorderTestCase):
    def create_recorder(self) -> TrackingRecorder:
        return self.new_factory().tracking_recorder()


class Processes(Attached, shipped.ProcessRecorderTestCase):
    def create_recorder(self) -> ProcessRecorder:
        return self.new_factory().process_recorder()


class Interleaving(Attached, shipped.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> Any:
        return self.new_factory().application_recorder()


class SomeTrackingRecorder(RunfoldTrackingRecorder):
    pass


class Factories(Attached, shipped.InfrastructureFactoryTestCase[RunfoldFactory]):
    def setUp(self) -> None:
        self.env = self.environment()
        super().setUp()

    def expected_factory_class(self) -> type[RunfoldFactory]:
        return RunfoldFactory

    def expected_aggregate_recorder_class(self) -> type[RunfoldAggregateRecorder]:
        return RunfoldAggregateRecorder

    def expected_application_recorder_class(self) -> type[RunfoldApplicationRecorder]:
        return RunfoldApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[RunfoldTrackingRecorder]:
        return RunfoldTrackingRecorder

    def tracking_recorder_subclass(self) -> type[RunfoldTrackingRecorder]:
        return SomeTrackingRecorder

    def expected_process_recorder_class(self) -> type[RunfoldProcessRecorder]:
        return RunfoldProcessRecorder


class TestAggregatesInMemory(OnMemory, Aggregates): ...


class TestAggregatesOnSqlite(OnSqlite, Aggregates): ...


class TestAggregatesOnPostgres(OnPostgres, Aggregates): ...


class TestTextAggregatesOnSqlite(OnSqlite, WithTextIds, Aggregates): ...


class TestTextAggregatesOnPostgres(OnPostgres, WithTextIds, Aggregates): ...


class TestEventsInMemory(OnMemory, Events): ...


class TestEventsOnSqlite(OnSqlite, Events): ...


class TestEventsOnPostgres(OnPostgres, Events): ...


class TestTextEventsOnSqlite(OnSqlite, WithTextIds, Events): ...


class TestTextEventsOnPostgres(OnPostgres, WithTextIds, Events): ...


class TestTrackingsInMemory(OnMemory, Trackings): ...


class TestTrackingsOnSqlite(OnSqlite, Trackings): ...


class TestTrackingsOnPostgres(OnPostgres, Trackings): ...


class TestProcessesInMemory(OnMemory, Processes): ...


class TestProcessesOnSqlite(OnSqlite, Processes): ...


class TestProcessesOnPostgres(OnPostgres, Processes): ...


class TestTextProcessesOnSqlite(OnSqlite, WithTextIds, Processes): ...


class TestTextProcessesOnPostgres(OnPostgres, WithTextIds, Processes): ...


class TestInterleavingInMemory(OnMemory, Interleaving): ...


class TestInterleavingOnSqlite(OnSqlite, Interleaving): ...


class TestInterleavingOnPostgres(OnPostgres, Interleaving): ...


class TestFactoriesOnSqlite(OnSqlite, Factories): ...


class TestFactoriesOnPostgres(OnPostgres, Factories): ...
