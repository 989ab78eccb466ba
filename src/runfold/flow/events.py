"""The events of runs and definitions: what is stored, and what the wire shows.

*Facts* say what happened (an attempt ended, a caller asked, a timer came due); *decisions*
create or end work and come from the dispatcher alone. The fields below are the ``data`` of
``docs/reference/events.md``, in camelCase there. Step, activation, attempt and key stand in
the envelope.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from runfold.flow.definition import LimitDefinition
from runfold.kernel.event import Event
from runfold.kernel.registry import Registry


class ErrorInfo(BaseModel):
    """An error as history keeps it."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    type: str
    code: str
    message: str
    stack: str | None = None
    retryable: bool = True
    details: Any = None


class FlowStart(Event):
    """A run was created. Recorded together with what ``decide`` returns for it."""

    TOPIC: ClassVar[str] = "flow.start"

    run_id: str
    flow: str
    input: Any = None
    definition: str
    """The hash of the definition that the run follows to its end."""
    parent_run_id: str | None = None
    origin: dict[str, Any] | None = None
    """Of what run this is a fork, and up to which of its own versions its events are copies."""
    key: str | None = None
    tags: tuple[str, ...] = ()
    due_at: datetime | None = None
    delay: float | None = None
    """Seconds after the start, by the clock of the store; ``due_at`` where a moment was given."""
    priority: int | None = None
    deadline: datetime | float | None = None
    """A moment, or seconds after the start."""
    retry: dict[str, Any] | None = None
    timeout: float | None = None


class FlowInputReplaced(Event):
    """A caller gave a run that has not begun another input, and maybe another time."""

    TOPIC: ClassVar[str] = "flow.input_replaced"

    input: Any = None
    due_at: datetime | None = None
    delay: float | None = None
    """Seconds from now until it is due; with ``due_at`` None too, its time stays as it was."""
    requeued: bool = False
    """Its job was made anew: it had been ready and is due later, or has other limits now."""


class FlowCompleted(Event):
    """The end of a run whose steps all ended well."""

    TOPIC: ClassVar[str] = "flow.completed"

    duration: float
    result: Any = None
    untaken: tuple[str, ...] = ()
    """Names of events that were emitted and that no step took."""
    unfired: tuple[str, ...] = ()
    """Joins that had something and never had everything."""
    chain: str | None = None
    """The root of the run's hash chain before this event: see ``flow/seal.py``."""


class FlowFailed(Event):
    """The end of a run that failed."""

    TOPIC: ClassVar[str] = "flow.failed"

    duration: float
    error: ErrorInfo
    failed_step: str | None = None
    chain: str | None = None
    """The root of the run's hash chain before this event: see ``flow/seal.py``."""


class FlowCancelled(Event):
    """The end of a run whose cancel was accepted."""

    TOPIC: ClassVar[str] = "flow.cancelled"

    reason: str | None = None
    duration: float | None = None
    chain: str | None = None
    """The root of the run's hash chain before this event: see ``flow/seal.py``."""


class FlowCancelRequested(Event):
    """A caller cancelled: recorded, and the gate closed for good, in one commit."""

    TOPIC: ClassVar[str] = "flow.cancel_requested"

    reason: str | None = None


class FlowDraining(Event):
    """Decision: the run fails by a rule, or waits, for ``grace`` at most, for leased attempts.

    Its row is the timer of kind ``grace``. A drain that nothing leased holds up has none.
    """

    TOPIC: ClassVar[str] = "flow.draining"

    error: ErrorInfo | None = None
    """The rule of the engine that the run has broken; None: the gate was closed before."""
    failed_step: str | None = None
    grace: float = 30.0
    """Seconds from now after which what is still leased is taken."""


class FlowPaused(Event):
    """A caller paused the run: nothing of it is claimed until it is resumed."""

    TOPIC: ClassVar[str] = "flow.paused"


class FlowResumed(Event):
    """A caller resumed the run."""

    TOPIC: ClassVar[str] = "flow.resumed"


class FlowDefined(Event):
    """A definition was served that its name did not have before."""

    TOPIC: ClassVar[str] = "flow.defined"

    name: str
    hash: str
    definition: dict[str, Any]


class QueueDefined(Event):
    """A queue was served with limits that the code did not give it before."""

    TOPIC: ClassVar[str] = "queue.defined"

    queue: str
    limits: tuple[LimitDefinition, ...] = ()


class QueueLimited(Event):
    """A caller gave a queue other limits, until the code changes."""

    TOPIC: ClassVar[str] = "queue.limited"

    queue: str
    limits: tuple[LimitDefinition, ...] = ()


class QueuePaused(Event):
    """A caller paused a queue, or one key of it: nothing of it is claimed."""

    TOPIC: ClassVar[str] = "queue.paused"

    queue: str
    key: str | None = None
    """The value as text; None: the whole queue."""
    until: datetime | None = None
    """None: until it is resumed."""


