"""Which queues are worth a claim, where a claim starts to look, and when to ask again.

A queue is asked after something may have made a job claimable: it was made ready, a place of
a limit became free, its time has come, or another process rang. Nobody asks an empty queue
twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

from runfold.ports import Clock, Served

FLOORS_EVERY = 10.0
"""Seconds after which a scan starts from the beginning once: a floor is a hint, and a job that
was given back below one is found so."""
WAIT_MIN = 0.001
"""The shortest wait, in seconds, for something that time alone holds back."""


class HoldsBack(Protocol):
    """Answers whether jobs of a queue may be ready and yet not be admitted."""

    def __call__(self, queue: str, /) -> bool: ...


class Appetite:
    """What the worker of this process wants, by queue."""

    def __init__(self, queues: Iterable[str], clock: Clock, holds_back: HoldsBack) -> None:
        self._clock, self._holds_back = clock, holds_back
        self._hungry = dict.fromkeys(queues, True)
        self._floors: dict[str, tuple[int, ...]] = {}
        self._floors_end = 0.0
        self._due: dict[str, float] = {}

    def __getitem__(self, queue: str) -> bool:
        """Return whether the queue is to be asked."""
        return self._hungry[queue]

    def arouse(self, queue: str) -> None:
        """Ask the queue when there is room."""
        self._hungry[queue] = True

    def arouse_all(self) -> None:
        """Ask every queue when there is room."""
        for queue in self._hungry:
            self._hungry[queue] = True

    def sated(self, queue: str) -> None:
        """The queue is being asked."""
        # Set before the commit, not after: a ring in between sets it again.
        self._hungry[queue] = False
        self._due.pop(queue, None)

    def opens(self, queue: str) -> bool:
        """Return whether the end of some attempt may admit another job of the queue."""
        return self._holds_back(queue)

    def floors(self, queue: str) -> tuple[int, ...]:
        """Return where the next claim of the queue starts; empty for the beginning."""
        now = self._clock.monotonic()
        if now >= self._floors_end:
            self._floors_end = now + FLOORS_EVERY
            self._floors.clear()
        return self._floors.get(queue, ())

    def served(self, queue: str, served: Served) -> None:
        """Take what a claim was told; a wait of nothing means that there is more to look at."""
        self._floors[queue] = served.floors
        if served.wait == 0:
            self._hungry[queue] = True
        elif served.wait is not None and not self._hungry[queue]:
            self._due[queue] = self._clock.monotonic() + max(WAIT_MIN, served.wait)

    def forget(self) -> None:
        """Start from the beginning everywhere: another token, or another log."""
        self._floors.clear()
        self._due.clear()
        self.arouse_all()

    def wake(self) -> None:
        """Ask the queues whose time has come."""
        if not self._due:
            return
        now = self._clock.monotonic()
        for queue in [queue for queue, due in self._due.items() if due <= now]:
            del self._due[queue]
            self._hungry[queue] = True

    def pause(self) -> float:
        """Return the seconds until the time of a queue comes, infinite when none has one."""
        if not self._due:
            return math.inf
        return max(0.0, min(self._due.values()) - self._clock.monotonic())
