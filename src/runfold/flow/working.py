"""The jobs and timers of a run, derived from its history: what makes them safe to lose.

The working tables hold nothing that the log does not say. ``rows`` of an open run are what
its commits have left in those tables: a job for each activation that waits in a queue or is
leased, a timer for each that waits for its time, one for the deadline and one for grace. The
id of a row is the position of the event that made it, and a due time counts from when that
event was recorded.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from runfold.flow.activation import Activation
from runfold.flow.attempts import job
from runfold.flow.definition import FlowDefinition
from runfold.flow.ending import archive_row
from runfold.flow.events import (
    ENDS,
    FlowDraining,
    FlowInputReplaced,
    FlowStart,
    StepRetry,
    StepScheduled,
    TimerDue,
)
from runfold.flow.run import Run
from runfold.flow.start import amended, deadline_row
from runfold.flow.work import Ready
from runfold.kernel.event import Recorded


class Placed(NamedTuple):
    """A row of the working tables: a job, or with ``row.kind`` a timer."""

    id: int
    """The position of the event that made it."""
    row: Ready
    due_at: datetime | None
    """When a timer is due."""
    leased: bool
    """An attempt has begun that did not end."""


class Working:
    """The events of one run that make rows; ``see`` each after the run has folded it."""

    def __init__(self) -> None:
        self._made: dict[tuple[str | None, int | None], Recorded] = {}
        self._start: Recorded | None = None
        self._draining: Recorded | None = None
        self._end: Recorded | None = None
        self._over: set[str] = set()
        """Kinds of the run's own timers that came due."""

    def see(self, recorded: Recorded) -> None:
        """Remember ``recorded`` if a row may come of it."""
        event = recorded.event
        if isinstance(event, StepScheduled | StepRetry):
            self._made[recorded.step, recorded.activation] = recorded
        elif isinstance(event, TimerDue):
            if event.kind in {"start", "retry"}:
                self._made[recorded.step, recorded.activation] = recorded
            else:
                self._over.add(event.kind)
        elif isinstance(event, FlowStart):
            self._start = recorded
        elif isinstance(event, FlowInputReplaced):
            self._replace(recorded, event)
        elif isinstance(event, FlowDraining):
            self._draining = recorded
        elif event.TOPIC in ENDS:
            self._end = recorded

    def _replace(self, recorded: Recorded, event: FlowInputReplaced) -> None:
        if self._start is not None:
            self._start = amended(self._start, recorded)
        if event.requeued:
            # Before it begins a run has one activation, that of its entry.
            self._made = dict.fromkeys(self._made, recorded)

    def rows(self, run: Run) -> list[Placed]:
        """Return the rows of ``run`` as it is now: of one that has ended, when it is archived."""
        if self._end is not None:
            return ended_rows(run.definition, self._end)
        placed = [self._work(run, act) for act in run.open.values() if act.answer is None]
        return [*placed, *self._timers(run)]

    def _work(self, run: Run, act: Activation) -> Placed:
        made = self._made[act.step, act.number]
        place = (0, act.step, act.number, act.attempt)
        row = job(run, act.node, *place, plan=act.plan, keys=act.keys)
        if not act.waits:
            return Placed(made.position, row, None, act.status == "running")
        event = made.event
        if isinstance(event, StepRetry):
            due = event.retry_at or act.retry_at or made.ts + timedelta(seconds=event.delay / 1000)
            return Placed(made.position, replace(row, kind="retry"), due, False)
        due = made.ts if run.due_at is None else run.due_at
        return Placed(made.position, replace(row, kind="start"), due, False)

    def _timers(self, run: Run) -> list[Placed]:
        timers: list[Placed] = []
        start, draining = self._start, self._draining
        if (
            start is not None
            and isinstance(start.event, FlowStart)
            and "deadline" not in self._over
        ):
            row = deadline_row(start.event, run.definition)
            if row is not None:
                timers.append(_timer(start, row))
        if draining is not None and "grace" not in self._over:
            assert isinstance(draining.event, FlowDraining)
            timers.append(_timer(draining, Ready(0, kind="grace", delay=draining.event.grace)))
        return timers


def ended_rows(definition: FlowDefinition, end: Recorded) -> list[Placed]:
    """Return the rows of a run in the log that ended with ``end``: the timer of its archive."""
    row = archive_row(definition, end.event.TOPIC)
    return [] if row is None else [_timer(end, row)]


def _timer(made: Recorded, row: Ready) -> Placed:
    due = row.due_at or made.ts + timedelta(seconds=row.delay or 0)
    return Placed(made.position, row, due, False)