class QueueResumed(Event):
    """A caller resumed a queue, or one key of it."""

    TOPIC: ClassVar[str] = "queue.resumed"

    queue: str
    key: str | None = None


class ErasedError(BaseModel):
    """An attempt whose error has lost its message."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    step: str
    number: int
    attempt: int
    code: str


class FlowErased(Event):
    """A caller had what users wrote erased from a run that has ended; in a stream of its own."""

    TOPIC: ClassVar[str] = "flow.erased"

    run_id: str
    stream: int
    """The number of the run's stream."""
    errors: tuple[ErasedError, ...] = ()
    """Its attempts that had an error: up to 1,000; further ones follow in an event of their own."""


class StepScheduled(Event):
    """Decision: an activation exists."""

    TOPIC: ClassVar[str] = "step.scheduled"

    queue: str
    name: str
    """The activation's name: its step and the emits that caused it."""
    trigger: str | None = None
    input_refs: tuple[str, ...] = ()
    run_at: datetime | None = None


class StepStarted(Event):
    """Fact: an attempt was claimed."""

    TOPIC: ClassVar[str] = "step.started"

    queue: str
    worker: str


class StepCompleted(Event):
    """Fact: an attempt returned; its emits and state changes stand directly before it."""

    TOPIC: ClassVar[str] = "step.completed"

    queue: str
    result: Any = None
    duration: float


class StepErrored(Event):
    """Fact: an attempt raised, timed out or returned what does not fit."""

    TOPIC: ClassVar[str] = "step.errored"

    queue: str
    error: ErrorInfo
    retry_at: datetime | None = None
    retry_after: float | None = None
    """Seconds after this was recorded; None: the policy's backoff."""
    charged: bool = True
    duration: float = 0


class StepStalled(Event):
    """Fact: the lease of an attempt ended without an answer (charged)."""

    TOPIC: ClassVar[str] = "step.stalled"

    queue: str


class StepReleased(Event):
    """Fact: an attempt was given back by a worker that stops (not charged)."""

    TOPIC: ClassVar[str] = "step.released"

    queue: str


class StepRetry(Event):
    """Decision: the activation gets another attempt."""

    TOPIC: ClassVar[str] = "step.retry"

    queue: str
    error: ErrorInfo | None = None
    next_attempt: int
    delay: float
    """Milliseconds from now; 0 when at once."""
    retry_at: datetime | None = None
    """When, in a run that begins with the past of another: the moment that the other had."""
    reason: Literal["errored", "stalled", "released", "limited"]


class StepFailed(Event):
    """Decision: the activation failed for good."""

    TOPIC: ClassVar[str] = "step.failed"

    queue: str
    error: ErrorInfo
    attempts: int


class StepCancelled(Event):
    """Decision: the activation ends because its run drains."""

    TOPIC: ClassVar[str] = "step.cancelled"

    queue: str
    reason: str | None = None


class StepProgress(Event):
    """Fact: how far an attempt says it is, in percent (0-100)."""

    TOPIC: ClassVar[str] = "step.progress"

    queue: str
    percent: float
    message: str | None = None
    details: Any = None


class Log(Event):
    """Fact: a line that a handler logged."""

    TOPIC: ClassVar[str] = "log"

    level: str
    message: str
    meta: dict[str, Any] = {}


class Emit(Event):
    """Fact: an attempt emitted; recorded with its completion, in the order of emission."""

    TOPIC: ClassVar[str] = "emit"

    name: str
    payload: Any = None


class State(Event):
    """Fact: an attempt changed the run's state; recorded with its completion."""

    TOPIC: ClassVar[str] = "state"

    operation: Literal["set", "delete", "add", "append"]
    key: str
    value: Any = None
    ttl: float | None = None


class Record(Event):
    """Fact: a handler recorded an event of its own."""

    TOPIC: ClassVar[str] = "record"

    type: str
    data: Any = None


class Output(Event):
    """Fact: chunks that a handler wrote to one of its streams."""

    TOPIC: ClassVar[str] = "output"

    stream: str
    chunk: str


class TimerDue(Event):
    """Fact: a due time was reached."""

    TOPIC: ClassVar[str] = "timer.due"

    kind: Literal["start", "retry", "deadline", "grace"]
    ref: str | None = None


ENDS = frozenset({FlowCompleted.TOPIC, FlowFailed.TOPIC, FlowCancelled.TOPIC})
"""Types after which a stream accepts nothing."""

REGISTRY = Registry(
    (
        FlowStart, FlowInputReplaced,
        FlowCompleted, FlowFailed, FlowCancelled, FlowCancelRequested, FlowDraining,
        FlowPaused, FlowResumed, FlowDefined,
        QueueDefined, QueueLimited, QueuePaused, QueueResumed, FlowErased,
        StepScheduled, StepStarted, StepCompleted, StepErrored, StepStalled, StepReleased,
        StepRetry, StepFailed, StepCancelled, StepProgress,
        Log, Emit, State, Record, Output, TimerDue,
    )
)  # fmt: skip
"""Every event type of the engine."""
