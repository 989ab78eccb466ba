"""Listings of runs, folded from the log as they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runfold.client.session import Session
from runfold.errors import InvalidInput
from runfold.wire import RunState, run_state

LIMIT_MAX = 1000
CURSOR_DIGITS_MAX = 18
"""The longest cursor that was ever given out: a number of 63 bits."""
STATUSES = frozenset(
    [
        "scheduled",
        "running",
        "awaiting",
        "paused",
        "cancelling",
        "failing",
        "completed",
        "failed",
        "cancelled",
    ]
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing; ``next`` is the cursor of the page behind it, None at the end."""

    items: list[RunState]
    next: str | None


class Runs:
    """``rf.runs``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list(
        self,
        of: Any = None,
        *,
        status: str | None = None,
        tags: Sequence[str] | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Return runs, newest first: of one target, in one status, with all of ``tags``.

        ``limit`` is 1 to 1000. Each run is folded from its history: a filter that few runs pass
        costs the folding of those that do not.
        """
        if not 1 <= limit <= LIMIT_MAX:
            raise _refused("limit", f"limit is {limit}, expected 1 to {LIMIT_MAX}")
        if status is not None and status not in STATUSES:
            raise _refused("status", f"status is {status!r}, expected one of {sorted(STATUSES)}")
        if isinstance(tags, str):
            raise _refused("tags", f"tags are {tags!r}, expected a list of strings")
        flow = None if of is None else self._session.catalog.name_of(of)
        before = _before(cursor)
        items: list[RunState] = []
        while True:
            streams = await self._session.engine.node.store.runs(
                flow=flow, before=before, limit=limit + 1
            )
            for stream in streams:
                if len(items) == limit:
                    return Page(items, str(before))
                state = await self._state(stream)
                before = stream
                if (status is None or state.status == status) and set(tags or ()) <= set(
                    state.tags
                ):
                    items.append(state)
            if len(streams) <= limit:
                return Page(items, None)

    async def _state(self, stream: int) -> RunState:
        run = await self._session.engine.fold(stream)
        return run_state(run, await self._session.engine.now())


def _before(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= CURSOR_DIGITS_MAX):
        raise _refused("cursor", f"cursor is {cursor!r}, expected the next of an earlier page")
    return int(cursor)


def _refused(field: str, message: str) -> InvalidInput:
    return InvalidInput(message, details=[{"loc": field, "msg": message}])
