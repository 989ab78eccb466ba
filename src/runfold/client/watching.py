"""Following a whole log: ``rf.events``, ``rf.run_until_idle``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from runfold.client.session import Session
from runfold.wire import LogEvent


class Watching:
    """The part of a ``Runfold`` that tells what happens in its log."""

    _session: Session

    def events(
        self,
        *,
        types: Sequence[str] = (),
        of: Any = None,
        queue: str | None = None,
        after: int | None = None,
        follow: bool = False,
    ) -> AsyncIterator[LogEvent]:
        """Yield the events of this log above ``after`` (an ``ev.id``), in order.

        ``of``: of one flow or job; ``queue``: step events of one queue. ``follow=False`` ends at
        the log's end as of the call.
        """
        flow = None if of is None else self._session.catalog.name_of(of)
        return self._filtered(types, flow, queue, after, follow)

    async def _filtered(
        self,
        types: Sequence[str],
        flow: str | None,
        queue: str | None,
        after: int | None,
        follow: bool,
    ) -> AsyncIterator[LogEvent]:
        async for event in self._session.engine.events(after=after, follow=follow, types=types):
            if flow is not None and event.flow_name != flow:
                continue
            if queue is not None and event.data.get("queue") != queue:
                continue
            yield event

    async def run_until_idle(self) -> None:
        """Return when nothing is ready, leased or undecided; what waits for a time may wait."""
        node = self._session.node
        node.poke()
        while True:
            seen, commits = node.bell.count, node.appender.counters.commits
            if await node.idle() and commits == node.appender.counters.commits:
                return
            await node.bell.wait(seen, 0.02)
