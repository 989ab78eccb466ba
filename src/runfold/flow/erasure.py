"""What is left of a run whose subject is forgotten: its shape, and nothing that a user wrote.

Of each event stay its type, its place, its times and numbers, and names that the code gives
(flows, steps, queues, topics, state keys, types of records and errors): so the run folds as it
did and its chain stays whole. Gone are values, messages, reasons, the idempotency key, the tags
and the keys of limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from runfold.flow import events as ev
from runfold.flow.events import ErasedError, ErrorInfo, FlowErased
from runfold.kernel.event import Event, Recorded

ERASED = "[erased]"
"""Where an event must have a text."""
ERRORS_PER_EVENT = 1000
"""How many attempts one event names at most; more stand in further events."""


def rest(event: Event) -> Event:
    """Return what is left of ``event``; the same object where no user wrote anything."""
    gone = _GONE.get(type(event))
    return event if gone is None else event.model_copy(update=gone(event))


def erasures(run_id: str, stream: int, history: Iterable[Recorded]) -> list[FlowErased]:
    """Return the events that say that the run is erased, with the attempts that had an error."""
    errors = [*_errors(history)]
    chunks = range(0, max(len(errors), 1), ERRORS_PER_EVENT)
    return [
        FlowErased(run_id=run_id, stream=stream, errors=tuple(errors[at : at + ERRORS_PER_EVENT]))
        for at in chunks
    ]


def _errors(history: Iterable[Recorded]) -> Iterable[ErasedError]:
    found: dict[tuple[str, int, int], ErasedError] = {}
    for recorded in history:
        event = recorded.event
        if isinstance(event, ev.StepErrored | ev.StepFailed):
            place = (recorded.step or "", recorded.activation or 1, recorded.attempt or 1)
            step, number, attempt = place
            code = event.error.code
            found[place] = ErasedError(step=step, number=number, attempt=attempt, code=code)
    return found.values()


def _without(error: ErrorInfo) -> ErrorInfo:
    gone = {"message": ERASED, "stack": None, "details": None}
    return error.model_copy(update=gone)


def _error(event: Any) -> dict[str, Any]:
    return {"error": event.error and _without(event.error)}


def _values(**gone: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda _: gone


_GONE: dict[type[Event], Callable[[Any], dict[str, Any]]] = {
    ev.FlowStart: _values(input=None, key=None, tags=()),
    ev.FlowInputReplaced: _values(input=None),
    ev.FlowCompleted: _values(result=None),
    ev.FlowFailed: _error,
    ev.FlowCancelled: _values(reason=None),
    ev.FlowCancelRequested: _values(reason=None),
    ev.FlowDraining: _error,
    ev.StepCompleted: _values(result=None),
    ev.StepErrored: _error,
    ev.StepRetry: _error,
    ev.StepFailed: _error,
    ev.StepCancelled: _values(reason=None),
    ev.StepProgress: _values(message=None, details=None),
    ev.Log: _values(message=ERASED, meta={}),
    ev.Emit: _values(payload=None),
    ev.State: _values(value=None),
    ev.Record: _values(data=None),
    ev.Output: _values(chunk=""),
}
"""What is put in the place of what users wrote, by type; every type that is not here has none
of it, and a test asks about each."""
