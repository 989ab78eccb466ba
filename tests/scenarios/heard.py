"""A callback for listeners that a test can wait for."""

from __future__ import annotations

import asyncio

from runfold import LogEvent


class Heard:
    """Keeps the events it was called with."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self._more = asyncio.Event()

    def __call__(self, event: LogEvent) -> None:
        self.events.append(event)
        self._more.set()

    @property
    def types(self) -> list[str]:
        """The types of what was heard, in order."""
        return [event.type for event in self.events]

    async def wait(self, number: int) -> None:
        """Return when it was called so often."""
        while len(self.events) < number:
            await self._more.wait()
            self._more.clear()
