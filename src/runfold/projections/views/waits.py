"""What waits for a moment: starts that are due later, and attempts after a backoff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runfold.flow.events import (
    FlowCancelled,
    FlowCompleted,
    FlowFailed,
    FlowInputReplaced,
    FlowStart,
    StepCancelled,
    StepRetry,
    TimerDue,
)
from runfold.projections.logged import Logged
from runfold.projections.projection import Projection
from runfold.projections.rows import Rows


@dataclass(slots=True)
class WaitRow:
    """Something that is due later."""

    stream: int
    step: str
    """"" for the start of the run."""
    number: int
    kind: str
    """``start`` or ``retry``."""
    flow: str
    since: datetime
    due_at: datetime


WAITS: Projection[WaitRow] = Projection(
    "waits",
    WaitRow,
    key=("stream", "step", "number"),
    version=2,
    indexes=(("due_at", "stream"), ("flow", "due_at", "stream")),
    parallel=True,
    in_place=True,
)


@WAITS.on(FlowStart)
def _started(rows: Rows[WaitRow], at: Logged[FlowStart]) -> None:
    event, ts = at.event, at.recorded.ts
    if event.due_at is not None or event.delay:
        due_at = event.due_at or ts + timedelta(seconds=event.delay or 0)
        rows.put(WaitRow(at.recorded.stream, "", 0, "start", event.flow, ts, due_at))


@WAITS.on(FlowInputReplaced)
def _put_off(rows: Rows[WaitRow], at: Logged[FlowInputReplaced]) -> None:
    event, one = at.event, at.recorded
    if event.due_at is not None or event.delay is not None:
        due_at = event.due_at or one.ts + timedelta(seconds=event.delay or 0)
        rows.put(WaitRow(one.stream, "", 0, "start", at.flow or "", one.ts, due_at))


@WAITS.on(StepRetry)
def _retried(rows: Rows[WaitRow], at: Logged[StepRetry]) -> None:
    event, one = at.event, at.recorded
    if event.delay > 0:
        due_at = one.ts + timedelta(milliseconds=event.delay)
        step, number = one.step or "", one.activation or 1
        rows.put(WaitRow(one.stream, step, number, "retry", at.flow or "", one.ts, due_at))


@WAITS.on(TimerDue)
def _due(rows: Rows[WaitRow], at: Logged[TimerDue]) -> None:
    if at.event.kind == "start":
        rows.delete(at.recorded.stream, "", 0)
    elif at.event.kind == "retry":
        _drop(rows, at)


@WAITS.on(StepCancelled)
def _cancelled(rows: Rows[WaitRow], at: Logged[StepCancelled]) -> None:
    _drop(rows, at)


@WAITS.on(FlowCompleted, FlowFailed, FlowCancelled)
def _ended(rows: Rows[WaitRow], at: Logged[Any]) -> None:
    rows.delete(at.recorded.stream, "", 0)


def _drop(rows: Rows[WaitRow], at: Logged[Any]) -> None:
    rows.delete(at.recorded.stream, at.recorded.step or "", at.recorded.activation or 1)
