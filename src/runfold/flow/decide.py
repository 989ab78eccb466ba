"""What is next for a run: the decisions, one batch at a time.

``decide`` is level-triggered: it reads nothing but the folded state, so it can be asked
again at any time, by anyone who has folded as far, and says the same. A decision either
creates and ends work, under the gates that allow it, or is the run's one end, under the
version that was seen. What closes the gate stands alone: work decided beside it would be
blocked by it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from runfold.flow.attempts import answer, job
from runfold.flow.drain import compensate, drain, draining
from runfold.flow.ending import completion, failing_end
from runfold.flow.events import ErrorInfo, StepScheduled
from runfold.flow.state import Run
from runfold.flow.work import ACCEPTING, Decision, Gate
from runfold.kernel.event import Draft, maker

REFS_MAX = 10_000
"""How many causes a ``step.scheduled`` names; a collect of more is known by its name alone."""

_CLOSED = Gate.CLOSED
_step_scheduled = maker(StepScheduled)
_NOTHING = Decision()
"""Said more often than anything else; nobody changes a decision of somebody else's."""


def decide(run: Run, *, limit: int = 500, grace: float = 30.0) -> Decision:
    """Return at most ``limit`` of what is due and undecided; nothing over its own result.

    ``grace``: seconds that a draining run leaves to attempts that are still leased.
    """
    if run.outcome is not None or not run.version:
        return _NOTHING
    if run.gate >= _CLOSED:
        return drain(run, limit, grace)
    if run.fault is not None:
        return draining(run, run.fault, grace)
    if not (run.answered or run.due):
        return _NOTHING if run.open else _quiet(run)
    decision = Decision(gates=ACCEPTING)
    for act in islice(run.answered.values(), limit):
        if not answer(run, act, decision):
            return decision
    if run.due:
        room = run.definition.activations_max - run.activations
        if room <= 0:
            return decision if decision.drafts else draining(run, _exceeded(run), grace)
        _schedule(run, decision, min(room, limit - len(decision.drafts)))
    return decision


def _schedule(run: Run, decision: Decision, limit: int) -> None:
    """Add up to ``limit`` of the due activations, in the order in which they became due."""
    numbers: dict[str, int] = {}
    for due in islice(run.due.values(), limit):
        node = due.node
        step = node.name
        number = numbers.get(step) or run.counts.get(step, 0) + 1
        numbers[step] = number + 1
        row = job(run, node, len(decision.drafts), step, number, plan=due.plan, keys=due.keys)
        run_at = None
        if run.waits and node.kind == "entry":
            delay = None if run.delay is None else float(run.delay)
            run_at = run.due_at if delay is None else None
            row = replace(row, kind="start", due_at=run_at, delay=delay)
        event = _step_scheduled({
            "queue": node.queue,
            "name": due.name,
            "trigger": due.trigger,
            "input_refs": due.refs[:REFS_MAX],
            "run_at": run_at,
        })  # fmt: skip
        made = (event, step, number, 1, row.key, due.cause)
        decision.drafts.append(tuple.__new__(Draft, made))  # As ``Draft`` does, with each.
        decision.ready.append(row)


def _quiet(run: Run) -> Decision:
    """Return the end of a run in which nothing is open and nothing due."""
    if run.error is None:
        return completion(run)
    if run.compensations:
        return compensate(run, ACCEPTING)
    return failing_end(run)


def _exceeded(run: Run) -> ErrorInfo:
    return ErrorInfo(
        type="ActivationsExceeded",
        code="ACTIVATIONS_EXCEEDED",
        message=(
            f"the run has had {run.activations} activations, as many as its flow allows, and "
            f"{next(iter(run.due.values())).node.name!r} is due again; break the loop, or raise "
            "activations_max"
        ),
        retryable=False,
        details={"step": next(iter(run.due.values())).node.name},
    )
