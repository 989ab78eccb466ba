"""From what ``decide`` returns to what a store records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from runfold.flow.replacing import Replacement
from runfold.flow.work import Decision, Ready
from runfold.ports import Change, Item, Row


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


def add_effects(item: Item, flow: str, decision: Decision, *, offset: int = 0) -> None:
    """Let ``item`` have what a decision does beside its events, which stand ``offset`` behind.

    What it expects (a version, gates) is for who makes the item to say.
    """
    # A store removes before it adds: what this takes away must not be among what was added.
    if decision.expected_version is not None:
        item.clears, item.rows = True, ()
    elif decision.drops and item.rows:
        gone = set(decision.drops)
        item.rows = [row for row in item.rows if (row.step, row.activation) not in gone]
    if decision.ready:
        item.rows = [*item.rows, *rows(flow, decision.ready, offset=offset)]
    if decision.drops:
        item.drops = [*item.drops, *decision.drops]
    if decision.gate is not None:
        item.gate = int(decision.gate)


def _dumps(inputs: Any) -> str:
    return to_json(inputs).decode()
