"""The log as a whole: ``rf.log``."""

from __future__ import annotations

from runfold.client.session import Session
from runfold.runtime.rebuild import Progress, Rebuilt, rebuild


class Log:
    """What is done with a log as a whole, by whoever looks after it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def rebuild(self, *, progress: Progress | None = None) -> Rebuilt:
        """Make every working table anew from the log, in one transaction; return what it held.

        Jobs, timers, gates and keys are as before; attempts that were open count as stalled.
        ``progress`` is called with events read and events in all. Raises ``EngineRunning`` while
        any process runs a role of this log, and ``LogUnreadable`` for an event that this release
        does not know; the tables are then as they were.
        """
        node = self._session.node
        return await rebuild(node.store, node.codec, progress=progress)
