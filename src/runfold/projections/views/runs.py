"""Runs, as listings want them: one row for each run, and one more for each of its tags.

    scheduled --its time--> running --cancel--> cancelling --> cancelled
        |                   |  ^  |
        +--pause--> paused <+  |  +--fails--> failing --> failed
                       +-resume+  +--> completed

The row of a run itself has the tag ``""``; those of its tags say the same. So every question
is a few ranges of one index, for all runs or for those of a tag: one for each status.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from runfold.flow.definition import COMPENSATION_SUFFIX
from runfold.flow.events import (
    FlowCancelled,
    FlowCancelRequested,
    FlowCompleted,
    FlowDraining,
    FlowErased,
    FlowFailed,
    FlowInputReplaced,
    FlowPaused,
    FlowResumed,
    FlowStart,
    StepProgress,
    StepRetry,
    StepScheduled,
    StepStarted,
    TimerDue,
)
from runfold.projections.logged import Logged
from runfold.projections.projection import Projection
from runfold.projections.rows import Rows

_CLOSED = ("cancelling", "failing")
PRIORITY = 5
"""Of a run that was started without one."""


@dataclass(slots=True)
class RunRow:
    """A run."""

    tag: str
    """"" for the run itself; else one of its tags."""
    stream: int
    """The number of its stream, which orders runs by their start."""
    flow: str
    status: str
    queue: str
    """The queue of its entry; "" until that is scheduled, in the same commit."""
    tags: str
    """JSON: the list of its tags."""
    priority: int
    attempt: int
    """The highest attempt of any of its steps."""
    version: int
    """The version of the event that this row was last changed by."""
    input_version: int
    """The version of the event that has its input."""
    created_at: datetime
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    progress: float | None
    begun: bool
    """Whether its time to start has come."""


RUNS: Projection[RunRow] = Projection(
    "runs",
    RunRow,
    key=("tag", "stream"),
    version=2,
    indexes=(
        ("tag", "status", "stream"),
        ("tag", "flow", "status", "stream"),
        ("tag", "queue", "status", "stream"),
    ),
    parallel=True,
    in_place=True,
    counts=("flow", "queue", "status"),
    counted={"tag": ""},
)


@RUNS.on(FlowStart)
def _started(rows: Rows[RunRow], at: Logged[FlowStart]) -> None:
    event, ts = at.event, at.recorded.ts
    waits = event.due_at is not None or bool(event.delay)
    due_at = event.due_at
    if due_at is None and event.delay:
        due_at = ts + timedelta(seconds=event.delay)
    row = RunRow(
        tag="",
        stream=at.recorded.stream,
        flow=event.flow,
        status="scheduled" if waits else "running",
        queue="",
        tags=json.dumps(event.tags, ensure_ascii=False) if event.tags else "[]",
        priority=event.priority or PRIORITY,
        attempt=1,
        version=at.recorded.version,
        input_version=at.recorded.version,
        created_at=ts,
        due_at=due_at,
        started_at=None,
        finished_at=None,
        progress=None,
        begun=not waits,
    )
    _put(rows, row)


@RUNS.on(FlowInputReplaced)
def _replaced(rows: Rows[RunRow], at: Logged[FlowInputReplaced]) -> None:
    if (row := _row(rows, at)) is None or row.started_at is not None:
        return
    event = at.event
    row.input_version = at.recorded.version
    if event.due_at is not None or event.delay is not None:
        row.due_at = event.due_at or at.recorded.ts + timedelta(seconds=event.delay or 0)
        row.begun = False
        if row.status == "running":
            row.status = "scheduled"
    _change(rows, row, at)


@RUNS.on(StepScheduled)
def _scheduled(rows: Rows[RunRow], at: Logged[StepScheduled]) -> None:
    recorded = at.recorded
    is_compensation = (recorded.step or "").endswith(COMPENSATION_SUFFIX)
    if recorded.version > 2 and not is_compensation:
        return  # The entry stands directly behind the start.
    row = _row(rows, at)
    if row is None:
        return
    if recorded.version == 2:
        row.queue = at.event.queue
    if is_compensation and row.status not in _CLOSED:
        row.status = "failing"
    _change(rows, row, at)


@RUNS.on(StepStarted)
def _begun(rows: Rows[RunRow], at: Logged[StepStarted]) -> None:
    if (row := _row(rows, at)) is None or row.started_at is not None:
        return
    row.started_at = at.recorded.ts
    row.begun = True
    if row.status == "scheduled":
        row.status = "running"
    _change(rows, row, at)


@RUNS.on(StepRetry)
def _again(rows: Rows[RunRow], at: Logged[StepRetry]) -> None:
    if (row := _row(rows, at)) is not None and at.event.next_attempt > row.attempt:
        row.attempt = at.event.next_attempt
        _change(rows, row, at)


@RUNS.on(StepProgress)
def _progressed(rows: Rows[RunRow], at: Logged[StepProgress]) -> None:
    if (row := _row(rows, at)) is not None:
        row.progress = at.event.percent
        _change(rows, row, at)


@RUNS.on(TimerDue)
def _due(rows: Rows[RunRow], at: Logged[TimerDue]) -> None:
    if at.event.kind not in ("start", "deadline") or (row := _row(rows, at)) is None:
        return
    if at.event.kind == "start":
        row.begun = True
        if row.status == "scheduled":
            row.status = "running"
    elif row.status not in _CLOSED:
        row.status = "failing"
    _change(rows, row, at)


@RUNS.on(FlowPaused, FlowResumed, FlowCancelRequested, FlowDraining)
def _moved(rows: Rows[RunRow], at: Logged[Any]) -> None:
    if (row := _row(rows, at)) is None or row.status in _CLOSED:
        return
    match at.event:
        case FlowPaused():
            row.status = "paused"
        case FlowResumed():
            row.status = "running" if row.begun else "scheduled"
        case FlowCancelRequested():
            row.status = "cancelling"
        case _:
            row.status = "failing"
    _change(rows, row, at)


@RUNS.on(FlowCompleted, FlowFailed, FlowCancelled)
def _ended(rows: Rows[RunRow], at: Logged[Any]) -> None:
    if (row := _row(rows, at)) is not None:
        row.status = at.event.TOPIC.removeprefix("flow.")
        row.finished_at = at.recorded.ts
        _change(rows, row, at)


@RUNS.on(FlowErased)
def _erased(rows: Rows[RunRow], at: Logged[FlowErased]) -> None:
    row = rows.get("", at.event.stream)
    if row is None or row.tags == "[]":
        return
    for tag in set(tags_of(row)) - {""}:
        rows.delete(tag, row.stream)
    row.tags = "[]"
    rows.put(row)


def tags_of(row: RunRow) -> list[str]:
    """Return the tags of a run."""
    tags: list[str] = [] if row.tags == "[]" else json.loads(row.tags)
    return tags


def _row(rows: Rows[RunRow], at: Logged[Any]) -> RunRow | None:
    return rows.get("", at.recorded.stream)


def _change(rows: Rows[RunRow], row: RunRow, at: Logged[Any]) -> None:
    row.version = at.recorded.version
    _put(rows, row)


def _put(rows: Rows[RunRow], row: RunRow) -> None:
    rows.put(row)
    if row.tags != "[]":
        for tag in set(tags_of(row)) - {""}:
            rows.put(replace(row, tag=tag))
