"""How a run begins: its start, its first job and its deadline are recorded in one commit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from runfold.flow.decide import decide
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowStart
from runfold.flow.run import evolve, new
from runfold.flow.work import Ready
from runfold.kernel.event import Draft, Recorded

_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of an event that is folded ahead of its commit; nothing decided depends on it."""


def creation(start: FlowStart, definition: FlowDefinition) -> tuple[list[Draft], list[Ready]]:
    """Return the events and rows of the commit that creates a run.

    That is ``start`` with what ``decide`` returns for it: the entry is scheduled, ready or at
    its time, and a timer stands for the deadline.
    """
    run = new(definition)
    evolve(run, Recorded(0, 0, 1, _BEFORE, start))
    decision = decide(run)
    drafts = [Draft(start), *decision.drafts]
    rows = [replace(row, draft=row.draft + 1) for row in decision.ready]
    deadline = deadline_row(start, definition)
    return drafts, rows if deadline is None else [*rows, deadline]


def deadline_row(start: FlowStart, definition: FlowDefinition) -> Ready | None:
    """Return the timer of the deadline; one in seconds counts from when the run is due."""
    deadline = start.deadline if start.deadline is not None else definition.deadline
    if deadline is None:
        return None
    row = Ready(draft=0, kind="deadline")
    if isinstance(deadline, datetime):
        return replace(row, due_at=deadline)
    if start.due_at is not None:
        return replace(row, due_at=start.due_at + timedelta(seconds=deadline))
    return replace(row, delay=deadline + (start.delay or 0.0))
