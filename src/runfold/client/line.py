"""Runs in the order in which workers will take what waits of them.

The line is asked of the working tables, and what runs say of the log itself: both are read as
they are now, so a run that is claimed between two pages is on neither.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from runfold.client.filters import refused
from runfold.client.run_query import CURSOR_DIGITS_MAX, RunQuery
from runfold.client.session import Session
from runfold.flow.run import Run as Folded
from runfold.flow.run import evolve
from runfold.flow.work import Gate
from runfold.runtime.tail import decode_all
from runfold.wire import RunState, run_state

LOOKED_AT = 200
"""How many runs are looked at with one read."""
SHORT = 200
"""How many events of a run are read with those of others."""


def checked_place(cursor: Any) -> tuple[int, ...]:
    """Return the place in the line that a page's ``next`` stands for, () for None."""
    if cursor is None:
        return ()
    parts = cursor.split(".") if isinstance(cursor, str) and cursor.isascii() else []
    fits = len(parts) == 5 and all(one.isdecimal() for one in parts)
    if not fits or max(map(len, parts)) > CURSOR_DIGITS_MAX:
        raise refused("cursor", f"cursor is {cursor!r}, expected the next of an earlier page")
    return tuple(map(int, parts))


class Line:
    """Answers queries about the runs of one log that wait for a worker."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def states(
        self, query: RunQuery, *, after: Sequence[int]
    ) -> AsyncIterator[tuple[tuple[int, ...], RunState]]:
        """Yield the wanted runs behind the place ``after``, the next one first, with places."""
        store, is_more = self._session.node.store, True
        wanted = replace(query, queue=None)  # Where a job waits, which need not be the entry's.
        while is_more:
            page = await store.upcoming(query.queue, after=after, limit=LOOKED_AT)
            is_more = len(page) == LOOKED_AT
            states = await self._folded([one.stream for one in page])
            for one in page:
                after = one.place
                state = states.get(one.stream)
                if state is not None and wanted.takes(state):
                    yield one.place, state

    async def _folded(self, streams: Sequence[int]) -> dict[int, RunState]:
        engine, codec = self._session.engine, self._session.node.codec
        runs: dict[int, Folded] = {}
        rows = await engine.node.store.read_streams(streams, upto=SHORT)
        for recorded in decode_all(codec, rows):
            if recorded.stream not in runs:
                runs[recorded.stream] = await engine.new(recorded.event)
            evolve(runs[recorded.stream], recorded)
        now = await engine.now()
        for stream, run in runs.items():
            if run.version >= SHORT:
                runs[stream] = await engine.fold(stream)
        # Nothing more is claimed of a run that drains, or that has ended since the line was asked.
        return {
            stream: run_state(run, now)
            for stream, run in runs.items()
            if not run.ended and run.gate != Gate.CLOSED
        }
