"""Runs that begin with the past of another: fork, retry and restart are this one mechanism.

    the origin   flow.start  a  b  c | d  e
    a new run    flow.start' a  b  c   what differs, what decide returns

What is copied keeps its names, so whatever folds, compares or replays sees the same
activations; no effect is repeated for it. Nothing in the new run is under way: an attempt
that was starts again, not charged, what was queued is queued, a timer keeps its moment and
is due at once when that has passed. The state is that of the cut, with as much of a ``ttl``
left as there was.

All of it is one commit. The origin is only read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from runfold.errors import Unforkable
from runfold.flow.activation import Activation
from runfold.flow.attempts import job, key_of
from runfold.flow.decide import decide
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import (
    FlowResumed,
    FlowStart,
    State,
    StepReleased,
    StepRetry,
    StepScheduled,
    TimerDue,
)
from runfold.flow.run import Entry, Run, evolve, new
from runfold.flow.start import deadline_row
from runfold.flow.values import change, later
from runfold.flow.work import Gate, Ready
from runfold.kernel.event import Draft, Event, Recorded


def fork(
    past: Sequence[Recorded],
    start: FlowStart,
    definition: FlowDefinition,
    state: Mapping[str, Any],
) -> tuple[list[Draft], list[Ready]]:
    """Return the events and rows of the commit that creates the run ``start``.

    ``past``: events of the origin, its ``flow.start`` first. ``state`` is set over what they
    left. Raises ``Unforkable`` when they do not come about in the graph of ``definition``, or
    when the run could only fail.
    """
    copy = _Copy(start, definition, past[0].ts)
    for recorded in past[1:]:
        copy.take(recorded)
    ready = [_row(copy, act) for act in copy.run.open.values() if _waits_for_its_turn(act)]
    copy.settle()
    for key, value in state.items():
        copy.add(State(operation="set", key=key, value=value))
    deadline = deadline_row(start, definition)
    if deadline is not None:
        ready.append(deadline)
    return _decided(copy, ready)


class _Copy:
    """The new run while it is made, folded as it will be."""

    def __init__(self, start: FlowStart, definition: FlowDefinition, ts: datetime) -> None:
        self.run: Run = new(definition)
        self.drafts: list[Draft] = []
        self.retries: dict[tuple[str, int], datetime] = {}
        """When retries are due that the origin had decided, by step and activation."""
        self.made: dict[tuple[str, int], int] = {}
        """The place of the event that made the row of a step's activation."""
        self._ts = self._first = ts
        self._versions: dict[int | None, int] = {1: 1}
        """Versions here, by those in the origin."""
        self._at_once: dict[str, Entry] = {}
        """The state as it comes out when all is recorded at one moment, as it will be."""
        self.add(start)

    def add(
        self,
        event: Event,
        step: str | None = None,
        activation: int | None = None,
        attempt: int | None = None,
        key: str | None = None,
    ) -> None:
        """Record ``event`` behind the others, at the moment of the cut."""
        self._append(Draft(event, step, activation, attempt, key), self._ts)

    def take(self, recorded: Recorded) -> None:
        """Copy an event of the origin, at its own moment."""
        _, _, version, ts, event, step, activation, attempt, key, cause, _ = recorded
        if isinstance(event, StepScheduled) and event.name not in self.run.due:
            raise Unforkable(
                f"activation {event.name!r} of version {version} does not come about with this "
                "definition of the flow: what its step subscribes to, or what leads there, has "
                "changed; begin before that version, or keep the recorded definition"
            )
        if isinstance(event, StepRetry) and step is not None:
            due = event.retry_at or ts + timedelta(milliseconds=event.delay)
            self.retries[step, activation or 1] = due
            if event.delay:
                event = event.model_copy(update={"retry_at": due})
        if isinstance(event, StepScheduled | StepRetry | TimerDue) and step is not None:
            self.made[step, activation or 1] = len(self.drafts)
        if isinstance(event, State):
            once = self._first
            expires_at = None if event.ttl is None else later(once, event.ttl)
            change(self._at_once, event, expires_at, once)
        self._ts = ts
        self._versions[version] = len(self.drafts) + 1
        cause = self._versions.get(cause)
        self._append(Draft(event, step, activation, attempt, key, cause), ts)

    def settle(self) -> None:
        """Record what makes the copy a run that goes on: attempts given back, state as it was."""
        if self.run.gate == Gate.PAUSED:
            self.add(FlowResumed())
        for act in list(self.run.open.values()):
            if act.status == "running":
                event = StepReleased(queue=act.node.queue)
                self.add(event, act.step, act.number, act.attempt, key_of(self.run, act))
        self._settle_state()

    def _settle_state(self) -> None:
        now = self._ts
        meant = {
            key: entry
            for key, entry in self.run.data.items()
            if entry.expires_at is None or entry.expires_at > now
        }
        for key in self._at_once.keys() - meant.keys():
            self.add(State(operation="delete", key=key))
        for key, entry in meant.items():
            found = self._at_once.get(key)
            left = None if entry.expires_at is None else (entry.expires_at - now).total_seconds()
            if left is not None or found is None or not _is_alike(found, entry):
                self.add(State(operation="set", key=key, value=entry.value, ttl=left))

    def _append(self, draft: Draft, ts: datetime) -> None:
        self.drafts.append(draft)
        evolve(self.run, Recorded(0, 0, len(self.drafts), ts, *draft))


