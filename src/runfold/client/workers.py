"""``rf.workers``: the processes of a log, and the slots of this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runfold.client.filters import refused
from runfold.client.session import Session
from runfold.define.queue import Queue
from runfold.runtime.worker import Worker

SLOTS_MAX = 10_000
"""How many handlers of a queue one process may run at once."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A process that serves this log."""

    name: str
    """Its host and process id."""
    roles: list[str]
    alive_until: datetime
    """When its lease ends unless it renews it; what it runs is stalled then."""
    here: bool
    """It is this one."""


@dataclass(frozen=True, slots=True)
class Slots:
    """What this process runs of one queue."""

    queue: str
    slots: int
    busy: int


class Workers:
    """``rf.workers``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list(self) -> list[WorkerInfo]:
        """Return the processes that serve this log, whatever their roles, by name."""
        membership = self._session.node.membership
        token = None if membership is None else membership.token
        return [
            WorkerInfo(member.name, member.roles.split(), until, member.token == token)
            for member, until in await self._session.node.store.members()
        ]

    async def stats(self) -> Sequence[Slots]:
        """Return the slots of this process, by queue; empty where it is no worker."""
        worker = self._session.node.worker
        if worker is None:
            return []
        return [Slots(queue, number, worker.busy(queue)) for queue, number in worker.slots.items()]

    async def scale(self, queue: str | Queue, slots: int) -> None:
        """Run up to ``slots`` handlers of ``queue`` at once in this process from now on.

        0: claim nothing more of it here. What runs goes on, also where it is more than that. A
        queue that this process was told not to serve is served from now on. Other processes
        are scaled by themselves; a bound over all of them is a limit. Raises ``InvalidInput``.
        """
        name = queue.name if isinstance(queue, Queue) else queue
        number = _checked(slots)
        used = self._session.catalog.queue_names()
        if name not in used:
            raise refused(
                "queue", f"queue {name!r} is used by no step or job here, which use {used!r}"
            )
        worker = self._worker()
        await self._session.node.queues.open([name])
        worker.scale(name, number)

    def _worker(self) -> Worker:
        worker = self._session.node.worker
        if worker is None:
            raise refused("queue", "this process is no worker; scale where one is served")
        return worker


def _checked(slots: Any) -> int:
    fits = isinstance(slots, int) and not isinstance(slots, bool)
    if not fits or not 0 <= slots <= SLOTS_MAX:
        raise refused("slots", f"slots are {slots!r}, expected 0 to {SLOTS_MAX}")
    return int(slots)
