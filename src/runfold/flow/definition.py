"""What a flow is, as pure data: stored once per change, named by its hash.

A run keeps the hash of the definition that it started with and folds with nothing else, so
its history stays readable when the code is gone. Handlers, types and callables are no part
of a definition.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

ACTIVATIONS_MAX = 250_000
"""How many activations a run may have before it is ended as an endless loop."""
EMITS_PER_ATTEMPT_MAX = 10_000
"""How many events one attempt may emit."""
COMPENSATION_SUFFIX = ".compensate"
"""A step's compensation is a step of its own, under the step's name and this suffix."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Data):
    """What can cause an activation: an emit of ``name``, or an end of the step ``name``."""

    kind: Literal["emit", "after", "failed"]
    name: str


class Part(_Data):
    """One place of a subscription; any of its sources fills it. ``label`` is its key."""

    label: str
    sources: tuple[Source, ...]


class Subscription(_Data):
    """When a step is activated.

    ``each``: once per arrival at its only part. ``all``: when the k-th arrival of each part is
    there within one lane, or, with ``by``, one of each with an equal value at that dotted path.
    ``collect``: once, with everything that arrived, when nothing open leads to it any more;
    skipped with fewer than ``at_least`` arrivals.
    """

    kind: Literal["each", "all", "collect"]
    parts: tuple[Part, ...]
    by: str | None = None
    at_least: int = 1


class RetryPolicy(_Data):
    """How often an activation is tried, and how long to wait in between (seconds)."""

    max_attempts: int = 3
    base: float = 1.0
    factor: float = 2.0
    cap: float = 30.0
    jitter: float = 0.1


class LimitDefinition(_Data):
    """How many jobs of a step, or of a queue, are admitted, over all workers.

    ``concurrency``: at most ``max`` at once. ``rate``: at most ``max`` starts in any ``per``
    seconds. With ``key``, a dotted path into the input or ``@run`` or ``@flow``, once for each
    of its values.
    """

    kind: Literal["concurrency", "rate"]
    max: int
    per: float | None = None
    key: str | None = None


class StepDefinition(_Data):
    """A node of the graph. The entry has no subscription."""

    name: str
    subscription: Subscription | None = None
    emits: tuple[str, ...] = ()
    returns: bool = False
    compensated: bool = False
    """There is a compensation for its completed activations."""
    queue: str = "default"
    priority: int | None = None
    retry: RetryPolicy = RetryPolicy()
    timeout: float | None = None
    formerly: tuple[str, ...] = ()
    limits: tuple[LimitDefinition, ...] = ()
    queue_keys: tuple[str, ...] = ()
    """The keys of those limits of its queue that have one. The limits themselves belong to the
    queue, and may change while runs of this definition go on."""


class FlowDefinition(_Data):
    """A graph of steps and what happens when one of them fails."""

    name: str
    steps: tuple[StepDefinition, ...]
    failure: Literal["stop", "finish", "ignore"] = "stop"
    deadline: float | None = None
    """Seconds after the start, unless the start says otherwise."""
    keep: float | None = None
    """Seconds until a run that completed leaves for the archive; None: it stays in the log."""
    keep_failed: float | None = None
    """The same for one that failed or was cancelled."""
    state_cleanup: Literal["never", "immediate", "on-complete"] | float = "never"
    activations_max: int = ACTIVATIONS_MAX

    @cached_property
    def hash(self) -> str:
        """The identity of this definition: 32 hex digits of SHA-256 over its canonical JSON."""
        text = json.dumps(self.data(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @cached_property
    def by_name(self) -> dict[str, StepDefinition]:
        """The steps by name, in their order of definition."""
        return {step.name: step for step in self.steps}

    def __copy__(self) -> Self:
        """Return a copy for ``model_copy`` to change: it has no hash and no index yet."""
        copied = super().__copy__()
        copied.__dict__.pop("hash", None)
        copied.__dict__.pop("by_name", None)
        return copied

    @property
    def entry(self) -> StepDefinition:
        """The step that a start activates: the only one without a subscription."""
        return next(step for step in self.steps if step.subscription is None)

    def data(self) -> dict[str, Any]:
        """Return the JSON that ``flow.defined`` stores; ``model_validate`` reads it back."""
        return self.model_dump(mode="json", exclude_defaults=True)
