"""Facts and the decisions that they cause, as one item: folded ahead of its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from runfold.flow.decide import decide
from runfold.flow.run import Run, evolve
from runfold.kernel.event import Draft, Recorded
from runfold.ports import Encoded, Item, Outcome
from runfold.runtime.decisions import add_effects

Encode = Callable[[Sequence[Draft]], tuple[list[Encoded], int]]
DECISIONS_MAX = 500
"""How many things ``decide`` returns for one run at a time."""
FUSED_MAX = 2000
"""How many events a fact may carry with the decisions it causes in one commit."""


def with_decisions(
    run: Run, item: Item, drafts: Sequence[Draft], now: datetime, *, grace: float, encode: Encode
) -> tuple[list[Draft], int, bool]:
    """Return ``drafts`` with what they lead to, its bytes, and whether that is all.

    ``run`` is folded to the end of them, ``item`` gets the events and their effects.
    """
    together = list(drafts)
    encoded, size = encode(drafts)
    item.events = encoded
    _evolve_ahead(run, item.stream, drafts, encoded, now)
    while (decision := decide(run, limit=DECISIONS_MAX, grace=grace)).drafts:
        if len(together) >= FUSED_MAX:
            return together, size, False
        # The item expects the version that was folded first: no gate can have changed either.
        add_effects(item, run.flow, decision, offset=len(together))
        together.extend(decision.drafts)
        more, size_of_more = encode(decision.drafts)
        encoded.extend(more)
        size += size_of_more
        _evolve_ahead(run, item.stream, decision.drafts, more, now)
    return together, size, True


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
        version += 1
        place = (0, stream, version, ts) + draft + (kept.state,)  # noqa: RUF005 - twice as fast
        evolve(run, new(Recorded, place))
