"""Names the handler that blocks the event loop, while it does.

An ``async def`` that computes for seconds, or calls something that blocks, stands in the way
of every other handler of its process. From inside the loop nobody can say so: a thread asks
the loop for a sign of life, and looks at its stack when none comes.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from types import FrameType

from runfold.runtime.context_attempt import Attempt

_log = logging.getLogger("runfold.worker")
_RUNS_HANDLERS = ("_awaited", "runfold.runtime.executor")


class Watchdog:
    """Looks after the loop of the thread that makes it; warns once for each time it is blocked.

    ``after``: seconds that a handler may keep the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, after: float) -> None:
        self._loop, self._after = loop, after
        self._watched = threading.get_ident()
        self._alive, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="runfold-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no longer."""
        self._stop.set()
        self._alive.set()

    def _watch(self) -> None:
        while not self._stop.wait(self._after / 4):
            self._alive.clear()
            try:
                self._loop.call_soon_threadsafe(self._alive.set)
            except RuntimeError:  # The loop is closed.
                return
            if not self._alive.wait(self._after):
                self._warn()
                self._alive.wait()

    def _warn(self) -> None:
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - there is no public way
        stack: list[FrameType] = []
        while frame is not None and not _runs_handlers(frame):
            stack.append(frame)
            frame = frame.f_back
        attempt = None if frame is None else frame.f_locals.get("attempt")
        if not isinstance(attempt, Attempt):
            return  # The loop is somebody else's as well: what blocks it is no handler.
        handler = attempt.task.handler
        lines = traceback.StackSummary.extract((one, one.f_lineno) for one in reversed(stack))
        _log.warning(
            "the handler of step %r of %r has kept the event loop for %.1f s, and all others of "
            "this process waiting; make it a `def`, or await asyncio.to_thread(...) for what "
            "blocks. It is here:\n%s",
            handler.step, handler.flow, self._after, "".join(lines.format()).rstrip(),
        )  # fmt: skip


def _runs_handlers(frame: FrameType) -> bool:
    return (frame.f_code.co_name, frame.f_globals.get("__name__")) == _RUNS_HANDLERS
