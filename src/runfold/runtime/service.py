"""Loops over turns, in tasks that end before the service does.

The only place that creates tasks. A loop that fails says so and goes on after a pause: a
database that is away for a while, or one bad event, stops nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from functools import partial
from itertools import count
from typing import Any

from runfold.errors import StoreUnavailable
from runfold.ports import LogRewound
from runfold.runtime.bell import Bell

PAUSE_AFTER_ERROR_MAX = 2.0
"""The longest pause, in seconds, of a loop whose turns fail."""

STOP_SECONDS = (5.0, 1.0, 1.0, 1.0)
"""How long cancelled tasks may take to end, after each time they are told."""

_log = logging.getLogger("runfold.service")

Turn = Callable[[], Awaitable[bool]]
Pause = Callable[[], Awaitable[float]]


class Service:
    """Tasks of one process; after ``stop`` none of them is left."""

    def __init__(self) -> None:
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._numbers = count(1)
        self._stopping = False
        self.on_rewound: Callable[[], None] | None = None

    def spawn(
        self, coroutine: Coroutine[Any, Any, Any], *, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """Start a task; an exception in it is logged, the service goes on."""
        number = next(self._numbers)
        task = self._tasks[number] = self._begun(coroutine, context)
        task.add_done_callback(partial(self._done, number))
        return task

    def launch(self, main: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Start a task of ``main(*args)``, as ``spawn`` does; nobody asks when it ends.

        It costs the event loop one callback less.
        """
        number = next(self._numbers)
        self._tasks[number] = self._begun(self._watched(number, main, args), None, main)

    def loop(self, name: str, turn: Turn, bell: Bell, pause: Pause) -> asyncio.Task[Any]:
        """Start a loop: turn after turn while there is work, else wait for ``bell``."""
        return self.spawn(self._loop(name, turn, bell, pause))

    async def stop(self) -> None:
        """End every task and wait until it is gone.

        A handler that swallows its cancellation is cancelled again, and left behind in the end:
        it must not keep a process from stopping.
        """
        self._stopping = True
        for patience in STOP_SECONDS:
            tasks = self._left()
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=patience)
        if left := self._left():
            _log.error("%d tasks ignore that they are cancelled; left behind", len(left))

    def _left(self) -> list[asyncio.Task[Any]]:
        # One that was cancelled before it began is done and still here.
        return [task for task in self._tasks.values() if not task.done()]

    def _begun(
        self, coroutine: Coroutine[Any, Any, Any], context: Context | None, main: Any = None
    ) -> asyncio.Task[Any]:
        del main
        return asyncio.get_running_loop().create_task(coroutine, context=context)

    async def _loop(self, name: str, turn: Turn, bell: Bell, pause: Pause) -> None:
        delay = 0.05
        while not self._stopping:
            seen = bell.count
            try:
                if await turn():
                    delay = 0.05
                    await asyncio.sleep(0)
                    continue
                await bell.wait(seen, await pause())
                delay = 0.05
                continue
            except StoreUnavailable as error:
                _log.warning("%s: the database is away: %s", name, error)
            except LogRewound as error:
                _log.error("%s: %s", name, error)
                if self.on_rewound is not None:
                    self.on_rewound()
            except Exception:  # One loop's fault must not stop the others; it tries again.
                _log.exception("%s failed; it goes on in %.2f s", name, delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, PAUSE_AFTER_ERROR_MAX)

    async def _watched(
        self, number: int, main: Callable[..., Coroutine[Any, Any, None]], args: tuple[Any, ...]
    ) -> None:
        try:
            await main(*args)
        except Exception as error:  # As ``_done``: the service goes on.
            _log.error("a task of the engine failed", exc_info=error)
        finally:
            del self._tasks[number]

    def _done(self, number: int, task: asyncio.Task[Any]) -> None:
        del self._tasks[number]
        if not task.cancelled() and task.exception() is not None:
            _log.error("a task of the engine failed", exc_info=task.exception())
