"""The log as a whole: ``rf.log``."""

from __future__ import annotations

from runfold.client.session import Session
from runfold.runtime.rebuild import Progress, Rebuilt, rebuild
from runfold.runtime.verify import Verified, verify


class Log:
    """What is done with a log as a whole, by whoever looks after it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def head(self) -> int:
        """Return the position of the last event, 0 in an empty log."""
        return await self._session.node.store.head()

    async def verify(self, *, progress: Progress | None = None) -> Verified:
        """Return whether the log is whole, and what is wrong with it: ``ok``, ``findings``.

        Positions and versions have no hole, ends are final, every event can be read, and the
        hash chain of each ended run is as its end says. Reads everything; others work on
        meanwhile. ``progress`` is called with events read and events in all.
        """
        node = self._session.node
        return await verify(node.store, node.codec, progress=progress)

    async def rebuild(self, *, progress: Progress | None = None) -> Rebuilt:
        """Make every working table anew from the log, in one transaction; return what it held.

        Jobs, timers, gates and keys are as before; attempts that were open count as stalled.
        ``progress`` is called with events read and events in all. Raises ``EngineRunning`` while
        any process runs a role of this log, and ``LogUnreadable`` for an event that this release
        does not know; the tables are then as they were.
        """
        node = self._session.node
        return await rebuild(node.store, node.codec, progress=progress)
