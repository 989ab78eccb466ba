"""Attempts: what becomes of an activation whose attempt ended, and the job of the next one.

    errored, stalled --attempts left--> step.retry --at once, or when its timer is due--> queued
                     --none left, or permanent--> step.failed
    released, limited (not charged) -----------> step.retry, the same attempt again

A decision is made once and recorded; a refold makes it alike.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from runfold.flow.activation import Activation
from runfold.flow.events import ErrorInfo, StepErrored, StepFailed, StepRetry
from runfold.flow.graph import Node
from runfold.flow.inputs import Plan, replaced
from runfold.flow.limits import Values
from runfold.flow.retry import backoff, policy_of
from runfold.flow.state import Run
from runfold.flow.work import Decision, Gate, Ready
from runfold.kernel.event import Draft

PRIORITY = 5
"""Of a step and run that do not say."""


DELAY_MAX = 10 * 365 * 86_400.0
"""Seconds until a next attempt, at most: ten years."""


def answer(run: Run, act: Activation, decision: Decision) -> bool:
    """Add to ``decision`` what follows from the end of the activation's last attempt.

    Returns whether more may be added. A failure that closes the run's gate stands alone: it
    sets ``decision.gate``, and waits when there is something else before it.
    """
    delay = _delay(run, act)
    if delay is not None:
        _retry(run, act, delay, decision)
        return True
    unhandled = not act.compensates and not act.node.handled
    stops = unhandled and run.definition.failure == "stop" and run.gate < Gate.CLOSED
    if stops and decision.drafts:
        return False
    event = StepFailed(queue=act.node.queue, error=_final(act), attempts=act.attempt)
    key = key_of(run, act)
    decision.drafts.append(Draft(event, act.step, act.number, act.attempt, key, act.version))
    if stops:
        decision.gate = Gate.CLOSED
    return not stops


def _delay(run: Run, act: Activation) -> float | None:
    """Return the seconds until the next attempt, None when there is none."""
    if act.answer == "released":
        return 0.0
    policy = policy_of(act.node.step.retry, run.retry)
    if act.charged:
        lasting = act.error is not None and not act.error.retryable
        if lasting or act.attempt >= policy.max_attempts:
            return None
        if act.answer == "stalled":
            return 0.0
    delay = act.retry_after
    if delay is None:
        delay = backoff(policy, act.attempt, f"{run.id}/{act.name}/{act.attempt}")
    return max(0.0, min(DELAY_MAX, delay))


def _retry(run: Run, act: Activation, delay: float, decision: Decision) -> None:
    assert act.answer is not None  # Else nothing would have to be decided.
    attempt = act.attempt + 1 if act.charged else act.attempt
    event = StepRetry(
        queue=act.node.queue,
        error=act.error,
        next_attempt=attempt,
        delay=delay * 1000,
        reason=act.answer,
    )
    place = (act.step, act.number, attempt)
    row = job(run, act.node, len(decision.drafts), *place, plan=act.plan, keys=act.keys)
    if delay > 0:
        row = replace(row, kind="retry", due_at=act.retry_at, delay=delay)
    decision.drafts.append(Draft(event, act.step, act.number, act.attempt, row.key, act.version))
    decision.ready.append(row)


def holds(event: StepErrored) -> datetime | float | None:
    """Return until when, or for how many seconds, what admitted the attempt admits nothing.

    None where the handler was not told to slow down.
    """
    if event.charged:
        return None
    if event.retry_at is not None or event.retry_after is None:
        return event.retry_at
    return min(DELAY_MAX, event.retry_after)


def key_of(run: Run, act: Activation) -> str | None:
    """Return the key that every event of the activation carries, None without one."""
    admission = act.node.admission
    return None if admission is None else admission.key(run.id, act.keys)


def job(
    run: Run, node: Node, draft: int, step: str, number: int, attempt: int = 1, *,
    plan: Plan | None, keys: Values,
) -> Ready:  # fmt: skip
    """Return the job of an attempt at activation ``number`` of ``step``, ready at once.

    ``node`` says how it runs; a compensation is a step of its own on the node of another.
    ``keys``: of the limits of the node.
    """
    own, said = node.priority, run.priority
    if len(run.graph.nodes) == 1:
        # A queue's job: who starts it knows more about it than who declared it.
        own, said = said, own
    admission = node.admission
    key = None if admission is None else admission.key(run.id, keys)
    inputs = plan if run.input_version == 1 else replaced(run.input_version, plan)
    priority = own or said or PRIORITY
    ready = Ready(draft, step, number, attempt, node.queue, priority, key, inputs)
    if admission is not None:
        ready.limits = admission.buckets(run.id, keys)
    return ready


def _final(act: Activation) -> ErrorInfo:
    error = act.error
    assert error is not None  # Whatever is charged has one; the rest is tried again.
    if not act.compensates:
        return error
    return error.model_copy(
        update={
            "code": "COMPENSATION_FAILED",
            "message": f"the compensation of step {act.node.name!r} failed: {error.message}",
        }
    )
