"""``rf.listen``: events as calls of a function, one after the other, until it is stopped."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from runfold.client.feed import Left
from runfold.errors import RunfoldError
from runfold.wire import LogEvent

Callback = Callable[[LogEvent], Awaitable[Any] | Any]
Stop = Callable[[], None]

_log = logging.getLogger("runfold.listen")


class Listener:
    """Calls one function with each event; the next event waits until it has returned."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self._task: asyncio.Task[None] | None = None
        self._is_calling = False
        self._is_stopped = False

    def start(
        self,
        events: AsyncGenerator[LogEvent],
        spawn: Callable[[Any], asyncio.Task[None]],
    ) -> Stop:
        """Begin, and return what ends it: any number of times, also inside the callback."""
        self._task = spawn(self._listen(events))
        return self.stop

    def stop(self) -> None:
        """Begin no further call; one that is under way may finish."""
        self._is_stopped = True
        if self._task is not None and not self._is_calling:
            self._task.cancel()

    async def _listen(self, events: AsyncGenerator[LogEvent]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    await self._tell(event)
                    if self._is_stopped:
                        return
        except Left:
            return
        except RunfoldError as error:
            _log.error("a listener has ended: %s", error)

    async def _tell(self, event: LogEvent) -> None:
        self._is_calling = True
        try:
            told = self._callback(event)
            if inspect.isawaitable(told):
                await told
        except Exception:  # The callback's own affair: the next event may fare better.
            _log.exception("a listener failed on event %d (%s)", event.id, event.type)
        finally:
            self._is_calling = False
