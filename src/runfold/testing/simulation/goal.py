"""What a simulation is being driven to, and what happens when nothing is ready.

Time moves from timer to timer. Where only the engine's own looks for work are left, it moves
in one leap to what comes next: a month in which nothing happens costs as much as a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runfold.testing.simulation.loop import VirtualLoop
from runfold.testing.simulation.process import Process
from runfold.testing.simulation.store import LogView

SETTLE = 6.0
"""For how many seconds nothing must have been recorded before time leaps: every part of the
engine has looked for work meanwhile."""
GIVE_UP = 3600.0
"""After so many seconds in which parts of the engine looked for work in vain, nothing comes."""
OWN_TIMERS = ("retry", "grace")
"""Timers that end by themselves what has begun; a test need not ask for their time to pass."""


class Stuck(AssertionError):
    """What was awaited cannot happen any more; the message says what waits for what."""


class Goal(Protocol):
    """When to stop."""

    until: float
    """The loop's time at which to stop at the latest."""
    is_patient: bool
    """Whether time passes for timers that a flow or a caller has set."""

    def is_met(self, *, is_idle: bool) -> bool:
        """Return whether it is reached; asked whenever nothing is ready."""
        ...


@dataclass
class Passed:
    """Time has passed."""

    until: float
    is_patient: bool = True

    def is_met(self, *, is_idle: bool) -> bool:
        del is_idle
        return False


@dataclass
class Idle:
    """Nothing is under way."""

    until: float = math.inf
    is_patient: bool = False

    def is_met(self, *, is_idle: bool) -> bool:
        return is_idle


class Happened:
    """An event was recorded so many times."""

    until, is_patient = math.inf, True

    def __init__(self, view: LogView, step: str, topic: str, times: int) -> None:
        self._view, self._step, self._topic, self._left = view, step, topic, times
        self._seen = 0

    def is_met(self, *, is_idle: bool) -> bool:
        del is_idle
        events = self._view.log.events
        for event in events[self._seen :]:
            self._left -= event.topic == self._topic and event.step == self._step
        self._seen = len(events)
        return self._left <= 0


class Pacer:
    """Moves the time of a simulation towards a goal."""

    def __init__(self, loop: VirtualLoop, view: LogView, processes: Sequence[Process]) -> None:
        self._loop, self._view, self._processes = loop, view, processes
        self._seen: tuple[int | None, ...] = ()
        self._since = 0.0
        self._asked_at = -1
        self.goal: Goal | None = None
        self.report: Callable[[str], str] = str

    def rest(self) -> bool:
        """Move time to what comes next; return False when there is nothing to go on for."""
        loop, goal = self._loop, self.goal
        if goal is None or goal.is_met(is_idle=self.is_idle()) or loop.time() >= goal.until:
            return False
        if loop.is_ready:
            return True
        due = self._view.next_due()
        timer = _or_never(loop.next_timer())
        if self._is_quiet(due):
            event = math.inf if due is None else loop.time() + due
            if not (goal.is_patient or self._waits_by_itself()):
                event = math.inf
            return self._skip(min(timer, event, goal.until))
        when = min(timer, _or_never(loop.next_idling()), goal.until)
        if when == math.inf:
            raise Stuck(self.report("nothing can happen any more"))
        loop.leap(when)
        return True

    def is_idle(self) -> bool:
        """Return whether nothing is ready, leased, undecided or about to be tried again."""
        view = self._view
        is_due = view.is_work_ready or view.leases() or view.next_due() == 0
        return not (is_due or self._waits_by_itself()) and self._is_decided()

    def _waits_by_itself(self) -> bool:
        """Return whether something that has begun goes on after a time nobody asked for."""
        return self._view.has_timer(OWN_TIMERS) or self._view.is_held_back

    def _is_decided(self) -> bool:
        if not all(process.has_written for process in self._processes):
            return False
        if any(process.is_leading for process in self._processes):
            return True
        if self._asked_at != self._view.head:
            # What is recorded together with its decisions wakes no dispatcher.
            self._asked_at = self._view.head
            for process in self._processes:
                process.ask_dispatcher()
        return False

    def _is_quiet(self, due: float | None) -> bool:
        """Return whether nothing happens before the next timer but looks for work, in vain."""
        loop, view = self._loop, self._view
        # A process that begins, or stood still, has not looked for work yet.
        seen = (view.head, *(process.token for process in self._processes))
        if seen != self._seen:
            self._seen, self._since = seen, loop.awake()
        waited = loop.awake() - self._since
        if waited < SETTLE:
            return False
        if waited >= GIVE_UP:
            if due == 0:
                raise Stuck(self.report("what is due does not happen"))
            return True
        if due == 0:
            return False
        if view.is_work_ready or not self._is_decided():
            return False
        tokens = {process.token for process in self._processes}
        return all(token in tokens for _, token in view.leases()) and all(
            process.host is None or process.is_up for process in self._processes
        )

    def _skip(self, when: float) -> bool:
        loop = self._loop
        if when == math.inf:
            raise Stuck(self.report("nothing can happen any more"))
        span = when - loop.time()
        self._view.lengthen(span, [process.token or 0 for process in self._processes])
        loop.skip(when)
        for process in self._processes:
            process.look_at_time()
        return True


def _or_never(when: float | None) -> float:
    return math.inf if when is None else when
