"""From what ``decide`` returns to what a store records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from runfold.flow.replacing import Replacement
from runfold.flow.work import Decision, Ready
from runfold.ports import Change, Row


def rows(flow: str, ready: Sequence[Ready], *, offset: int = 0) -> list[Row]:
    """Return the rows for ``ready``, whose drafts stand ``offset`` further back in the item."""
    made: list[Row] = []
    for one in ready:
        row = (
            offset + one.draft, one.kind, one.due_at, one.delay,
            flow, one.step, one.activation, one.attempt,
            one.queue, one.priority, one.key,
            None if one.inputs is None else _dumps(one.inputs), one.limits,
        )  # fmt: skip
        made.append(tuple.__new__(Row, row))  # As ``Row`` does, with every job.
    return made


def replaced(flow: str, replacement: Replacement) -> dict[str, Any]:
    """Return the fields of ``ports.Item`` that replace an input, beside the event."""
    return {
        "rows": rows(flow, replacement.ready),
        "drops": replacement.drops,
        "changes": [
            Change(id, None if row.inputs is None else _dumps(row.inputs), row.due_at, row.delay)
            for id, row in replacement.changed
        ],
    }


def effects(flow: str, decision: Decision) -> dict[str, Any]:
    """Return the fields of ``ports.Item`` that a decision sets beside its events."""
    fields: dict[str, Any] = {"gates": decision.gates}
    if decision.ready:
        fields["rows"] = rows(flow, decision.ready)
    if decision.drops:
        fields["drops"] = decision.drops
    if decision.gate is not None:
        fields["gate"] = int(decision.gate)
    if decision.expected_version is not None:
        fields["version"] = decision.expected_version
        fields["clears"] = True
    return fields


def _dumps(inputs: Any) -> str:
    return to_json(inputs).decode()
