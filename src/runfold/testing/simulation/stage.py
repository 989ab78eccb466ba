"""The thread that a simulation runs on: the caller waits while it runs, and it while not.

So a simulation works on a thread that runs an event loop of its own, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from runfold.testing.simulation import hanging

STOP_SECONDS = 2.0
"""Real seconds for what runs to end when it is to; then it is interrupted."""


class Stage:
    """Runs one call at a time."""

    def __init__(self) -> None:
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._act: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self.is_lost = False
        """Whether what it does cannot be ended: nothing runs here any more."""
        self._thread = threading.Thread(target=self._main, name="runfold-simulation", daemon=True)
        self._thread.start()

    def run(
        self, act: Callable[[], None], *, stop: Callable[[], None], at: Callable[[], object]
    ) -> None:
        """Return when ``act`` has, on the thread; raise what it raised.

        ``stop``: makes it return soon, when the caller is interrupted. ``at``: says how far it
        is; where it does not get on, ``Hung`` is raised.
        """
        self._act = act
        self._go.release()
        try:
            self._watch(at)
        except BaseException:
            stop()
            self._leave()
            raise
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _watch(self, at: Callable[[], object]) -> None:
        seen, looks = at(), 0
        while not self._back.acquire(timeout=hanging.PATIENCE / 4):
            before, seen = seen, at()
            looks = looks + 1 if seen == before else 0
            # Threads of sync handlers are watched by the loop: it comes first.
            error = hanging.hung(self._thread) if looks > 4 else None
            if error is not None:
                raise error

    def _leave(self) -> None:
        """Have the thread come back, from whatever it does."""
        if self._back.acquire(timeout=STOP_SECONDS):
            return
        hanging.interrupt(self._thread)
        self.is_lost = not self._back.acquire(timeout=STOP_SECONDS)

    @property
    def is_current(self) -> bool:
        """Whether this is the thread of the simulation."""
        return threading.current_thread() is self._thread

    def close(self) -> None:
        """End the thread."""
        if not self.is_lost:
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
