"""Applications of the ``eventsourcing`` library on Runfold's own tables.

Set ``PERSISTENCE_MODULE=runfold.contrib.eventsourcing`` and ``RUNFOLD_URL``. Each Application
has a log of its own, named after it, which the engine does not read: both may live in one
database. Notification ids are the log's positions, contiguous and in the order of commits,
so that no reader can skip one.
"""

from __future__ import annotations

from runfold.contrib.eventsourcing.factory import RunfoldFactory
from runfold.contrib.eventsourcing.recorders import (
    RunfoldAggregateRecorder,
    RunfoldApplicationRecorder,
    RunfoldProcessRecorder,
    RunfoldTrackingRecorder,
)
from runfold.contrib.eventsourcing.subscription import RunfoldSubscription

__all__ = [
    "RunfoldFactory",
    "RunfoldAggregateRecorder", "RunfoldApplicationRecorder", "RunfoldProcessRecorder",
    "RunfoldTrackingRecorder", "RunfoldSubscription",
]  # fmt: skip
