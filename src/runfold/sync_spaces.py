"""``runs``, ``flows``, ``queues`` and ``workers`` of ``rf.sync``: as those of ``rf``, blocking."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from runfold.client.flow_graph import FlowGraph
    from runfold.client.flows import FlowInfo, Flows
    from runfold.client.queues import QueueInfo, Queues
    from runfold.client.runs import Page, Runs
    from runfold.client.workers import Slots, WorkerInfo, Workers

T = TypeVar("T")


class Call(Protocol):
    """Returns what a coroutine returns, run where the engine is."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T: ...


class SyncRuns:
    """``rf.sync.runs``."""

    def __init__(self, call: Call, runs: Runs) -> None:
        self._call, self._runs = call, runs

    def list(self, of: Any = None, **filters: Any) -> Page:
        """As ``Runfold.runs.list``."""
        return self._call(self._runs.list(of, **filters))

    def count(self, of: Any = None, **filters: Any) -> int:
        """As ``Runfold.runs.count``."""
        return self._call(self._runs.count(of, **filters))

    def cancel(self, of: Any = None, **group: Any) -> int:
        """As ``Runfold.runs.cancel``."""
        return self._call(self._runs.cancel(of, **group))


class SyncFlows:
    """``rf.sync.flows``."""

    def __init__(self, call: Call, flows: Flows) -> None:
        self._call, self._flows = call, flows

    def list(self) -> list[FlowInfo]:
        """As ``Runfold.flows.list``."""
        return self._call(self._flows.list())

    def graph(self, flow: Any) -> FlowGraph:
        """As ``Runfold.flows.graph``."""
        return self._call(self._flows.graph(flow))


class SyncQueues:
    """``rf.sync.queues``."""

    def __init__(self, call: Call, queues: Queues) -> None:
        self._call, self._queues = call, queues

    def list(self) -> list[QueueInfo]:
        """As ``Runfold.queues.list``."""
        return self._call(self._queues.list())

    def stats(self, name: Any) -> QueueInfo:
        """As ``Runfold.queues.stats``."""
        return self._call(self._queues.stats(name))

    def pause(self, name: Any, **options: Any) -> None:
        """As ``Runfold.queues.pause``."""
        self._call(self._queues.pause(name, **options))

    def resume(self, name: Any, **options: Any) -> None:
        """As ``Runfold.queues.resume``."""
        self._call(self._queues.resume(name, **options))

    def limit(self, name: Any, limits: Any) -> None:
        """As ``Runfold.queues.limit``."""
        self._call(self._queues.limit(name, limits))


class SyncWorkers:
    """``rf.sync.workers``."""

    def __init__(self, call: Call, workers: Workers) -> None:
        self._call, self._workers = call, workers

    def list(self) -> list[WorkerInfo]:
        """As ``Runfold.workers.list``."""
        return self._call(self._workers.list())

    def stats(self) -> Sequence[Slots]:
        """As ``Runfold.workers.stats``."""
        return self._call(self._workers.stats())

    def scale(self, queue: Any, slots: int) -> None:
        """As ``Runfold.workers.scale``."""
        self._call(self._workers.scale(queue, slots))
