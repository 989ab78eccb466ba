"""Finding the runs that a query wants, in the log itself.

The first events of many runs are one read, and rule out most; only what is left is folded.
So a listing is right at once after every commit, and costs the folding of what it looks at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from runfold.client.run_query import RunQuery
from runfold.client.session import Session
from runfold.flow.events import FlowStart
from runfold.runtime.tail import decode
from runfold.wire import RunState, run_state

LOOKED_AT = 500
"""How many runs are looked at with one read."""


class Finder:
    """Answers queries about the runs of one log."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def states(
        self,
        query: RunQuery,
        *,
        before: int | None = None,
        at: tuple[int, datetime] | None = None,
    ) -> AsyncIterator[tuple[int, RunState]]:
        """Yield the wanted runs below stream ``before``, newest first, with their streams.

        ``at``: as they were when that position was the last, at that moment.
        """
        engine, position = self._session.engine, None
        if at is not None:
            position = at[0]
            before = min(before or position + 1, position + 1)  # Streams are positions.
        async for streams in self._begun(query, before):
            for stream in streams:
                now = await engine.now() if at is None else at[1]
                state = run_state(await engine.fold(stream, position=position), now)
                if query.takes(state):
                    yield stream, state

    async def streams(self, query: RunQuery) -> AsyncIterator[int]:
        """Yield the streams of runs that fit by their first event, newest first."""
        async for streams in self._begun(query, None):
            for stream in streams:
                yield stream

    async def count(self, query: RunQuery, *, at: tuple[int, datetime] | None = None) -> int:
        """Return how many runs are wanted; ``at``: were, as of then."""
        found = 0
        if query.asks_state or at is not None:
            async for _ in self.states(query, at=at):
                found += 1
        else:
            async for streams in self._begun(query, None):
                found += len(streams)
        return found

    async def open(self, query: RunQuery) -> AsyncIterator[list[int]]:
        """Yield the streams of runs that fit and have not ended, oldest first, page by page.

        Of those that are recorded at the call; ``query`` is asked of their first events only.
        """
        store, after, is_more = self._session.node.store, 0, True
        newest = (await store.runs(flow=None, before=None, limit=1) or [0])[0]
        while is_more:
            streams = await store.open_runs(after=after, limit=LOOKED_AT)
            is_more = len(streams) == LOOKED_AT and streams[-1] < newest
            yield await self._fitting(query, [one for one in streams if one <= newest])
            after = streams[-1] if streams else after

    async def _begun(self, query: RunQuery, before: int | None) -> AsyncIterator[list[int]]:
        store, is_more = self._session.node.store, True
        while is_more:
            streams = await store.runs(flow=query.flow, before=before, limit=LOOKED_AT)
            is_more = len(streams) == LOOKED_AT
            yield await self._fitting(query, streams) if query.asks_start else streams
            if is_more:
                before = streams[-1]
                is_more = not await self._is_too_old(query, before)

    async def _fitting(self, query: RunQuery, streams: Sequence[int]) -> list[int]:
        """Return those of ``streams`` whose first event fits, in their order."""
        node = self._session.node
        fitting = set()
        for row in await node.store.read_streams(streams, upto=1):
            start = decode(node.codec, row).event
            if isinstance(start, FlowStart) and query.takes_start(start.flow, start.tags, row.ts):
                fitting.add(row.stream)
        return [stream for stream in streams if stream in fitting]

    async def _is_too_old(self, query: RunQuery, stream: int) -> bool:
        """Return whether this run, and so every older one, was created before ``since``."""
        if query.since is None:
            return False
        rows = await self._session.node.store.read_streams([stream], upto=1)
        return bool(rows) and rows[0].ts < query.since
