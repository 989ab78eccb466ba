"""Events and runs as everybody outside sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from runfold.flow.events import FlowStart, StepStarted
from runfold.flow.names import job_id, step_id
from runfold.flow.run import Run
from runfold.flow.seal import is_erased
from runfold.kernel.event import Recorded
from runfold.kernel.ids import text
from runfold.ports import Name

_ENVELOPE = ("runId", "flow")
_ALWAYS = {"step.completed": "result", "flow.completed": "result", "emit": "payload",
           "flow.start": "input", "flow.input_replaced": "input", "record": "data"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event of the log. ``id`` is its position; ``data`` has the names of the wire."""

    id: int
    ts: datetime
    type: str
    version: int
    run_id: str | None = None
    flow_name: str | None = None
    step_name: str | None = None
    step_id: str | None = None
    attempt: int | None = None
    causation_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    erased: bool = False
    """What users wrote in it is gone: values are None, texts ``[erased]`` or empty."""

    def json(self) -> dict[str, Any]:
        """Return the event as the wire has it: camelCase, without what is absent."""
        wire = {
            "id": self.id, "ts": self.ts.isoformat().replace("+00:00", "Z"), "type": self.type,
            "runId": self.run_id, "flowName": self.flow_name, "version": self.version,
            "stepName": self.step_name, "stepId": self.step_id, "attempt": self.attempt,
            "causationId": self.causation_id, "data": self.data or None,
            "erased": self.erased or None,
        }  # fmt: skip
        return {key: value for key, value in wire.items() if value is not None}


def log_event(recorded: Recorded, name: Name) -> LogEvent:
    """Return ``recorded``, an event of the stream called ``name``, as the wire shows it."""
    event, step, number = recorded.event, recorded.step, recorded.activation or 1
    run_id = text(name.id) if name.flow is not None else None
    data = event.model_dump(mode="json", by_alias=True, exclude_none=True)
    if event.TOPIC in _ALWAYS:
        data.setdefault(_ALWAYS[event.TOPIC], None)
    if isinstance(event, FlowStart):
        for field_name in _ENVELOPE:
            data.pop(field_name, None)
    if recorded.key is not None:
        data["key"] = recorded.key
    if run_id and step and isinstance(event, StepStarted):
        standalone = name.flow == f"{event.queue}/{step}"
        data["jobId"] = job_id(run_id, step, number, standalone=standalone)
    of_attempt = None
    if run_id and step and recorded.attempt is not None:
        of_attempt = step_id(run_id, step, number, recorded.attempt)
    return LogEvent(
        recorded.position, recorded.ts, event.TOPIC, recorded.version,
        run_id, name.flow, step,
        of_attempt,
        recorded.attempt,
        f"{run_id}@{recorded.cause}" if run_id and recorded.cause else None,
        data,
        is_erased(recorded.state),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StepState:
    """One activation of a run."""

    name: str
    number: int
    status: str
    attempt: int
    id: str
    error: Any = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ErrorState:
    """Why a run failed."""

    type: str
    code: str
    message: str
    stack: str | None = None
    details: Any = None


@dataclass(frozen=True, slots=True)
class RunState:
    """A run at one version: the fold of a prefix of its events, and nothing else."""

    id: str
    name: str
    status: str
    input: Any
    result: Any
    error: ErrorState | None
    steps: list[StepState]
    data: dict[str, Any]
    progress: float | None
    attempt: int
    max_attempts: int
    priority: int
    queue: str
    tags: list[str]
    key: str | None
    parent: str | None
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    due_at: datetime | None
    deadline: datetime | None
    version: int
    position: int
    erased: bool = False
    """What users wrote in it is gone: its values are None, its tags and its key are not there."""


def run_state(run: Run, now: datetime | None) -> RunState:
    """Return what the fold ``run`` says, with values of its state that live at ``now``."""
    definition, entry = run.definition, run.definition.entry
    policy = run.retry or {}
    standalone = definition.name == f"{entry.queue}/{entry.name}"
    due_at = run.due_at or _after(run.created_at, run.delay or 0.0)
    return RunState(
        id=run.id,
        name=run.flow,
        status=run.status,
        input=run.input,
        result=run.result,
        error=error_state(run.error) if run.outcome != "cancelled" else None,
        steps=[
            StepState(
                one.step, one.number, one.status, one.attempt,
                job_id(run.id, one.step, one.number, standalone=standalone), error_state(one.error),
                one.started_at, one.ended_at,
            )
            for one in run.steps
        ],
        data=_visible(run, now),
        progress=None if run.progress is None else run.progress.percent,
        attempt=max((one.attempt for one in run.open.values()), default=_last_attempt(run)),
        max_attempts=policy.get("max_attempts", entry.retry.max_attempts),
        priority=run.priority or entry.priority or 5,
        queue=entry.queue,
        tags=list(run.tags),
        key=run.key,
        parent=run.parent,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        due_at=run.due_at or _after(run.created_at, run.delay),
        deadline=deadline_of(run.deadline, definition.deadline, due_at),
        version=run.version,
        position=run.position,
        erased=run.erased,
    )  # fmt: skip


def _visible(run: Run, now: datetime | None) -> dict[str, Any]:
    """Return the state's values, none once ``state_cleanup`` has taken them away."""
    cleanup = run.definition.state_cleanup
    if run.outcome is not None and cleanup != "never":
        kept = cleanup == "on-complete" and run.outcome != "completed"
        if isinstance(cleanup, int | float):
            until = _after(run.finished_at, cleanup)
            kept = now is None or until is None or now < until
        if not kept:
            return {}
    return run.values(now)


def _last_attempt(run: Run) -> int:
    return run.steps[-1].attempt if run.steps else 1


def error_state(error: Any) -> ErrorState | None:
    """Return an ``ErrorInfo`` as a run shows it, None for None."""
    if error is None:
        return None
    return ErrorState(error.type, error.code, error.message, error.stack, error.details)


def _after(moment: datetime | None, span: float | None) -> datetime | None:
    return None if moment is None or span is None else moment + timedelta(seconds=span)


def deadline_of(
    deadline: datetime | float | None, of_flow: float | None, due_at: datetime | None
) -> datetime | None:
    """Return the moment of a deadline; a span counts from when the run is due, as its duration."""
    deadline = deadline if deadline is not None else of_flow
    return deadline if isinstance(deadline, datetime) else _after(due_at, deadline)
