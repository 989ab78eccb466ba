"""Steps: one row for each attempt of each activation, so a step's executions are a range.

What an activation is doing now stands in the row of its last attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runfold.flow.erasure import ERASED
from runfold.flow.events import (
    FlowErased,
    StepCancelled,
    StepCompleted,
    StepErrored,
    StepFailed,
    StepReleased,
    StepRetry,
    StepScheduled,
    StepStalled,
    StepStarted,
)
from runfold.projections.logged import Logged
from runfold.projections.projection import Projection
from runfold.projections.rows import Rows

ERROR_MAX = 500
"""How many characters of an error a row keeps; all of it is in the log."""


@dataclass(slots=True)
class StepRow:
    """An attempt."""

    stream: int
    step: str
    number: int
    """Which activation of the step, from 1."""
    attempt: int
    flow: str
    status: str
    """``queued running completed errored stalled released failed cancelled``, and ``retrying``
    for one that is due later. ``failed`` is the last attempt of a step that failed for good."""
    queue: str
    worker: str | None
    scheduled_at: datetime
    """When it was put into its queue, or among the timers."""
    started_at: datetime | None
    finished_at: datetime | None
    version: int
    """The version of the event that this row was last changed by."""
    error: str | None
    """Code and message."""


STEPS: Projection[StepRow] = Projection(
    "steps",
    StepRow,
    key=("stream", "step", "number", "attempt"),
    indexes=(("flow", "step", "status", "stream"),),
    parallel=True,
    in_place=True,
)


@STEPS.on(StepScheduled)
def _scheduled(rows: Rows[StepRow], at: Logged[StepScheduled]) -> None:
    rows.put(_new(at, 1, at.event.queue, "queued"))


@STEPS.on(StepStarted)
def _started(rows: Rows[StepRow], at: Logged[StepStarted]) -> None:
    if (row := _row(rows, at)) is not None:
        row.status, row.worker, row.started_at = "running", at.event.worker, at.recorded.ts
        row.finished_at = None
        _change(rows, row, at)


@STEPS.on(StepCompleted, StepErrored, StepStalled, StepReleased)
def _ended(rows: Rows[StepRow], at: Logged[Any]) -> None:
    if (row := _row(rows, at)) is not None:
        row.status = at.event.TOPIC.removeprefix("step.")
        row.finished_at = at.recorded.ts
        if isinstance(at.event, StepErrored):
            row.error = _told(at.event.error.code, at.event.error.message)
        _change(rows, row, at)


@STEPS.on(StepRetry)
def _again(rows: Rows[StepRow], at: Logged[StepRetry]) -> None:
    waits = at.event.delay > 0
    row = _new(at, at.event.next_attempt, at.event.queue, "retrying" if waits else "queued")
    rows.put(row)


@STEPS.on(StepFailed, StepCancelled)
def _over(rows: Rows[StepRow], at: Logged[Any]) -> None:
    if (row := _row(rows, at)) is not None:
        row.status = at.event.TOPIC.removeprefix("step.")
        row.finished_at = row.finished_at or at.recorded.ts
        if isinstance(at.event, StepFailed):
            row.error = _told(at.event.error.code, at.event.error.message)
        _change(rows, row, at)


@STEPS.on(FlowErased)
def _erased(rows: Rows[StepRow], at: Logged[FlowErased]) -> None:
    places = [(one, (one.step, one.number, one.attempt)) for one in at.event.errors]
    found = [(one, rows.get(at.event.stream, *place)) for one, place in places]
    for one, row in found:
        if row is not None and row.error is not None:
            row.error = _told(one.code, ERASED)
            rows.put(row)


def _new(at: Logged[Any], attempt: int, queue: str, status: str) -> StepRow:
    recorded = at.recorded
    return StepRow(
        stream=recorded.stream,
        step=recorded.step or "",
        number=recorded.activation or 1,
        attempt=attempt,
        flow=at.flow or "",
        status=status,
        queue=queue,
        worker=None,
        scheduled_at=recorded.ts,
        started_at=None,
        finished_at=None,
        version=recorded.version,
        error=None,
    )


def _row(rows: Rows[StepRow], at: Logged[Any]) -> StepRow | None:
    one = at.recorded
    return rows.get(one.stream, one.step or "", one.activation or 1, one.attempt or 1)


def _change(rows: Rows[StepRow], row: StepRow, at: Logged[Any]) -> None:
    row.version = at.recorded.version
    rows.put(row)


def _told(code: str, message: str) -> str:
    told = f"{code}: {message}"[:ERROR_MAX]
    # A handler may raise with any text; what no table keeps must not stop the view.
    return told.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
