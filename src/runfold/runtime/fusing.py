"""Facts and the decisions that they cause, as one item: folded ahead of its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from runfold.flow.decide import decide
from runfold.flow.run import Run, evolve
from runfold.kernel.event import Draft, Recorded
from runfold.ports import Encoded, Outcome
from runfold.runtime.decisions import effects

Encode = Callable[[Sequence[Draft]], tuple[list[Encoded], int]]
DECISIONS_MAX = 500
"""How many things ``decide`` returns for one run at a time."""
FUSED_MAX = 2000
"""How many events a fact may carry with the decisions it causes in one commit."""


def with_decisions(
    run: Run,
    stream: int,
    drafts: Sequence[Draft],
    now: datetime,
    fields: dict[str, Any],
    *,
    grace: float,
    encode: Encode,
) -> tuple[list[Draft], list[Encoded], int, bool]:
    """Return ``drafts`` with what they lead to, encoded, its bytes, and whether that is all.

    ``run`` is folded to the end of them, ``fields`` (of ``ports.Item``) get their effects.
    """
    together = list(drafts)
    encoded, size = encode(drafts)
    _evolve_ahead(run, stream, drafts, encoded, now)
    while (decision := decide(run, limit=DECISIONS_MAX, grace=grace)).drafts:
        if len(together) >= FUSED_MAX:
            return together, encoded, size, False
        _merge(fields, effects(run.flow, decision, offset=len(together)))
        together.extend(decision.drafts)
        more, size_of_more = encode(decision.drafts)
        encoded.extend(more)
        size += size_of_more
        _evolve_ahead(run, stream, decision.drafts, more, now)
    return together, encoded, size, True


def outcome_of(future: asyncio.Future[Outcome]) -> Outcome | None:
    """Return what the store answered, None when nobody knows."""
    if future.cancelled() or future.exception() is not None:
        return None
    return future.result()


def _evolve_ahead(
    run: Run, stream: int, drafts: Sequence[Draft], encoded: Sequence[Encoded], ts: datetime
) -> None:
    new = tuple.__new__  # As ``Recorded`` does, with every event that is recorded.
    version = run.version
    for draft, kept in zip(drafts, encoded, strict=True):
        event, step, activation, attempt, key, cause = draft
        version += 1
        place = (
            0, stream, version, ts,
            event, step, activation, attempt, key, cause, kept.state,
        )  # fmt: skip
        evolve(run, new(Recorded, place))


def _merge(fields: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the effects of one more decision to those of the item it travels in."""
    # The item expects the version that was folded first: no gate can have changed either.
    more.pop("version", None)
    more.pop("gates", None)
    # A store removes before it adds: what this takes away must not be among what was added.
    gone = set(more.get("drops", ()))
    if more.get("clears"):
        fields.pop("rows", None)
    elif gone and "rows" in fields:
        fields["rows"] = [row for row in fields["rows"] if (row.step, row.activation) not in gone]
    for name in ("rows", "drops"):
        if name in more:
            fields[name] = [*fields.get(name, ()), *more.pop(name)]
    fields.update(more)
