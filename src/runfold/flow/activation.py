"""Activations, from the arrivals that cause them to the end of their last attempt.

An *arrival* is something that a step gave, on its way to the subscribers. When a subscription
has what it needs, an activation is *due*; scheduled, it is *open* until it completed, failed
or was cancelled for good. Closed ones keep a few words of summary.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from runfold.flow.chain import Link, Past
from runfold.flow.events import ErrorInfo
from runfold.flow.graph import Node, Outlet
from runfold.flow.limits import Parts, Values

StepStatus = Literal[
    "queued", "running", "suspended", "retrying", "completed", "failed", "cancelled"
]
Answer = Literal["errored", "stalled", "released", "limited"]
"""How an attempt ended that its activation outlived, until a decision takes it up."""
Lanes = dict[int, str]
"""By lane event: the name of its latest instance in a causal chain. Never changed in place."""

NO_LANES: Lanes = {}
NO_KEYS: Mapping[int, Parts] = {}


class Arrival:
    """An emit, a completion or a failure on its way to the steps that subscribe to it."""

    __slots__ = ("item", "keys", "lanes", "link", "name", "outlet", "version")

    def __init__(
        self, outlet: Outlet, name: str, version: int, item: Any, link: Link, lanes: Lanes
    ) -> None:
        self.outlet = outlet
        self.name = name
        self.version = version
        self.item = item
        """Its place in a plan of inputs."""
        self.link = link
        self.lanes = lanes
        self.keys: Mapping[int, Parts] = NO_KEYS
        """What it has of the values of limits' keys, by the index of the step that takes it."""


class Due:
    """An activation that nobody has scheduled yet."""

    __slots__ = ("cause", "keys", "lanes", "name", "node", "past", "plan", "refs", "trigger")

    def __init__(self, node: Node, name: str, plan: list[Any], cause: int) -> None:
        self.node = node
        self.name = name
        self.plan = plan
        self.cause = cause
        """The version of the last event that caused it."""
        self.refs: tuple[str, ...] = ()
        self.trigger: str | None = None
        self.lanes: Lanes = NO_LANES
        self.past: Past = None
        self.keys: Values = ()
        """The values of the keys of its limits."""


class Activation:
    """One execution of a step: open until it completed, failed or was cancelled for good."""

    __slots__ = (
        "answer", "attempt", "charged", "compensates", "emits", "ended_at", "ended_version",
        "error", "keys", "lanes", "name", "node", "number", "past", "plan", "retry_after",
        "retry_at", "started_at", "status", "step", "version", "waits",
    )  # fmt: skip

    def __init__(self, node: Node, step: str, number: int, name: str) -> None:
        self.node = node
        self.step = step
        self.number = number
        self.name = name
        self.status: StepStatus = "queued"
        self.attempt = 1
        self.emits = 0
        """How many events the current attempt has recorded."""
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None
        self.ended_version = 0
        """The version of the event that ended it; of a completed one, that has the result."""
        self.error: ErrorInfo | None = None
        """Of the last attempt that erred, or why it failed for good."""
        self.answer: Answer | None = None
        """How the last attempt ended, while nothing has been decided about it."""
        self.charged = True
        self.retry_at: datetime | None = None
        self.retry_after: float | None = None
        self.version = 0
        """The version of the last fact or decision about it."""
        self.waits = False
        """Its job is among the timers."""
        self.compensates = False
        """It is the compensation of a completed activation of its node."""
        self.plan: list[Any] | None = None
        self.keys: Values = ()
        self.lanes: Lanes = NO_LANES
        self.past: Past = None

    @property
    def is_open(self) -> bool:
        """Whether something can still happen to it."""
        return self.status not in {"completed", "failed", "cancelled"}

    def forget(self) -> None:
        """Drop what only an open activation needs."""
        self.plan = self.past = self.answer = None
        self.lanes = NO_LANES


class Bucket:
    """What arrived for one join in one lane and is not paired yet."""

    __slots__ = ("last", "waiting")

    def __init__(self, parts: int) -> None:
        self.waiting: list[list[Arrival]] = [[] for _ in range(parts)]
        self.last: list[Arrival | None] = [None] * parts
        """The latest arrival at each part, paired or not."""
