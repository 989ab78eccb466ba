"""Following one run: its events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from runfold.client.handle import Handle
from runfold.wire import LogEvent, log_event


class Followed(Handle):
    """The part of a ``Run`` that tells what happens in it."""

    async def events(
        self, *, types: Sequence[str] = (), after: int = 0, follow: bool = False
    ) -> AsyncIterator[LogEvent]:
        """Yield its events in order, those with an ``id`` above ``after``.

        ``follow`` goes on until the run has ended; else it ends with what is recorded.
        """
        async for recorded in self._engine.stream(await self._number(), follow=follow):
            if recorded.position > after and (not types or recorded.event.TOPIC in types):
                yield log_event(recorded, self._name)
