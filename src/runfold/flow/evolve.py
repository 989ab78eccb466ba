"""What each event means for a run: remembered, never judged.

``evolve`` is total: history has already happened. An event that fits nothing the run knows
(another attempt's fact, an unknown step, anything after the end) changes nothing but the
version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runfold.flow import events, inputs, matching, values
from runfold.flow.activation import Activation, Answer
from runfold.flow.events import ErrorInfo
from runfold.flow.names import emit_name, failure_name, result_name
from runfold.flow.seal import is_erased
from runfold.flow.state import Completed, Progress, Run
from runfold.flow.work import Gate
from runfold.kernel.event import Recorded

_CLOSED = Gate.CLOSED  # At hand: a member is looked up in its class by way of a metaclass.


def evolve(run: Run, recorded: Recorded) -> None:
    """Change ``run`` to what it is after ``recorded``, the next event of its stream.

    Accepts every event in every state; O(1) amortised.
    """
    position, _, version, ts, event, step, activation, attempt, key, cause, state = recorded
    run.version, run.position = version, position
    if run.outcome is not None:
        return
    run.updated_at = ts
    kind = type(event)
    if (chain := run.chain) is not None:
        if state is None:
            run.chain = None
        else:
            chain.add(kind.TOPIC, state, key, step, activation, attempt, cause)
    remember = _REMEMBER.get(kind)
    if remember is not None:
        remember(run, event, recorded)


def _started_run(run: Run, event: events.FlowStart, recorded: Recorded) -> None:
    if run.created_at is not None:
        return
    run.id = event.run_id
    run.stream = recorded.stream
    run.created_at = run.began_at = recorded.ts
    run.erased = is_erased(recorded.state)
    run.input = event.input
    run.tags = event.tags
    run.key = event.key
    run.priority = event.priority
    run.deadline = event.deadline
    run.retry = event.retry
    run.timeout = event.timeout
    run.parent = event.parent_run_id
    run.delay = event.delay
    run.due_at = event.due_at
    run.waits = event.due_at is not None or bool(event.delay)
    if event.due_at is None and event.delay:
        run.due_at = values.later(recorded.ts, event.delay)
    matching.start(run, recorded.version)


def _replaced_input(run: Run, event: events.FlowInputReplaced, recorded: Recorded) -> None:
    entry = run.graph.entry
    act = None if entry is None else run.open.get((entry.name, 1))
    if act is None or run.started_at is not None:
        return
    run.input, run.input_version = event.input, recorded.version
    act.plan = inputs.one(recorded.version)
    if act.node.admission is not None:
        act.keys = act.node.admission.values(event.input)
    if event.due_at is not None or event.delay is not None:
        run.delay, run.due_at = event.delay, event.due_at
        if event.due_at is None and event.delay is not None:
            run.due_at = values.later(recorded.ts, event.delay)
        run.waits = act.waits = True


def _scheduled(run: Run, event: events.StepScheduled, recorded: Recorded) -> None:
    due = run.due.pop(event.name, None)
    step, number = recorded.step, recorded.activation
    node, compensates = run.graph.base(step)
    if step is None or number is None or node is None:
        return
    act = Activation(node, step, number, event.name)
    act.attempt = recorded.attempt or 1
    act.version = recorded.version
    if due is not None:
        act.plan, act.lanes, act.past, act.keys = due.plan, due.lanes, due.past, due.keys
        act.waits = run.waits and node.kind == "entry"
    elif not compensates:
        matching.press(run, node)
    if compensates:
        _compensating(run, act)
    else:
        run.activations += 1
    run.steps.append(act)
    run.open[step, number] = act
    if number > run.counts.get(step, 0):
        run.counts[step] = number


def _compensating(run: Run, act: Activation) -> None:
    act.compensates = True
    run.gate = Gate.COMPENSATING
    if run.compensations:
        undone = run.compensations.pop()
        act.plan, act.keys = inputs.one(undone.version), undone.keys


def _started(run: Run, _: events.StepStarted, recorded: Recorded) -> None:
    act = _attempt(run, recorded)
    if act is None or act.answer is not None or act.status == "running":
        return
    act.status = "running"
    act.emits = 0
    act.waits = run.waits = False
    run.leased += 1
    if act.started_at is None:
        act.started_at = recorded.ts
        if run.started_at is None:
            run.started_at = recorded.ts


def _emitted(run: Run, event: events.Emit, recorded: Recorded) -> None:
    act = _attempt(run, recorded)
    if act is None or act.compensates:
        return
    ordinal = act.emits
    act.emits = ordinal + 1
    outlet = run.graph.emits.get(event.name)
    if outlet is None:
        run.untaken[event.name] = None
    elif run.gate < _CLOSED:
        name = emit_name(act.name, ordinal)
        matching.arrive(run, outlet, act, name, recorded.version, ordinal, event.payload)


def _completed(run: Run, event: events.StepCompleted, recorded: Recorded) -> None:
    act = _attempt(run, recorded)
    if act is None:
        return
    node = act.node
    if not act.compensates:
        if run.gate < _CLOSED:
            if node.after is not None:
                name = result_name(act.name)
                matching.arrive(run, node.after, act, name, recorded.version, value=event.result)
            if node.gives_result:
                place = matching.link_of(act, act.emits)
                run.results.setdefault(node.name, []).append((place, event.result))
        if node.compensated:
            run.compensations.append(Completed(node, act.name, recorded.version, act.keys))
    _close(run, act, "completed", recorded)


def _errored(run: Run, event: events.StepErrored, recorded: Recorded) -> None:
    act = _answered(run, recorded, "errored" if event.charged else "limited")
    if act is not None:
        act.error = event.error
        act.charged = event.charged
        act.retry_after = event.retry_after
        if event.retry_at is not None:
            # A moment becomes a span here, where the time of recording is known.
            act.retry_at = event.retry_at
            act.retry_after = max(0.0, (event.retry_at - recorded.ts).total_seconds())


def _stalled(run: Run, _: events.StepStalled, recorded: Recorded) -> None:
    act = _answered(run, recorded, "stalled")
    if act is not None:
        act.error = STALLED


def _released(run: Run, _: events.StepReleased, recorded: Recorded) -> None:
    act = _answered(run, recorded, "released")
    if act is not None:
        act.charged = False


def _retried(run: Run, event: events.StepRetry, recorded: Recorded) -> None:
    act = _open(run, recorded)
    if act is None or act.answer is None:
        return
    del run.answered[recorded.step, recorded.activation]
    act.answer = None
    act.attempt = event.next_attempt
    act.version = recorded.version
    act.waits = event.delay > 0
    act.status = "retrying" if act.waits else "queued"


def _failed(run: Run, event: events.StepFailed, recorded: Recorded) -> None:
    act = _open(run, recorded)
    if act is None:
        return
    act.error = event.error
    node = act.node
    if not act.compensates and run.gate < _CLOSED:
        if node.failed is not None:
            item = inputs.failure(recorded.version, node.name, act.plan)
            known = inputs.failed(node.name, event) if node.failed.is_keyed else None
            matching.arrive(run, node.failed, act, failure_name(act.name), item, value=known)
        if not node.handled and run.definition.failure != "ignore":
            _unhandled(run, event.error, recorded)
    _close(run, act, "failed", recorded)


def _unhandled(run: Run, error: ErrorInfo, recorded: Recorded) -> None:
    if run.error is None:
        run.error, run.failed_step = error, recorded.step
    if run.definition.failure == "stop":
        _close_gate(run, recorded)


def _close_gate(run: Run, recorded: Recorded) -> None:
    run.gate = Gate.CLOSED
    run.closed_version = recorded.version


def _cancelled(run: Run, _: events.StepCancelled, recorded: Recorded) -> None:
    act = _open(run, recorded)
    if act is not None:
        _close(run, act, "cancelled", recorded)


def _close(run: Run, act: Activation, status: Any, recorded: Recorded) -> None:
    if act.status == "running":
        run.leased -= 1
    act.status = status
    act.version = act.ended_version = recorded.version
    act.ended_at = recorded.ts
    del run.open[act.step, act.number]
    if act.answer is not None:
        del run.answered[act.step, act.number]
    act.forget()
    if not act.compensates and run.gate < _CLOSED and act.node.leads:
        matching.release(run, act.node)


def _progressed(run: Run, event: events.StepProgress, recorded: Recorded) -> None:
    if recorded.step is not None:
        run.progress = Progress(
            event.percent, event.message, event.details,
            recorded.step, recorded.activation or 1, recorded.attempt or 1, recorded.ts,
        )  # fmt: skip


def _changed_state(run: Run, event: events.State, recorded: Recorded) -> None:
    expires_at = None if event.ttl is None else values.later(recorded.ts, event.ttl)
    values.change(run.data, event, expires_at, recorded.ts)


def _timer_came_due(run: Run, event: events.TimerDue, recorded: Recorded) -> None:
    if event.kind == "grace":
        run.grace_over = True
    elif event.kind == "deadline":
        if run.gate < _CLOSED:
            _close_gate(run, recorded)
            run.error, run.failed_step = DEADLINE, None
    else:
        act = _attempt(run, recorded)
        if event.kind == "start":
            run.waits = False
            run.began_at = recorded.ts
        if act is not None and act.waits:
            act.waits = False
            act.status = "queued"


def _cancel_requested(run: Run, event: events.FlowCancelRequested, recorded: Recorded) -> None:
    if run.gate < _CLOSED:
        _close_gate(run, recorded)
        run.cancelling = True
        run.reason = event.reason


def _draining(run: Run, event: events.FlowDraining, recorded: Recorded) -> None:
    run.announced = True
    if run.gate < _CLOSED:
        _close_gate(run, recorded)
        run.error, run.failed_step = event.error or DEADLINE, event.failed_step


def _paused(run: Run, _: events.FlowPaused, __: Recorded) -> None:
    if run.gate == Gate.OPEN:
        run.gate = Gate.PAUSED


def _resumed(run: Run, _: events.FlowResumed, __: Recorded) -> None:
    if run.gate == Gate.PAUSED:
        run.gate = Gate.OPEN


def _ended_well(run: Run, event: events.FlowCompleted, recorded: Recorded) -> None:
    run.outcome = "completed"
    run.result = event.result
    _ended(run, recorded)


def _ended_badly(run: Run, event: events.FlowFailed, recorded: Recorded) -> None:
    run.outcome = "failed"
    run.error, run.failed_step = event.error, event.failed_step
    _ended(run, recorded)


def _ended_by_request(run: Run, event: events.FlowCancelled, recorded: Recorded) -> None:
    run.outcome = "cancelled"
    run.reason = event.reason
    _ended(run, recorded)


def _ended(run: Run, recorded: Recorded) -> None:
    run.finished_at = recorded.ts
    run.forget()
    if run.outcome is not None:
        values.clean(run.data, run.definition.state_cleanup, run.outcome, recorded.ts)


def _open(run: Run, recorded: Recorded) -> Activation | None:
    return run.open.get((recorded.step, recorded.activation))


def _attempt(run: Run, recorded: Recorded) -> Activation | None:
    """Return the open activation whose current attempt this event is about."""
    act = run.open.get((recorded.step, recorded.activation))
    return act if act is not None and act.attempt == recorded.attempt else None


def _answered(run: Run, recorded: Recorded, answer: Answer) -> Activation | None:
    act = _attempt(run, recorded)
    if act is None or act.answer is not None:
        return None
    if act.status == "running":
        run.leased -= 1
    act.status = "retrying"
    act.answer = answer
    act.charged = True
    act.error = act.retry_at = act.retry_after = None
    act.version = recorded.version
    run.answered[recorded.step, recorded.activation] = act
    return act


STALLED = ErrorInfo(
    type="Stalled",
    code="STALLED",
    message="the lease of the attempt ended without an answer: its worker died or hung",
)
DEADLINE = ErrorInfo(
    type="DeadlineExceeded",
    code="DEADLINE_EXCEEDED",
    message="the run was not finished at its deadline",
    retryable=False,
)

_Remember = Callable[[Run, Any, Recorded], None]
_REMEMBER: dict[type[Any], _Remember] = {
    events.FlowStart: _started_run,
    events.FlowInputReplaced: _replaced_input,
    events.FlowCompleted: _ended_well,
    events.FlowFailed: _ended_badly,
    events.FlowCancelled: _ended_by_request,
    events.FlowCancelRequested: _cancel_requested,
    events.FlowDraining: _draining,
    events.FlowPaused: _paused,
    events.FlowResumed: _resumed,
    events.StepScheduled: _scheduled,
    events.StepStarted: _started,
    events.StepCompleted: _completed,
    events.StepErrored: _errored,
    events.StepStalled: _stalled,
    events.StepReleased: _released,
    events.StepRetry: _retried,
    events.StepFailed: _failed,
    events.StepCancelled: _cancelled,
    events.StepProgress: _progressed,
    events.Emit: _emitted,
    events.State: _changed_state,
    events.TimerDue: _timer_came_due,
}
