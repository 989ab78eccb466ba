"""A doorbell inside one process: whoever listens, on any loop and thread, is woken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable


class Bell:
    """Rung after a commit. A ring is a hint: several become one, and early ones are lost."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def ring(self) -> None:
        """Wake every listener."""
        for event, loop in list(self._listeners.items()):
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def rings(self, is_open: Callable[[], bool]) -> AsyncIterator[None]:
        """Yield after each ring, until one finds ``is_open()`` false."""
        event = asyncio.Event()
        self._listeners[event] = asyncio.get_running_loop()
        try:
            while is_open():
                await event.wait()
                # Cleared before the reader looks: a ring during its look wakes it again.
                event.clear()
                if is_open():
                    yield
        finally:
            del self._listeners[event]
