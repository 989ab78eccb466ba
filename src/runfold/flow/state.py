"""The state of a run: what folding its stream leaves in memory, and nothing derived twice.

It is mutable and belongs to one fold; ``evolve`` changes it in O(1) and nothing else does.
It holds open activations, what waits to be paired or scheduled, counts, and one compact
record per activation. Payloads and results stay in the log: the state remembers the
versions where they are found.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

from runfold.flow.activation import Activation, Arrival, Bucket, Due
from runfold.flow.chain import Link
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import ErrorInfo
from runfold.flow.graph import Graph, Node
from runfold.flow.limits import Values
from runfold.flow.seal import Chain
from runfold.flow.work import Gate

RunStatus = Literal[
    "scheduled", "running", "awaiting", "paused",
    "cancelling", "failing", "completed", "failed", "cancelled",
]  # fmt: skip


class Progress(NamedTuple):
    """What an attempt last said about how far it is."""

    percent: float
    message: str | None
    details: Any
    step: str
    activation: int
    attempt: int
    ts: datetime


class Entry:
    """A value of the run's own state, until ``expires_at``."""

    __slots__ = ("expires_at", "owned", "value")

    def __init__(self, value: Any, expires_at: datetime | None, owned: bool = False) -> None:
        self.value = value
        self.expires_at = expires_at
        self.owned = owned
        """The value was made here and may be changed in place; an event's never is."""


class Completed(NamedTuple):
    """A completed activation whose compensation runs if the run does not complete."""

    node: Node
    name: str
    version: int
    """Of its ``step.completed``, where the compensation finds its input."""
    keys: Values = ()
    """Of the keys of its limits, which admit its compensation as well."""


class Run:
    """One execution of a flow. ``version`` 0 until its ``flow.start`` is folded."""

    __slots__ = (
        "activations", "announced", "answered", "began_at", "buckets", "cancelling", "chain",
        "closed_version", "collected", "compensations", "counts", "created_at", "data", "deadline",
        "definition", "delay", "due", "due_at", "erased", "error", "failed_step", "fault",
        "finished_at", "flow", "gate", "grace_over", "graph", "id", "input", "input_version",
        "key", "leased", "open", "outcome", "parent", "position", "pressure", "priority",
        "progress", "reason", "result", "results", "retry", "started_at", "steps", "stream",
        "suspended", "tags", "timeout", "unpaired", "untaken", "updated_at", "version", "waits",
    )  # fmt: skip

    def __init__(self, definition: FlowDefinition, graph: Graph) -> None:
        self.definition = definition
        self.graph = graph
        self.flow = definition.name
        self.id = ""
        self.stream = 0
        self.version = 0
        self.position = 0
        self.gate = Gate.OPEN
        self.chain: Chain | None = Chain()
        """None: an event was folded whose stored bytes were not at hand, or nobody wants it."""
        self._start_values()
        self._start_times()
        self._start_ends()
        self._start_work()

    def _start_values(self) -> None:
        self.erased = False
        """What users wrote of it is gone, or is going."""
        self.input: Any = None
        self.input_version = 1
        """The version of the event that has it: the start, or what replaced its input."""
        self.tags: tuple[str, ...] = ()
        self.key: str | None = None
        self.priority: int | None = None
        self.deadline: datetime | float | None = None
        self.retry: dict[str, Any] | None = None
        self.timeout: float | None = None
        self.parent: str | None = None
        self.delay: float | None = None
        self.due_at: datetime | None = None
        self.data: dict[str, Entry] = {}
        self.progress: Progress | None = None

    def _start_times(self) -> None:
        self.created_at: datetime | None = None
        """When ``flow.start`` was recorded."""
        self.began_at: datetime | None = None
        """When it was due: its duration counts from here."""
        self.started_at: datetime | None = None
        """When its first attempt was claimed."""
        self.updated_at: datetime | None = None
        """When the last folded event was recorded."""
        self.finished_at: datetime | None = None

    def _start_ends(self) -> None:
        self.outcome: Literal["completed", "failed", "cancelled"] | None = None
        self.result: Any = None
        self.error: ErrorInfo | None = None
        """Why it fails or failed; the first failure where several are tolerated."""
        self.failed_step: str | None = None
        self.reason: str | None = None
        """What the caller said who cancelled it."""
        self.cancelling = False
        self.closed_version: int | None = None
        """The version of the event that closed its gate for good."""
        self.fault: ErrorInfo | None = None
        """A rule that the run has broken; the next decision closes the gate for it."""
        self.announced = False
        """``flow.draining`` is recorded: the timer for grace exists."""
        self.grace_over = False

    def _start_work(self) -> None:
        self.steps: list[Activation] = []
        """Every activation, open or not, in order of scheduling."""
        self.open: dict[tuple[str | None, int | None], Activation] = {}
        self.answered: dict[tuple[str | None, int | None], Activation] = {}
        """Open activations whose last attempt ended and that wait for a decision."""
        self.due: dict[str, Due] = {}
        self.counts: dict[str, int] = {}
        """Activations scheduled so far, by step."""
        self.leased = 0
        self.suspended = 0
        self.activations = 0
        """Activations scheduled so far, compensations aside."""
        self.waits = False
        """Its first job waits for its time."""
        self.buckets: dict[tuple[int, str], Bucket] = {}
        self.unpaired: dict[int, int] = {}
        """Arrivals that wait in buckets, by the index of the join."""
        self.collected: dict[int, list[Arrival]] = {}
        """Arrivals at collects that are not resolved, by their index."""
        self.pressure: dict[int, int] = {}
        """What can still lead to an unresolved collect: open activations, due ones, collects."""
        self.untaken: dict[str, None] = {}
        self.results: dict[str, list[tuple[Link, Any]]] = {}
        """Results of the steps that make up the run's."""
        self.compensations: list[Completed] = []

    @property
    def ended(self) -> bool:
        """Whether its last event was an end: nothing can happen to it any more."""
        return self.outcome is not None

    @property
    def draining(self) -> bool:
        """Whether its gate is closed for good."""
        return self.gate >= Gate.CLOSED

    @property
    def status(self) -> RunStatus:
        """What the run is doing, as the public surface names it."""
        if self.outcome is not None:
            return self.outcome
        if self.gate >= Gate.CLOSED:
            return "cancelling" if self.cancelling else "failing"
        if self.gate == Gate.PAUSED:
            return "paused"
        if self.waits or not self.version:
            return "scheduled"
        if self.open and self.suspended == len(self.open) and not self.due:
            return "awaiting"
        return "running"

    def forget(self) -> None:
        """Drop what only a run that goes on needs."""
        self.open.clear()
        self.answered.clear()
        self.due.clear()
        self.buckets.clear()
        self.collected.clear()
        self.results.clear()
        self.compensations.clear()
        self.leased = self.suspended = 0
        self.fault = None
        self.waits = False

    def values(self, at: datetime | None = None) -> dict[str, Any]:
        """Return the run's own state by key, without what has expired at ``at``.

        None: as of the last folded event.
        """
        moment = at or self.updated_at
        return {
            key: list(entry.value) if entry.owned else entry.value
            for key, entry in self.data.items()
            if entry.expires_at is None or moment is None or entry.expires_at > moment
        }
