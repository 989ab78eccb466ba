"""Replacing values in a history that leaves its database.

Only what users wrote can be replaced: names, refs and numbers make the history fold, and a
replacement after which it would fold to something else is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from runfold.errors import InvalidInput
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import ENDS, StepScheduled
from runfold.flow.run import evolve, new
from runfold.kernel.event import Event, Recorded

Redact = Callable[[str, dict[str, Any]], dict[str, Any]] | Sequence[str]
"""Paths such as ``input.customer.email`` or ``payload.*.card``, or a function of an event's type
and values that returns what to keep."""
REDACTED = "[redacted]"
FIELDS = frozenset(
    [
        "input", "result", "payload", "value", "data", "message", "meta", "details", "chunk",
        "error", "reason", "tags", "key",
    ]
)  # fmt: skip
"""The fields of events that hold what users wrote."""


def redacted(
    history: Sequence[Recorded], definition: FlowDefinition, how: Redact
) -> list[Recorded]:
    """Return ``history`` with the values that ``how`` names replaced.

    Raises ``InvalidInput`` for a path into what users did not write, a value that its event
    cannot have, and a replacement that changes which activations come about.
    """
    change = how if callable(how) else _along(_paths(how))
    changed = [recorded._replace(event=_changed(recorded.event, change)) for recorded in history]
    if _outline(definition, history) != _outline(definition, changed):
        raise InvalidInput(
            "what is replaced decides which events meet in a join (by=): the history would fold "
            "to another run; leave that value in, or replace it by one that is equal where it was"
        )
    return changed


def _outline(definition: FlowDefinition, history: Sequence[Recorded]) -> list[Any]:
    """Return what came about, event by event, and what was due at last."""
    run = new(definition)
    outline: list[Any] = []
    for recorded in history:
        if isinstance(recorded.event, StepScheduled):
            outline.append(recorded.event.name in run.due)
        if recorded.event.TOPIC not in ENDS:
            evolve(run, recorded)
    return [*outline, list(run.due), run.fault is None]


def _changed(event: Event, change: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Event:
    data = event.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    own = {name: value for name, value in data.items() if name in FIELDS}
    if event.TOPIC == "state":
        own.pop("key", None)
    if not own:
        return event
    rest = {name: value for name, value in data.items() if name not in own}
    kept = {name: value for name, value in change(event.TOPIC, own).items() if name in own}
    try:
        return type(event).model_validate({**rest, **kept})
    except ValueError as error:
        raise InvalidInput(
            f"{event.TOPIC} cannot have what it would be replaced by: {error}; replace values "
            "inside of it instead"
        ) from error


def _paths(how: Sequence[str]) -> list[list[str]]:
    if isinstance(how, str):
        raise InvalidInput(f"redact is {how!r}, expected a list of paths or a function")
    paths = [path.split(".") for path in how]
    for path in paths:
        if path[0] not in FIELDS:
            raise InvalidInput(
                f"path {'.'.join(path)!r} does not begin with what users write; expected one of "
                f"{sorted(FIELDS)!r}"
            )
    return paths


def _along(paths: list[list[str]]) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    def change(_: str, data: dict[str, Any]) -> dict[str, Any]:
        for path in paths:
            _replace(data, path)
        return data

    return change


def _replace(value: Any, path: list[str]) -> None:
    first, rest = path[0], path[1:]
    places: list[Any] = []
    if isinstance(value, dict):
        places = list(value) if first == "*" else [first] if first in value else []
    elif isinstance(value, list):
        numbers = range(len(value))
        places = list(numbers) if first == "*" else [n for n in numbers if str(n) == first]
    for place in places:
        if rest:
            _replace(value[place], rest)
        else:
            value[place] = REDACTED
