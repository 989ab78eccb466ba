"""A plain model of the whole engine: what runs there are, what each waits for, what may be taken.

It knows no events, no log and no stores; ``machine`` does the same to an engine and to this,
and compares. Decisions are made at once here, as they are there when nothing is left undecided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Step(NamedTuple):
    """One of the steps of a target, which follow each other."""

    name: str
    queue: str
    attempts: int


TARGETS: dict[str, tuple[Step, ...]] = {
    "mail/send": (Step("send", "mail", 3),),
    "order": (Step("pay", "work", 2), Step("ship", "work", 2)),
}
QUEUES = ("mail", "work")
PAUSE = 5.0
"""Seconds between an attempt that failed and the next."""
GRACE = 7.0
"""Seconds that a run which is cancelled waits for what is under way."""
ENDS = ("completed", "failed", "cancelled")


@dataclass
class Known:
    """A run as the model knows it; ``work`` says of what is next whether somebody does it."""

    number: int
    target: str
    priority: int = 5
    work: str = "ready"
    """``ready``, ``leased``, ``later``, or ``none``."""
    due: float = 0.0
    """When what waits for its time is ready."""
    holder: int = 0
    """Who leases it."""
    at: int = 0
    attempt: int = 1
    started: int = 0
    """How many attempts have begun in this run, those aside that it has copied."""
    is_delayed: bool = False
    is_paused: bool = False
    grace_ends: float | None = None
    """Of a run that is cancelled while an attempt of it is under way."""
    end: str = ""
    result: Any = None
    results: list[Any] = field(default_factory=list)

    @property
    def step(self) -> Step:
        """What is next, or was last."""
        return TARGETS[self.target][self.at]

    @property
    def status(self) -> str:
        """As ``Run.status()``."""
        if self.end:
            return self.end
        if self.grace_ends is not None:
            return "cancelling"
        if self.is_paused:
            return "paused"
        return "scheduled" if self.is_delayed else "running"

    def finish(self, end: str) -> None:
        """End it."""
        self.end, self.work = end, "none"
        self.grace_ends = None


@dataclass
class Model:
    """What ought to be so."""

    now: float = 0.0
    runs: list[Known] = field(default_factory=list)
    keys: dict[tuple[str, str], Known] = field(default_factory=dict)
    limits: dict[str, int | None] = field(default_factory=lambda: dict.fromkeys(QUEUES))
    paused: dict[str, float] = field(default_factory=dict)
    """By queue, until when."""

    def start(self, target: str, *, priority: int = 5, delay: float = 0.0) -> Known:
        """Add a run."""
        run = Known(len(self.runs), target, priority)
        if delay:
            run.work, run.due, run.is_delayed = "later", self.now + delay, True
        self.runs.append(run)
        return run

    def again(self, origin: Known) -> Known:
        """Add the run that tries again what failed in ``origin`` or was cancelled."""
        run = Known(len(self.runs), origin.target, origin.priority, at=origin.at)
        run.results = list(origin.results)
        self.runs.append(run)
        return run

    def open(self) -> list[Known]:
        """Return the runs that go on."""
        return [run for run in self.runs if not run.end]

    def leased(self, holder: int | None = None) -> list[Known]:
        """Return the runs of which somebody, or ``holder``, executes something."""
        found = [run for run in self.runs if run.work == "leased"]
        return [run for run in found if holder is None or run.holder == holder]

    def of_queue(self, queue: str, work: str) -> list[Known]:
        """Return the runs whose next step is in ``queue`` and so."""
        return [run for run in self.open() if run.step.queue == queue and run.work == work]

    def takeable(self, queue: str) -> list[Known]:
        """Return what may be taken from ``queue`` if nothing but runs is asked."""
        found = self.of_queue(queue, "ready")
        return [run for run in found if not run.is_paused and run.grace_ends is None]

    def room(self, queue: str) -> int:
        """Return how many more jobs of ``queue`` may be taken."""
        if self.paused.get(queue, 0.0) > self.now:
            return 0
        most = self.limits[queue]
        return 10**6 if most is None else max(0, most - len(self.of_queue(queue, "leased")))

    def take(self, queue: str, asked: int, taken: Sequence[Known], holder: int) -> None:
        """Lease what was taken, if it is what had to be."""
        ready = self.takeable(queue)
        count = min(asked, self.room(queue), len(ready))
        assert len(taken) == count, f"{len(taken)} jobs of {queue!r} were given, not {count}"
        assert len({run.number for run in taken}) == count, "a job was given twice"
        for run in taken:
            assert run in ready, f"{run} was given"
        best = sorted((run.priority for run in ready), reverse=True)[:count]
        assert sorted((run.priority for run in taken), reverse=True) == best, "not the best first"
        for run in taken:
            run.work, run.holder = "leased", holder
            run.started += 1

    def complete(self, run: Known, result: Any) -> None:
        """Let the attempt under way return ``result``."""
        run.results.append(result)
        run.work = "none"
        if run.grace_ends is not None:
            run.finish("cancelled")
        elif run.at + 1 < len(TARGETS[run.target]):
            run.at, run.attempt, run.work = run.at + 1, 1, "ready"
        else:
            run.result = result
            run.finish("completed")

    def fail(self, run: Known, *, is_lasting: bool, pause: float = PAUSE) -> None:
        """Let the attempt under way fail; ``pause`` 0: at once ready for the next."""
        if run.grace_ends is not None:
            run.finish("cancelled")
        elif is_lasting or run.attempt >= run.step.attempts:
            run.finish("failed")
        else:
            run.attempt += 1
            run.work, run.due = ("later", self.now + pause) if pause else ("ready", 0.0)

    def release(self, run: Known) -> None:
        """Let the attempt under way be given back, not charged."""
        if run.grace_ends is not None:
            run.finish("cancelled")
        else:
            run.work = "ready"

    def cancel(self, run: Known) -> None:
        """Cancel it: what is under way has some time to end."""
        if run.work == "leased":
            run.grace_ends, run.is_paused = self.now + GRACE, False
        else:
            run.finish("cancelled")

    def stall(self, holder: int | None = None) -> None:
        """Let everything fail that ``holder``, or anybody, executes; it is charged."""
        for run in self.leased(holder):
            self.fail(run, is_lasting=False, pause=0.0)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        for run in self.open():
            if run.work == "later" and run.due <= self.now:
                run.work, run.is_delayed = "ready", False
            if run.grace_ends is not None and run.grace_ends <= self.now:
                run.finish("cancelled")
