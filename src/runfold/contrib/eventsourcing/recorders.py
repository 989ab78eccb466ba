"""The recorders of the ``eventsourcing`` library over the log of an attached Application.

They store states as they are given, so compressors, ciphers, transcoders and upcasters of
the library work as with its own recorders. What goes wrong is raised as its error classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

from eventsourcing import persistence
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    Notification,
    ProcessRecorder,
    Recorder,
    StoredEvent,
    Subscription,
    Tracking,
    TrackingRecorder,
)

from runfold.contrib.eventsourcing import doorbell
from runfold.contrib.eventsourcing.originator import decode, encode
from runfold.contrib.eventsourcing.subscription import RunfoldSubscription
from runfold.store.sql.attached_log import AttachedLog, Tracked
from runfold.store.sql.attached_queries import AttachedEvent
from runfold.store.sql.blocking import CallFailed, Work

_T = TypeVar("_T")


class RunfoldRecorder(Recorder):
    """What all recorders are: a view of one log."""

    def __init__(self, log: AttachedLog) -> None:
        self.log = log

    def read(self, work: Work[_T]) -> _T:
        """Return ``work(connection)``: for views with tables of their own.

        ``connection`` is SQLAlchemy's; ``work`` must not change anything.
        """
        with _errors_of_the_library():
            return self.log.database.read(work)


class RunfoldAggregateRecorder(RunfoldRecorder, AggregateRecorder):
    """Records events by aggregate; each version of an aggregate once."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Record the events, all or none; raise ``IntegrityError`` when a version is taken."""
        self._insert(stored_events)
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return the aggregate's events in order of version."""
        with _errors_of_the_library():
            events = self.log.stream(
                encode(originator_id), after=gt, upto=lte, newest_first=desc, limit=limit
            )
        return [
            StoredEvent(originator_id, event.version, event.topic, event.state) for event in events
        ]

    def _insert(
        self, stored_events: Sequence[StoredEvent], tracking: Tracking | None = None
    ) -> list[int]:
        events = [
            AttachedEvent(
                encode(event.originator_id), event.originator_version, event.topic, event.state
            )
            for event in stored_events
        ]
        if not events and tracking is None:
            return []
        with _errors_of_the_library():
            positions = self.log.append(events, _tracked(tracking))
        doorbell.ring(self.log.database.place, self.log.name)
        return positions


class RunfoldApplicationRecorder(RunfoldAggregateRecorder, ApplicationRecorder):
    """Records events by aggregate and in one sequence: ids are positions, without gaps."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        """Record the events, all or none; return their notification ids."""
        return self._insert(stored_events)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return at most ``limit`` notifications in order of id."""
        after = max(0, (start or 0) - inclusive_of_start)
        with _errors_of_the_library():
            events = self.log.page(after=after, upto=stop, topics=topics, limit=limit)
        return [
            Notification(decode(event.id), event.version, event.topic, event.state, event.position)
            for event in events
        ]

    def max_notification_id(self) -> int | None:
        """Return the id of the last notification, None before the first."""
        with _errors_of_the_library():
            return self.log.head()

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """Return an iterator over the notifications above ``gt`` that waits for new ones."""
        return RunfoldSubscription(self, gt, topics)


class RunfoldTrackingRecorder(RunfoldRecorder, TrackingRecorder):
    """Records how far the events of upstream Applications were processed, each once.

    A view with tables of its own inherits this and changes them in ``write``.
    """

    def insert_tracking(self, tracking: Tracking) -> None:
        """Record ``tracking``; raise ``IntegrityError`` unless it is above all before it."""
        self.write(lambda _connection: None, tracking)

    def write(self, work: Work[_T], tracking: Tracking | None = None) -> _T:
        """Return ``work(connection)``, committed together with ``tracking`` or not at all.

        ``connection`` is SQLAlchemy's, in a transaction that holds the lock of this log.
        """
        with _errors_of_the_library():
            return self.log.write(work, _tracked(tracking))

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return up to which notification the Application was processed, None: none."""
        with _errors_of_the_library():
            return self.log.tracked(application_name)


class RunfoldProcessRecorder(RunfoldTrackingRecorder, RunfoldApplicationRecorder, ProcessRecorder):
    """Records new events together with which upstream event caused them."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Record the events and the keyword ``tracking``, all or none."""
        return self._insert(stored_events, kwargs.get("tracking"))


def _tracked(tracking: Tracking | None) -> Tracked | None:
    if tracking is None:
        return None
    return Tracked(tracking.application_name, tracking.notification_id)


@contextmanager
def _errors_of_the_library() -> Iterator[None]:
    """Raise what PEP 249 calls it: the names of the library's classes are those."""
    try:
        yield
    except CallFailed as error:
        raise getattr(persistence, error.kind)(str(error)) from error
