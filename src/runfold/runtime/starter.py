"""How runs begin: ``flow.start`` and what ``decide`` returns for it, in one commit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowStart
from runfold.flow.graph import graph_of
from runfold.flow.start import creation
from runfold.kernel.event import Draft
from runfold.kernel.ids import keyed_id, text
from runfold.ports import Ids, InboxRow, Outcome, Row, Store
from runfold.runtime.appender import Appender
from runfold.runtime.decisions import rows
from runfold.runtime.definitions import Definitions
from runfold.settings import SPAN_MAX

Creation = tuple[list[Draft], dict[str, Any]]
DOUBLINGS = 30
"""A debounced key has fewer runs than 2 to the power of this."""


class Starter:
    """Creates runs, directly or from the inbox."""

    def __init__(
        self, store: Store, appender: Appender, definitions: Definitions, ids: Ids
    ) -> None:
        self._store, self._appender = store, appender
        self._definitions, self._ids = definitions, ids
        self._alike: dict[tuple[str, int | None], tuple[list[Draft], list[Row]]] = {}
        """The first decision and its rows by definition and priority: nothing else in a start
        that begins at once makes a difference to them."""

    def id_of(self, flow: str, key: str | None, number: int = 0) -> bytes:
        """Return the run's id: of a keyed start always the same, else a new one.

        ``number``: how many runs of a debounced key came before it.
        """
        if key is None:
            return self._ids.run_id()
        parts = (str(self._store.identity.log_id), flow, key)
        return keyed_id(*parts, *([str(number)] if number else []))

    async def newest(self, flow: str, key: str) -> int:
        """Return the number of the newest run of a key, 0 also without one.

        There are no gaps among them, so one read of numbers that double, and a few of numbers
        between two of these, find it.
        """
        low, high = 0, 1 << DOUBLINGS
        wanted = [1 << power for power in range(DOUBLINGS)]
        while wanted:
            ids = {self.id_of(flow, key, number): number for number in wanted}
            there = {ids[id] for id in await self._store.find(list(ids))}
            low = max(there, default=low)
            high = min(set(wanted) - there, default=high)
            step = max(1, (high - low) // DOUBLINGS)
            wanted = list(range(low + step, high, step))
        return low

    def prepare(self, definition: FlowDefinition, id: bytes, fields: dict[str, Any]) -> Creation:
        """Return the events and the item of a new run; ``fields`` are those of ``flow.start``."""
        start = FlowStart(
            run_id=text(id), flow=definition.name, definition=definition.hash, **fields
        )
        drafts, ready = self._creation(start, definition)
        return drafts, {"id": id, "flow": definition.name, "rows": ready}

    def _creation(
        self, start: FlowStart, definition: FlowDefinition
    ) -> tuple[list[Draft], list[Row]]:
        """Return what ``flow.creation`` does, from memory where only the start differs."""
        entry = graph_of(definition).entry
        admission = None if entry is None else entry.admission
        varies = admission is not None and admission.varies
        given = (start.due_at, start.delay, start.deadline, definition.deadline)
        if varies or given != (None,) * 4:
            drafts, ready = creation(start, definition)
            return drafts, rows(definition.name, ready)
        alike = (definition.hash, start.priority)
        known = self._alike.get(alike)
        if known is None:
            drafts, ready = creation(start, definition)
            known = self._alike[alike] = (drafts[1:], rows(definition.name, ready))
        return [Draft(start), *known[0]], known[1]

    def start(
        self, definition: FlowDefinition, id: bytes, fields: dict[str, Any]
    ) -> asyncio.Future[Outcome]:
        """Record a new run; its outcome is EXISTS, with the stream, when the id is taken."""
        drafts, item = self.prepare(definition, id, fields)
        return self._appender.submit(drafts, **item)

    def start_all(self, creations: Sequence[Creation]) -> asyncio.Future[list[Outcome]]:
        """Record several runs in one batch: all or none."""
        return self._appender.submit_together(creations)

    async def accept(self, row: InboxRow) -> None:
        """Record the start that an inbox row asks for, and remove the row with it.

        Raises ``LookupError`` when nothing was ever served under the name it wants, and
        ``TypeError``, ``ValueError`` or ``PayloadTooLarge`` for a row that can be no start.
        """
        body = _checked(json.loads(row.body))
        target = body.pop("target")
        definition = await self._definition(target, body.pop("definition", None))
        drafts, item = self.prepare(definition, row.run_id, body)
        await self._appender.submit(drafts, inbox=row.id, **item)

    async def _definition(self, flow: str, hash: str | None) -> FlowDefinition:
        definition = (
            await self._definitions.last(flow)
            if hash is None
            else await self._definitions.get(flow, hash)
        )
        if definition is None:
            raise LookupError(f"flow {flow!r} was never served in this log")
        return definition


def _checked(body: Any) -> dict[str, Any]:
    """Return ``body`` if it can be a start: anybody may have written it, in any language."""
    if not isinstance(body, dict):
        raise TypeError(f"it is a {type(body).__name__}, expected an object")
    priority = body.get("priority", 5)
    if not (isinstance(priority, int) and 1 <= priority <= 10):
        raise ValueError(f"priority is {priority!r}, expected 1 to 10")
    for name in ("delay", "deadline", "timeout"):
        span = body.get(name, 0)
        if isinstance(span, int | float) and not 0 <= span <= SPAN_MAX:
            raise ValueError(f"{name} is {span!r}, expected 0 or more seconds")
    return body
