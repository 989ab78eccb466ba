"""The thread that a simulation runs on: the caller waits while it runs, and it while not.

So a simulation works on a thread that runs an event loop of its own, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Stage:
    """Runs one call at a time."""

    def __init__(self) -> None:
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._act: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="runfold-simulation", daemon=True)
        self._thread.start()

    def run(self, act: Callable[[], None], *, stop: Callable[[], None]) -> None:
        """Return when ``act`` has, on the thread; raise what it raised.

        ``stop``: makes it return soon, when the caller is interrupted.
        """
        self._act = act
        self._go.release()
        try:
            self._back.acquire()
        except BaseException:
            stop()
            self._back.acquire()
            raise
        error, self._error = self._error, None
        if error is not None:
            raise error

    @property
    def is_current(self) -> bool:
        """Whether this is the thread of the simulation."""
        return threading.current_thread() is self._thread

    def close(self) -> None:
        """End the thread."""
        self._act = None
        self._go.release()
        self._thread.join()

    def _main(self) -> None:
        while self._go.acquire() and self._act is not None:
            try:
                self._act()
            except BaseException as error:  # The caller is told, whatever it is.
                self._error = error
            self._act = None
            self._back.release()
