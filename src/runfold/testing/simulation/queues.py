"""The queues of a simulation in the hands of a test: what it says is in force on return."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from runfold.client.queues import QueueInfo, Queues
from runfold.define.limits import AnyLimit
from runfold.define.queue import Queue
from runfold.testing.simulation.desk import at_once


class SimulatedQueues:
    """``rf.queues`` as plain calls; no time passes in them."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def pause(self, name: str | Queue, *, key: Any = None, until: datetime | None = None) -> None:
        """Let nothing more of the queue, or of the value ``key`` of its key, be claimed."""
        at_once(self._queues.pause(name, key=key, until=until))

    def resume(self, name: str | Queue, *, key: Any = None) -> None:
        """Let it go on."""
        at_once(self._queues.resume(name, key=key))

    def limit(self, name: str | Queue, limits: Iterable[AnyLimit] | AnyLimit) -> None:
        """Give the queue these limits instead of its own."""
        at_once(self._queues.limit(name, limits))

    def stats(self, name: str | Queue) -> QueueInfo:
        """Return what waits in it and what holds it back."""
        return at_once(self._queues.stats(name))
