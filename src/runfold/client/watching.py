"""Following a whole log: ``rf.events``, ``rf.listen``, ``rf.run_until_idle``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from runfold.client.filters import (
    Filter,
    checked_name,
    checked_position,
    checked_types,
    refused,
)
from runfold.client.listen import Callback, Listener, Stop
from runfold.client.run import Run
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
    ) -> AsyncGenerator[LogEvent]:
        """Yield the events of this log above ``after`` (an ``ev.id``), in order.

        ``of``: of one flow or job; ``queue``: step events of one queue. ``follow=False`` ends at
        the log's end as of the call, ``follow=True`` goes on through every loss of the database.
        Raises ``InvalidInput`` for a type that no event has.
        """
        wanted = self._wanted(types, of, queue)
        return self._events(wanted, checked_position(after), follow)

    async def _events(self, wanted: Filter, after: int, follow: bool) -> AsyncGenerator[LogEvent]:
        found = self._session.engine.following.log(wanted, after=after, follow=follow)
        async with aclosing(found):
            async for event in found:
                if event is not None:
                    yield event

    def _wanted(self, types: Sequence[str], of: Any, queue: str | None) -> Filter:
        flow = None if of is None else self._session.catalog.name_of(of)
        return Filter(checked_types(types), flow, checked_name("queue", queue))

    def listen(
        self,
        callback: Callback,
        *,
        types: Sequence[str] = (),
        of: Any = None,
        run: Run[Any] | None = None,
    ) -> Stop:
        """Call ``callback`` with each event from now on, in order; return what ends that.

        ``callback``: a function, called on the loop's thread, or a coroutine function; one event
        at a time. What it raises is logged, and it is called with the next event. ``of``: of one
        flow or job. ``run``: of one run, from its first event to its end. It goes on through
        every loss of the database, until it is stopped or this Runfold is left. Raises
        ``InvalidInput``.
        """
        if not callable(callback):
            raise refused("callback", f"callback is {callback!r}, expected a function")
        if run is not None and (of is not None or not isinstance(run, Run)):
            raise refused(
                "run", f"run is {run!r} and of is {of!r}, expected a Run (see get) without of="
            )
        node = self._session.node
        assert node.hub is not None
        events = (
            self.events(types=types, of=of, after=node.hub.tail.position, follow=True)
            if run is None
            else run.events(types=types, follow=True)
        )
        return Listener(callback).start(events, node.service.spawn)

    async def run_until_idle(self) -> None:
        """Return when nothing is ready, leased or undecided; what waits for a time may wait."""
        node = self._session.node
        node.poke()
        while True:
            seen, commits = node.bell.count, node.appender.counters.commits
            # A claim that began meanwhile is on its way now, or was committed.
            is_idle = await node.idle() and node.appender.idle
            if is_idle and commits == node.appender.counters.commits:
                return
            await node.bell.wait(seen, 0.02)
