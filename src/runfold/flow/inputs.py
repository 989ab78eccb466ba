"""Plans: where the input of an activation lies in its run's stream, and what shape it has.

A plan is JSON, so it travels in a job's row: ``["one", item, trigger]``,
``["dict", {label: item}]`` or ``["list", [item, ...]]``. An item is the version of an event
(the payload of an emit, the result of a completion, the input of a start or what replaced
it), or, of a failure, ``[version, step, plan of the failed activation]``. The plan of a job in a
run whose input was replaced says so: ``["of", version of the replacement, plan]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runfold.flow.events import Emit, FlowInputReplaced, FlowStart, StepCompleted, StepFailed
from runfold.kernel.event import Event

_FAILURE_DEPTH_MAX = 16
"""How many failures of failures keep the input of the one below; deeper ones have none."""

_FIELDS: dict[type[Event], str] = {
    Emit: "payload", StepCompleted: "result", FlowStart: "input", FlowInputReplaced: "input"
}  # fmt: skip
"""Where an event has what it gives to whoever takes it."""

Plan = list[Any]
Item = int | list[Any]


def one(item: Item, trigger: str | None = None) -> Plan:
    """Return the plan of an input that is one payload."""
    return ["one", item, trigger]


def labelled(items: dict[str, Item]) -> Plan:
    """Return the plan of an input that is a dict by label."""
    return ["dict", items]


def gathered(items: list[Item]) -> Plan:
    """Return the plan of an input that is a list."""
    return ["list", items]


def replaced(version: int, plan: Plan | None) -> Plan:
    """Return ``plan`` in a run whose input was replaced at ``version``."""
    return ["of", version, plan]


def replaced_at(plan: Plan | None) -> int | None:
    """Return the version of what replaced the run's input, None where nothing did."""
    return plan[1] if plan and plan[0] == "of" else None


def failure(version: int, step: str, plan: Plan | None) -> Item:
    """Return the item of a failure: of ``step``, recorded at ``version``, with its own input."""
    keep = plan is not None and _depth(plan) < _FAILURE_DEPTH_MAX
    return [version, step, plan if keep else None]


def failed(step: str, event: StepFailed) -> dict[str, Any]:
    """Return the payload of a failure of ``step``, as far as its own event knows it."""
    error = event.error.model_dump(mode="json", by_alias=True)
    return {"step": step, "error": error, "attempts": event.attempts}


def versions(plan: Plan | None) -> list[int]:
    """Return the versions that ``resolve`` needs, each once, in ascending order."""
    found: set[int] = set()
    for item in _items(plan):
        if isinstance(item, int):
            found.add(item)
        else:
            found.add(item[0])
            found.update(versions(item[2]))
    return sorted(found)


def resolve(plan: Plan | None, events: Mapping[int, Event]) -> Any:
    """Return the input of ``plan`` from the events at ``versions(plan)``, as stored."""
    if not plan:
        return None
    shape, content = plan[0], plan[1]
    if shape == "of":
        return resolve(plan[2], events)
    if shape == "dict":
        return {label: _value(item, events) for label, item in content.items()}
    if shape == "list":
        return [_value(item, events) for item in content]
    return _value(content, events)


def trigger(plan: Plan | None) -> str | None:
    """Return the name of the event that caused the activation, None of joins and the entry."""
    if plan and plan[0] == "of":
        return trigger(plan[2])
    return plan[2] if plan and plan[0] == "one" and len(plan) > 2 else None


def _items(plan: Plan | None) -> list[Item]:
    if not plan:
        return []
    if plan[0] == "of":
        return [plan[1], *_items(plan[2])]
    if plan[0] == "dict":
        return list(plan[1].values())
    return list(plan[1]) if plan[0] == "list" else [plan[1]]


def _value(item: Item, events: Mapping[int, Event]) -> Any:
    event = events[item if isinstance(item, int) else item[0]]
    field = _FIELDS.get(type(event))
    if field is not None:
        return getattr(event, field)
    if isinstance(event, StepFailed) and isinstance(item, list):
        return failed(item[1], event) | {"input": resolve(item[2], events)}
    return None


def _depth(plan: Plan) -> int:
    nested = [_depth(item[2]) + 1 for item in _items(plan) if isinstance(item, list) and item[2]]
    return max(nested, default=0)
