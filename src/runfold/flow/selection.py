"""Which part of a run's past another run may begin with.

A fork takes a prefix, a retry what is left of the whole history when some activations, and
all that came of them, had not been. Both are lists of events of the origin, in its order;
``flow/fork.py`` makes a run of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runfold.errors import InvalidInput, Unforkable
from runfold.flow.definition import COMPENSATION_SUFFIX, FlowDefinition
from runfold.flow.events import Emit, FlowStart, State, StepScheduled
from runfold.flow.names import activation_name, result_name
from runfold.flow.run import Run, evolve, new
from runfold.flow.work import Gate
from runfold.kernel.event import Recorded


def prefix(
    history: Sequence[Recorded], definition: FlowDefinition, at: int | datetime
) -> list[Recorded]:
    """Return the events up to the version or moment ``at``.

    Emits and state of an attempt stand with its completion or not at all: a version between
    them is that of the event before. Raises ``InvalidInput`` for a place outside of the run,
    ``Unforkable`` for one at which it drained or had ended.
    """
    cut = at if isinstance(at, int) else sum(recorded.ts <= at for recorded in history)
    if isinstance(at, datetime) and not cut:
        raise _refused("at", f"the run did not exist at {at}; it was created {history[0].ts}")
    if not 1 <= cut <= len(history):
        raise _refused("at", f"version is {cut}, the run has versions 1 to {len(history)}")
    while isinstance(history[cut - 1].event, Emit | State) and history[cut - 1].step is not None:
        cut -= 1
    run, last = new(definition), 0
    for recorded in history[:cut]:
        evolve(run, recorded)
        if run.outcome is None and run.gate < Gate.CLOSED:
            last = recorded.version
    if last != cut:
        raise Unforkable(
            f"at version {cut} the run was {run.status!r}, and so would be what begins there; "
            f"fork it at version {last} or before, or use retry() or restart()"
        )
    return list(history[:cut])


def remainder(
    history: Sequence[Recorded], definition: FlowDefinition, from_step: str | None
) -> list[Recorded]:
    """Return what is left of the ended run ``history`` when it is tried again.

    Without: what failed for good and nobody handled, what was cancelled, what has been
    compensated, every activation of ``from_step``, whatever came of any of these, and every
    pause, cancel, deadline and end of the run. Raises ``InvalidInput`` for a step that never
    ran, ``Unforkable`` for a run that goes on or has nothing to try again.
    """
    run = new(definition)
    for recorded in history:
        evolve(run, recorded)
    if run.outcome is None:
        raise Unforkable(
            f"the run is {run.status!r}: only what has ended can be tried again; wait for it or "
            "cancel it, or fork it"
        )
    if run.outcome == "completed" and from_step is None:
        raise Unforkable(
            "the run has completed, so no step of it is to be tried again; name one with "
            "from_step=, or use fork() or restart()"
        )
    if from_step is not None:
        _must_have_run(run, from_step)
    return _without(history, definition, _again(run, from_step))


def _must_have_run(run: Run, step: str) -> None:
    ran = dict.fromkeys(act.step for act in run.steps if not act.compensates)
    if step in ran:
        return
    what = "never ran in this run" if step in run.graph.nodes else "is no step of its flow"
    raise _refused("from_step", f"step {step!r} {what}; those that ran are {sorted(ran)!r}")


def _again(run: Run, from_step: str | None) -> set[str]:
    """Return the names of the activations that are to run again."""
    undone = {act.name for act in run.steps if act.compensates}
    again: set[str] = set()
    for act in run.steps:
        failed = act.status == "failed" and not act.node.handled
        undoing = activation_name(act.step + COMPENSATION_SUFFIX, (result_name(act.name),))
        if failed or act.status == "cancelled" or act.step == from_step or undoing in undone:
            again.add(act.name)
    return again


def _without(
    history: Sequence[Recorded], definition: FlowDefinition, again: set[str]
) -> list[Recorded]:
    """Return ``history`` as if those ``again`` had not been scheduled.

    What came of them never becomes due in the fold of what is kept, and so is not kept either.
    """
    run = new(definition)
    kept: list[Recorded] = []
    places: set[tuple[str | None, int | None]] = set()
    for recorded in history:
        event, place = recorded.event, (recorded.step, recorded.activation)
        if isinstance(event, StepScheduled) and event.name in run.due and event.name not in again:
            places.add(place)
        if recorded.step is None:
            stays = isinstance(event, FlowStart | State)
        else:
            stays = place in places
        if stays:
            kept.append(recorded)
            evolve(run, recorded)
    return kept


def _refused(option: str, message: str) -> InvalidInput:
    return InvalidInput(message, details=[{"loc": option, "msg": message}])
