"""What must be true of every history, whatever went wrong while it was made."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

from runfold.testing import SimulatedRun

ATTEMPT_ENDS = {"step.completed", "step.errored", "step.stalled", "step.released"}
RUN_ENDS = {"flow.completed", "flow.failed", "flow.cancelled"}


def broken(run: SimulatedRun[Any]) -> list[str]:
    """Return what is wrong with the history of ``run``, which must be over."""
    events = run.events
    found = [] if events[-1].type in RUN_ENDS else [f"it has not ended: {run.status}"]
    found += [f"{event.type} after an end" for event in events if event.type in RUN_ENDS][1:]
    if [event.version for event in events] != list(range(1, len(events) + 1)):
        found.append("a version is missing or there twice")
    if any(a.ts > b.ts or a.id >= b.id for a, b in pairwise(events)):
        found.append("time or positions go back")
    return found + _attempts(events) + _after_a_request(events)


def _attempts(events: list[Any]) -> list[str]:
    started = Counter(event.step_id for event in events if event.type == "step.started")
    ended = Counter(event.step_id for event in events if event.type in ATTEMPT_ENDS)
    completed = Counter(
        event.step_id.partition("__attempt-")[0]
        for event in events
        if event.type == "step.completed"
    )
    released = Counter(
        event.step_id
        for event in events
        if event.type == "step.released" or event.data.get("charged") is False
    )
    found = [
        f"{id} started {number} times"
        for id, number in started.items()
        if number > 1 + released[id]
    ]
    found += [f"{id} ended {n} times" for id, n in ended.items() if n > started[id]]
    return found + [f"{id} completed {n} times" for id, n in completed.items() if n > 1]


def _after_a_request(events: list[Any]) -> list[str]:
    """Nothing starts once a cancel is accepted, or while a pause is in force."""
    found: list[str] = []
    cancelled = paused = False
    for event in events:
        cancelled |= event.type == "flow.cancel_requested"
        paused = event.type == "flow.paused" or (paused and event.type != "flow.resumed")
        if event.type in {"step.started", "step.scheduled"} and not _undoes(event):
            if cancelled:
                found.append(f"{event.type} of {event.step_name} after the cancel")
            if paused and event.type == "step.started":
                found.append(f"{event.step_name} started while paused")
    if cancelled and events[-1].type != "flow.cancelled":
        found.append(f"an accepted cancel ended as {events[-1].type}")
    return found


def _undoes(event: Any) -> bool:
    return str(event.step_name).endswith(".compensate")


def outcome(run: SimulatedRun[Any]) -> tuple[Any, ...]:
    """Return what must not depend on what went wrong."""
    state = run.state
    emits = Counter(
        (event.step_name, event.data["name"], repr(event.data["payload"]))
        for event in run.events
        if event.type == "emit"
    )
    error = None if state.error is None else (state.error.code, state.error.message)
    return state.status, run.result, error, state.data, sorted(emits.items())
