"""The log as a whole: ``rf.log``."""

from __future__ import annotations

from datetime import timedelta

from runfold.client.options import checked_span
from runfold.client.session import Session
from runfold.runtime.rebuild import Progress, Rebuilt, rebuild
from runfold.runtime.verify import Verified, verify
from runfold.settings import Span

PAGE = 200
"""How many runs one transaction moves to the archive at most."""


class Log:
    """What is done with a log as a whole, by whoever looks after it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def head(self) -> int:
        """Return the position of the last event, 0 in an empty log."""
        return await self._session.node.store.head()

    async def verify(self, *, progress: Progress | None = None) -> Verified:
        """Return whether log and archive are whole, and what is wrong: ``ok``, ``findings``.

        Positions and versions have no hole, ends are final, every event can be read, and the
        hash chain of each ended run is as its end says. Reads everything; others work on
        meanwhile. ``progress`` is called with events read and events in all.
        """
        node = self._session.node
        return await verify(node.store, node.codec, progress=progress)

    async def archive(self, older_than: Span) -> int:
        """Move runs that ended ``older_than`` seconds ago to the archive; return how many.

        Their ids and keys stay taken, and their events are read as before. By the store's clock;
        0: every run that has ended. The run of the newest event stays until there is a later
        one. Many transactions: ended in the middle, what was moved is moved. Raises
        ``InvalidInput`` for a span that is negative or no span.
        """
        span = checked_span("older_than", older_than)
        store, moved, after = self._session.node.store, 0, 0
        before = await store.now() - timedelta(seconds=span)
        while streams := await store.archivable(after=after, before=before, limit=PAGE):
            done = await store.archive(streams)
            # What a call leaves is asked for again: it was too much, or stays for now.
            moved, after = moved + done, streams[0] - 1 if done else streams[-1]
        return moved

    async def rebuild(self, *, progress: Progress | None = None) -> Rebuilt:
        """Make every working table anew from the log, in one transaction; return what it held.

        Jobs, timers, gates and keys are as before; attempts that were open count as stalled.
        ``progress`` is called with events read and events in all. Raises ``EngineRunning`` while
        any process runs a role of this log, and ``LogUnreadable`` for an event that this release
        does not know; the tables are then as they were.
        """
        node = self._session.node
        return await rebuild(node.store, node.codec, progress=progress)
