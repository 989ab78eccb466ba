"""A view with a table of its own, as a user of the library writes it."""

from __future__ import annotations

from typing import Any

from eventsourcing.persistence import Tracking
from eventsourcing.tests.projection import EventCountersView
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, insert, select, update

from runfold.contrib.eventsourcing import RunfoldTrackingRecorder

METADATA = MetaData()
COUNTERS = Table(
    "counters",
    METADATA,
    Column("name", Text(), primary_key=True),
    Column("number", Integer(), nullable=False),
)


class EventCounters(RunfoldTrackingRecorder, EventCountersView):
    """Counts events by kind."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.write(METADATA.create_all)

    def get_created_event_counter(self) -> int:
        return self._get("created")

    def get_subsequent_event_counter(self) -> int:
        return self._get("subsequent")

    def incr_created_event_counter(self, tracking: Tracking) -> None:
        self.write(lambda connection: _increase(connection, "created"), tracking)

    def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
        self.write(lambda connection: _increase(connection, "subsequent"), tracking)

    def _get(self, name: str) -> int:
        number = select(COUNTERS.c.number).where(COUNTERS.c.name == name)
        return self.read(lambda connection: connection.scalar(number)) or 0


def _increase(connection: Connection, name: str) -> None:
    more = update(COUNTERS).where(COUNTERS.c.name == name).values(number=COUNTERS.c.number + 1)
    if not connection.execute(more).rowcount:
        connection.execute(insert(COUNTERS).values(name=name, number=1))
