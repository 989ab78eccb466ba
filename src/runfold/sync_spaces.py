"""The namespaces of ``rf.sync``: as those of ``rf``, blocking."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from runfold.client.flow_graph import FlowGraph
    from runfold.client.flows import FlowInfo, Flows, FlowStats
    from runfold.client.logs import LogPage, Logs
    from runfold.client.projections import Projections, ProjectionStatus
    from runfold.client.queues import QueueInfo, Queues
    from runfold.client.replaying import ReplayReport
    from runfold.client.runs import Page, Runs
    from runfold.client.view import ViewPage, ViewRows
    from runfold.client.workers import Slots, WorkerInfo, Workers
    from runfold.runtime.view_build import Verified

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

    def replay(self, of: Any = None, **filters: Any) -> ReplayReport:
        """As ``Runfold.runs.replay``."""
        return self._call(self._runs.replay(of, **filters))


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

    def stats(self, flow: Any, **options: Any) -> FlowStats:
        """As ``Runfold.flows.stats``."""
        return self._call(self._flows.stats(flow, **options))


class SyncLogs:
    """``rf.sync.logs``."""

    def __init__(self, call: Call, logs: Logs) -> None:
        self._call, self._logs = call, logs

    def list(self, of: Any = None, **filters: Any) -> LogPage:
        """As ``Runfold.logs.list``."""
        return self._call(self._logs.list(of, **filters))


class SyncQueues:
    """``rf.sync.queues``."""

    def __init__(self, call: Call, queues: Queues) -> None:
        self._call, self._queues = call, queues

    def list(self, **options: Any) -> list[QueueInfo]:
        """As ``Runfold.queues.list``."""
        return self._call(self._queues.list(**options))

    def stats(self, name: Any, **options: Any) -> QueueInfo:
        """As ``Runfold.queues.stats``."""
        return self._call(self._queues.stats(name, **options))

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


class SyncProjections:
    """``rf.sync.projections``."""

    def __init__(self, call: Call, projections: Projections) -> None:
        self._call, self._projections = call, projections

    def status(self) -> Sequence[ProjectionStatus]:
        """As ``Runfold.projections.status``."""
        return self._call(self._projections.status())

    def wait(self, name: Any, position: int) -> None:
        """As ``Runfold.projections.wait``."""
        self._call(self._projections.wait(name, position))

    def resume(self, name: Any) -> bool:
        """As ``Runfold.projections.resume``."""
        return self._call(self._projections.resume(name))

    def rebuild(self, name: Any, **options: Any) -> None:
        """As ``Runfold.projections.rebuild``."""
        self._call(self._projections.rebuild(name, **options))

    def rollback(self, name: Any, **options: Any) -> None:
        """As ``Runfold.projections.rollback``."""
        self._call(self._projections.rollback(name, **options))

    def verify(self, name: Any, **options: Any) -> Verified:
        """As ``Runfold.projections.verify``."""
        return self._call(self._projections.verify(name, **options))


class SyncView:
    """The rows of one projection, from ``rf.sync.view``."""

    def __init__(self, call: Call, rows: ViewRows[Any]) -> None:
        self._call, self._rows = call, rows

    def get(self, *key: Any, **options: Any) -> Any:
        """As ``get`` of ``Runfold.view``."""
        return self._call(self._rows.get(*key, **options))

    def list(self, *paging: Any, **filters: Any) -> ViewPage[Any]:
        """As ``list`` of ``Runfold.view``."""
        return self._call(self._rows.list(*paging, **filters))

    def count(self, **filters: Any) -> int:
        """As ``count`` of ``Runfold.view``."""
        return self._call(self._rows.count(**filters))