def _is_alike(found: Entry, meant: Entry) -> bool:
    # Both came out of the same events: what differs differs in how it is written.
    return found.expires_at is None and repr(found.value) == repr(meant.value)


def _waits_for_its_turn(act: Activation) -> bool:
    return act.answer is None and act.status != "running"


def _row(copy: _Copy, act: Activation) -> Ready:
    """Return the job of an activation that was queued at the cut, or its timer."""
    run = copy.run
    place = (copy.made[act.step, act.number], act.step, act.number, act.attempt)
    row = job(run, act.node, *place, plan=act.plan, keys=act.keys)
    if not act.waits:
        return row
    if run.waits:
        return replace(row, kind="start", due_at=run.due_at)
    return replace(row, kind="retry", due_at=copy.retries.get((act.step, act.number)))


def _decided(copy: _Copy, ready: list[Ready]) -> tuple[list[Draft], list[Ready]]:
    """Add what is next for the run, unless that is its end: the dispatcher sees to that."""
    decision = decide(copy.run)
    if decision.gate == Gate.CLOSED:
        error = getattr(decision.drafts[-1].event, "error", None)
        raise Unforkable(
            f"what begins there could only fail, as the run did: {error and error.message}; begin "
            "before that, at a step that leads there, or with a definition that allows it"
        )
    if decision.gate is None and decision.expected_version is None:
        offset = len(copy.drafts)
        copy.drafts += decision.drafts
        ready += [replace(row, draft=row.draft + offset) for row in decision.ready]
    return copy.drafts, ready


def descend(
    first: Recorded, definition: FlowDefinition, *, now: datetime, **changes: Any
) -> FlowStart:
    """Return the ``flow.start`` of a run that descends from the one that ``first`` created.

    It is due when that was, and has no parent and no key: those are the origin's alone. A
    deadline in seconds counts anew, from ``now`` or from when the run is due. ``changes`` are
    fields that differ. Raises ``Unforkable`` for a deadline that has passed.
    """
    start = first.event
    assert isinstance(start, FlowStart)
    due_at = start.due_at
    if due_at is None and start.delay:
        due_at = later(first.ts, start.delay)
    deadline = start.deadline if start.deadline is not None else definition.deadline
    if "deadline" in changes:
        deadline = changes.pop("deadline")
    if isinstance(deadline, datetime) and deadline <= now:
        raise Unforkable(
            f"its deadline, {deadline}, has passed; give the new run another with deadline=, or "
            "None for the flow's own"
        )
    if due_at is not None and deadline is not None and not isinstance(deadline, datetime):
        deadline = later(max(due_at, now), deadline)
    kept = {"definition": definition.hash, "due_at": due_at, "deadline": deadline}
    gone = {"parent_run_id": None, "key": None, "delay": None}
    return start.model_copy(update={**kept, **gone, **changes})
