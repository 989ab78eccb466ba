"""How a run begins: its start, its first job and its deadline are recorded in one commit.

Until it has begun its input may be replaced (``flow/replacing.py``): the start is then read as
if it had said so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from runfold.flow.decide import decide
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowInputReplaced, FlowStart, TimerDue
from runfold.flow.run import evolve, new
from runfold.flow.values import later
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


def amended(start: Recorded, replaced: Recorded) -> Recorded:
    """Return the ``flow.start`` of a run as if it had said what ``replaced`` says."""
    event = replaced.event
    assert isinstance(event, FlowInputReplaced)
    changes: dict[str, Any] = {"input": event.input}
    due_at = event.due_at
    if due_at is None and event.delay is not None:
        due_at = later(replaced.ts, event.delay)
    if due_at is not None:
        changes |= {"due_at": due_at, "delay": None}
    return start._replace(event=start.event.model_copy(update=changes))


def told(history: Sequence[Recorded]) -> list[Recorded]:
    """Return ``history`` as if its start had said at once what replaced its input later."""
    start, rest = history[0], list[Recorded]()
    for recorded in history[1:]:
        if isinstance(recorded.event, FlowInputReplaced):
            start = amended(start, recorded)
            if recorded.event.delay is not None or recorded.event.due_at is not None:
                # It was put off: that its time had come means nothing any more.
                rest = [one for one in rest if not isinstance(one.event, TimerDue)]
        else:
            rest.append(recorded)
    return [start, *rest]


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
