"""Following the log of an Application: what is recorded, then what will be.

Reads happen in the thread that iterates, so there is nothing to end but the iteration, and
an error of the database is raised where it is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eventsourcing.persistence import Notification, Subscription

from runfold.contrib.eventsourcing import doorbell

if TYPE_CHECKING:
    from runfold.contrib.eventsourcing.recorders import RunfoldApplicationRecorder

PAGE_EVENTS_MAX = 500
"""How many events one read returns at most."""

POLL_SECONDS_MIN, POLL_SECONDS_MAX = 0.01, 0.25
"""How long to wait without a ring before looking again: longer with each look in vain."""


class RunfoldSubscription(Subscription["RunfoldApplicationRecorder"]):
    """Yields the notifications above ``gt``, of ``topics`` if any, until it is stopped.

    For one thread; ``stop`` may be called from any other.
    """

    def __init__(
        self,
        recorder: RunfoldApplicationRecorder,
        gt: int | None = None,
        topics: Sequence[str] = (),
    ) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._last = gt or 0
        self._page: deque[Notification] = deque()
        self._pause = POLL_SECONDS_MIN
        self._rung = doorbell.listen(recorder.log.database.place, recorder.log.name)

    def stop(self) -> None:
        """End the iteration, also one that is waiting."""
        super().stop()
        self._rung.set()

    def __next__(self) -> Notification:
        while not self._page and not self._has_been_stopped:
            # Cleared before looking: a commit or a stop during the look ends the wait at once.
            self._rung.clear()
            if self._look() or self._has_been_stopped:
                self._pause = POLL_SECONDS_MIN
            else:
                self._rung.wait(self._pause)
                self._pause = min(self._pause * 2, POLL_SECONDS_MAX)
        if self._has_been_stopped:
            raise StopIteration
        return self._page.popleft()

    def _look(self) -> bool:
        """Read the next page; return whether the log has moved on."""
        before = self._last
        # With topics, what they leave out is passed too, or it would be read again each time.
        head = (self._recorder.max_notification_id() or 0) if self._topics else None
        if head is not None and head <= before:
            return False
        self._page.extend(
            self._recorder.select_notifications(
                start=before,
                limit=PAGE_EVENTS_MAX,
                stop=head,
                topics=self._topics,
                inclusive_of_start=False,
            )
        )
        if len(self._page) == PAGE_EVENTS_MAX or head is None:
            self._last = self._page[-1].id if self._page else before
        else:
            self._last = head
        return self._last > before
