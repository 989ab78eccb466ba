"""Another input for a run that has not begun, and another time: of several starts, the last.

    scheduled or queued --flow.input_replaced--> the same with that input, maybe due later
    running, ended      --refused

A run has begun when its first attempt was claimed. Whoever replaces says which version was
seen: a claim is an event, so of a replacement and a claim that race, one is refused. The job
keeps its place in its queue, unless it is due later now or other limits admit it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from runfold.flow.attempts import job
from runfold.flow.events import FlowInputReplaced
from runfold.flow.run import Run, evolve
from runfold.flow.work import ACCEPTING, Ready
from runfold.flow.working import Placed
from runfold.kernel.event import Draft, Recorded

_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of an event that is folded ahead of its commit; nothing decided depends on it."""


@dataclass(slots=True)
class Replacement:
    """What replaces an input: the event, and what becomes of the run's job and timers."""

    draft: Draft
    changed: list[tuple[int, Ready]] = field(default_factory=list)
    """Rows that stay, by id, with the input and the delay that they have now (None: as was)."""
    ready: list[Ready] = field(default_factory=list)
    """The job, or its timer, made anew."""
    drops: list[tuple[str, int]] = field(default_factory=list)
    """Whose job goes away for that."""


def is_replaceable(run: Run) -> bool:
    """Return whether nothing of ``run`` was claimed, and nobody has asked for its end."""
    entry = run.graph.entry
    is_open = entry is not None and (entry.name, 1) in run.open
    return is_open and run.started_at is None and bool(ACCEPTING >> run.gate & 1)


def replacement(run: Run, placed: Sequence[Placed], input: Any, delay: float | None) -> Replacement:
    """Return what gives ``run``, which is replaceable, another input; folds it into ``run``.

    ``placed``: its job and timers. ``delay``: seconds from now until it is due; None: its time
    stays.
    """
    assert run.graph.entry is not None
    act = run.open[run.graph.entry.name, 1]
    before = next(one for one in placed if one.row.step == act.step)
    event = FlowInputReplaced(input=input, delay=delay)
    evolve(run, Recorded(0, run.stream, run.version + 1, run.updated_at or _BEFORE, event))
    row = job(run, act.node, 0, act.step, act.number, plan=act.plan, keys=act.keys)
    if act.waits:
        row = replace(row, kind="start", delay=delay)
    is_alike = (row.limits, row.key, row.kind) == (
        before.row.limits, before.row.key, before.row.kind,
    )  # fmt: skip
    found = Replacement(Draft(event.model_copy(update={"requeued": not is_alike})))
    if is_alike:
        found.changed.append((before.id, row))
    else:
        due_at = None if delay is not None else before.due_at
        found.ready.append(replace(row, due_at=due_at))
        found.drops.append((act.step, act.number))
    if delay is not None:
        found.changed += _deadline(run, placed, delay)
    return found


def _deadline(run: Run, placed: Sequence[Placed], delay: float) -> list[tuple[int, Ready]]:
    """Return the timer of a deadline in seconds, which counts from when the run is due."""
    span = run.deadline if run.deadline is not None else run.definition.deadline
    if span is None or isinstance(span, datetime):
        return []
    timers = [one for one in placed if one.row.kind == "deadline"]
    return [(one.id, replace(one.row, due_at=None, delay=delay + span)) for one in timers]
