"""The library's suites of Applications and projections, on our factory."""

from __future__ import annotations

from typing import ClassVar

import pytest
from eventsourcing.tests import application, projection
from eventsourcing.tests.projection import EventCountersView

from contrib.counters import EventCounters
from contrib.suites import Attached, OnEmptyPostgres, OnPostgres, OnSqlite


class Example(Attached, application.ExampleApplicationTestCase):
    expected_factory_topic = "runfold.contrib.eventsourcing.factory:RunfoldFactory"


@pytest.mark.filterwarnings("default:.* is deprecated")  # One of them counts the warnings.
class Applications(Attached, application.ApplicationTestCase): ...


class View(Attached, projection.EventCountersViewTestCase):
    def construct_event_counters_view(self) -> EventCountersView:
        return self.new_factory().tracking_recorder(EventCounters)


class AggregateProjection(Attached, projection.AggregateEventCountersProjectionTestCase):
    view_class = EventCounters


class EventSourced(Attached, projection.EventSourcedProjectionTestCase): ...


class TaggedProjection(Attached, projection.TaggedDecisionCountersProjectionTestCase):
    """The view is ours. The DCB Application is not: see ``docs/how-to/eventsourcing.md``."""

    view_class = EventCounters
    env: ClassVar[dict[str, str]] = {
        "DCBAPPLICATION_PERSISTENCE_MODULE": "eventsourcing.dcb.popo",
        "MAPPER_TOPIC": "eventsourcing.dcb.msgpack:MessagePackMapper",
    }


class TestExampleOnSqlite(OnSqlite, Example): ...


class TestExampleOnPostgres(OnPostgres, Example): ...


class TestApplicationsOnSqlite(OnSqlite, Applications): ...


class TestApplicationsOnPostgres(OnPostgres, Applications): ...


class TestViewOnSqlite(OnSqlite, View): ...


class TestViewOnPostgres(OnEmptyPostgres, View): ...


class TestAggregateProjectionOnSqlite(OnSqlite, AggregateProjection): ...


class TestAggregateProjectionOnPostgres(OnEmptyPostgres, AggregateProjection): ...


class TestEventSourcedOnSqlite(OnSqlite, EventSourced): ...


class TestEventSourcedOnPostgres(OnPostgres, EventSourced): ...


class TestTaggedProjectionOnSqlite(OnSqlite, TaggedProjection): ...


class TestTaggedProjectionOnPostgres(OnEmptyPostgres, TaggedProjection): ...
