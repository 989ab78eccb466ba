"""A long log in little time: one recorded run, its events written again under other ids.

The events of a thousand runs are recorded in turns, a few of each, as if they had been under way
at once: so whoever folds them has to keep them apart, as in a log that grew by itself. They go
through ``Store.commit``, a thousand items in one transaction, without handlers or decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from benchmarks.places import Place
from benchmarks.shapes import Count, four_steps
from runfold.ports import Batch, Encoded, Item, Store, Stored

AT_ONCE = 1000
"""How many runs are under way at once."""
TURN = 6
"""How many events of a run are recorded in its turn."""


async def record(place: Place, events: int) -> int:
    """Record a log of about so many events at ``place``; return how many there are."""
    flow = four_steps(Count(1))
    rf: Any = place.runfold(flows=[flow])
    async with rf:
        run = await rf.start(flow, {"number": 1})
        await run.result(timeout=60)
        await rf.run_until_idle()
    async with rf.connect():
        store: Store = rf._node.store
        writing = _Writing(store, await store.read_stream(run._stream), run.id)
        head = await store.head()
        while head < events:
            head = await writing.runs(min(AT_ONCE, max(1, (events - head) // writing.size)))
    return head


class _Writing:
    def __init__(self, store: Store, template: Sequence[Stored], id: str) -> None:
        self._store, self._template, self._id = store, template, id.encode()
        self._numbers = count(1)
        self.size = len(template)

    async def runs(self, many: int) -> int:
        """Record so many runs; return the end of the log."""
        ids = [uuid4() for _ in range(many)]
        streams = [0] * many
        for start in range(0, self.size, TURN):
            turn = self._template[start : start + TURN]
            items = [self._item(turn, *one) for one in zip(ids, streams, strict=True)]
            done = await self._store.commit(Batch(7, next(self._numbers), items))
            assert all(outcome.refusal is None for outcome in done.outcomes)
            streams = [outcome.stream for outcome in done.outcomes]
        return await self._store.head()

    def _item(self, turn: Sequence[Stored], id: UUID, stream: int) -> Item:
        events = [
            Encoded(
                one.topic, one.state.replace(self._id, str(id).encode()), one.step,
                one.activation, one.attempt, one.key, one.cause,
            )
            for one in turn
        ]  # fmt: skip
        if stream:
            return Item(events, stream=stream)
        return Item(events, id=id.bytes, flow="four-steps")
