"""Draining: how a run that was cancelled, failed or is too late comes to its one end.

    gate closed --> what is not leased is cancelled
                --> what is leased ends by itself, or is taken when ``grace`` is over
                --> compensations, the last completed activation first, one after another
                --> the end

What completes meanwhile stays completed and leads to nothing; nothing is tried again.
"""

from __future__ import annotations

from runfold.flow.activation import Activation
from runfold.flow.attempts import answer, job, key_of
from runfold.flow.definition import COMPENSATION_SUFFIX
from runfold.flow.ending import cancelled_end, failing_end
from runfold.flow.events import ErrorInfo, FlowDraining, StepCancelled, StepScheduled
from runfold.flow.inputs import one
from runfold.flow.names import activation_name, result_name
from runfold.flow.state import Run
from runfold.flow.work import ACCEPTING, Decision, Gate, Ready
from runfold.kernel.event import Draft

CLOSED = 1 << Gate.CLOSED | 1 << Gate.COMPENSATING
"""Gates under which a run drains."""


def draining(run: Run, error: ErrorInfo, grace: float) -> Decision:
    """Return the decision that a run has broken a rule: it closes the gate and starts grace.

    Nothing is cancelled yet: a claim may stand in the log that this state has not seen. Once
    the gate is folded, no claim can follow.
    """
    step = error.details.get("step") if isinstance(error.details, dict) else None
    event = FlowDraining(error=error, failed_step=step, grace=grace)
    return Decision(
        drafts=[Draft(event, cause=run.version)],
        ready=[Ready(draft=0, kind="grace", delay=grace)],
        gate=Gate.CLOSED,
        gates=ACCEPTING,
    )


def drain(run: Run, limit: int, grace: float) -> Decision:
    """Return what is next for a run whose gate is closed for good."""
    decision = Decision(gates=CLOSED)
    leased = False
    for act in run.open.values():
        if len(decision.drafts) >= limit:
            break
        if act.compensates:
            if act.answer is not None:
                answer(run, act, decision)
        elif act.status == "running" and not run.grace_over:
            leased = True
        else:
            _cancel(run, act, decision)
    if leased and not run.announced:
        place = len(decision.drafts)
        decision.drafts.append(Draft(FlowDraining(grace=grace), cause=run.closed_version))
        decision.ready.append(Ready(draft=place, kind="grace", delay=grace))
    if decision.drafts or run.open:
        return decision
    if run.compensations:
        return compensate(run, CLOSED)
    return cancelled_end(run) if run.cancelling else failing_end(run)


def _cancel(run: Run, act: Activation, decision: Decision) -> None:
    reason = run.reason if run.cancelling else run.error.code if run.error else None
    event = StepCancelled(queue=act.node.queue, reason=reason)
    cause = run.closed_version
    key = key_of(run, act)
    decision.drafts.append(Draft(event, act.step, act.number, act.attempt, key, cause))
    decision.drops.append((act.step, act.number))


def compensate(run: Run, gates: int) -> Decision:
    """Return the scheduling of the next compensation, of the last activation completed."""
    node, name, version, keys = run.compensations[-1]
    step = node.name + COMPENSATION_SUFFIX
    number = run.counts.get(step, 0) + 1
    refs = (result_name(name),)
    event = StepScheduled(queue=node.queue, name=activation_name(step, refs), input_refs=refs)
    row = job(run, node, 0, step, number, plan=one(version), keys=keys)
    return Decision(
        drafts=[Draft(event, step, number, 1, row.key, version)],
        ready=[row],
        gate=Gate.COMPENSATING,
        gates=gates,
    )
