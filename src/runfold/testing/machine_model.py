"""A plain model of the whole engine: what runs there are, what each waits for, what may be taken.

It knows no events, no log and no stores; ``machine`` does the same to an engine and to this,
and compares. Decisions are made at once here, as they are there when nothing is left undecided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import pairwise

from runfold.testing.machine_limits import Limits
from runfold.testing.machine_run import FOREVER, GRACE, PAUSE, QUEUES, TARGETS, Known


class Taken(Enum):
    """What becomes of a start with a key."""

    NOT = "there is a new run"
    RETURNS = "it returns the run of the key"
    CHANGES = "the run of the key gets what it says"
    REFUSES = "it is refused"


@dataclass
class Model:
    """What ought to be so."""

    now: float = 0.0
    runs: list[Known] = field(default_factory=list)
    keys: dict[tuple[str, str], list[Known]] = field(default_factory=dict)
    """By target and key, oldest first: of more than one, each but the first was put off."""
    limits: Limits = field(default_factory=Limits)
    paused: dict[tuple[str, str | None], float] = field(default_factory=dict)
    """By queue, and by queue and user: until when."""
    past: list[tuple[float, list[Known]]] = field(default_factory=list)
    """How all runs were when a moment was over."""
    turns: int = 0

    # --- where runs come from

    def start(
        self, target: str, *, user: str = "", priority: int = 5, delay: float = 0.0,
        span: float | None = None,
    ) -> Known:  # fmt: skip
        """Add a run; ``span``: how long it may take from when it is due."""
        said = self.limits.said_of(target)
        run = Known(len(self.runs), target, user, priority, self.now, said, span=span)
        self.runs.append(run)
        if span is not None:
            run.deadline = self.now + delay + span
        if delay:
            run.starts_at = self.now + delay
            run.delay()
        else:
            self._queue([run])
        return run

    def taken(self, target: str, key: str, how: str, user: str) -> Taken:
        """Return what becomes of a start with ``key`` that asks ``how``, of what is of ``user``."""
        runs = self.keys.get((target, key))
        if not runs:
            return Taken.NOT
        run = runs[-1 if how == "debounce" else 0]
        if how == "return" or (run.user == user and how != "debounce"):
            return Taken.RETURNS
        is_changed = not (run.has_begun or run.end or run.grace_ends is not None)
        if how != "refuse" and is_changed:
            return Taken.CHANGES
        return Taken.NOT if how == "debounce" else Taken.REFUSES

    def change(self, run: Known, user: str, delay: float | None, latest: float | None) -> None:
        """Let ``run``, of which nothing was claimed, be of ``user``; begin ``delay`` seconds from
        now, ``latest`` seconds after its start at the latest, or when it would have begun."""
        is_moved, run.user = run.user != user, user
        if delay is not None:
            left = delay if latest is None else run.since + latest - self.now
            run.starts_at = self.now + max(0.0, min(delay, left))
            run.delay()
            if run.span is not None:
                run.deadline = run.starts_at + run.span
        elif is_moved and run.work == "ready":
            self._queue([run])

    def is_too_late(self, origin: Known) -> bool:
        """Return whether nothing can descend from ``origin`` without another deadline."""
        return origin.span is None and origin.deadline is not None and origin.deadline <= self.now

    def again(self, origin: Known) -> Known:
        """Add the run that tries again what failed in ``origin`` or was cancelled."""
        run = self._descend(origin)
        run.at, run.attempt, run.results = origin.at, 1, list(origin.results)
        if run.at == 0 and run.starts_at is not None:
            run.delay()
        else:
            self._queue([run])
        return run

    def fork(self, place: Known) -> Known:
        """Add the run that goes on from ``place``: how its origin was at a version of it."""
        run = self._descend(place)
        run.at, run.attempt, run.results = place.at, place.attempt, list(place.results)
        run.due, run.is_delayed = place.due, place.is_delayed
        if place.work == "later":
            run.work = "later"
        else:
            self._queue([run])
        return run

    def _descend(self, origin: Known) -> Known:
        """Add a run that has what ``origin`` was started with; seconds of a deadline count anew."""
        run = Known(
            len(self.runs), origin.target, origin.user, origin.priority, self.now, origin.said
        )
        run.starts_at, run.span, run.deadline = origin.starts_at, origin.span, origin.deadline
        if run.span is not None:
            run.deadline = max(run.starts_at or 0.0, self.now) + run.span
            if run.starts_at is not None:
                run.span = None
        self.runs.append(run)
        return run

    # --- what there is

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

    def at(self, run: Known, moment: float) -> Known | None:
        """Return how ``run`` was at a moment: as that moment left it; None: there was none."""
        if moment < run.since:
            return None
        if moment >= self.now:
            return as_it_is(run)
        return next(runs for now, runs in reversed(self.past) if now <= moment)[run.number]

    def ends_of(self, run: Known) -> list[float]:
        """Return the moments behind which ``run`` was not as before."""
        kept = [(now, runs[run.number]) for now, runs in self.past if run.number < len(runs)]
        kept.append((self.now, run))
        return [now for (now, before), (_, later) in pairwise(kept) if before != later]

    # --- what is taken

    def admitted(self, queue: str) -> list[Known]:
        """Return what may be taken from ``queue`` next."""
        if self.is_closed(queue, None):
            return []
        leased = self.leased()
        return [
            run
            for run in self.of_queue(queue, "ready")
            if not run.is_paused and run.grace_ends is None
            and not self.is_closed(queue, run.user)
            and self.limits.admit(run, leased, self.now)
        ]  # fmt: skip

    def is_closed(self, queue: str, user: str | None) -> bool:
        """Return whether ``queue`` is paused, or what is of ``user`` in it."""
        return self.paused.get((queue, user), 0.0) > self.now

    def openings(self) -> list[tuple[float, str]]:
        """Return when a pause or a hold ends, or what a rate counts is out of its window, and of
        which queue, if something waits there."""
        found = {(until, queue) for (queue, _), until in self.paused.items() if until < FOREVER}
        found |= self.limits.openings()
        waits = {queue for queue in QUEUES if self.of_queue(queue, "ready")}
        return sorted(one for one in found if one[0] > self.now and one[1] in waits)

    def _is_before(self, run: Known, other: Known) -> bool:
        """Return whether ``run`` must be served before ``other``, of the same queue."""
        is_alike = run.priority == other.priority
        is_alike = is_alike and self.limits.lane(run) == self.limits.lane(other)
        return is_alike and run.turn < other.turn and not (run.is_passed or other.is_passed)

    def take(self, queue: str, asked: int, taken: Sequence[Known], holder: int) -> None:
        """Lease what was taken, one after another, if each is what had to be next."""
        assert len({run.number for run in taken}) == len(taken), "a job was given twice"
        for run in sorted(taken, key=lambda run: (-run.priority, run.turn)):
            admitted = self.admitted(queue)
            assert run in admitted, f"{run} was given"
            for other in admitted:
                assert other.priority <= run.priority, f"{run} was given, {other} is better"
                assert not self._is_before(other, run), f"{run} was given, {other} came before it"
            run.work, run.holder, run.has_begun = "leased", holder, True
            self.limits.begin(run, self.now)
        left = self.admitted(queue)
        assert len(taken) <= asked, f"{len(taken)} jobs of {queue!r} were given, not {asked}"
        assert len(taken) == asked or not left, f"{left} were not given"

    # --- what becomes of it

    def complete(self, run: Known, result: int) -> None:
        """Let the attempt under way return ``result``."""
        run.results.append(result)
        run.work = "none"
        if run.grace_ends is not None:
            run.finish(run.ends_as)
        elif run.at + 1 < len(TARGETS[run.target]):
            run.at, run.attempt = run.at + 1, 1
            self._queue([run])
        else:
            run.result = result
            run.finish("completed")

    def fail(self, run: Known, *, is_lasting: bool) -> None:
        """Let the attempt under way fail."""
        if run.grace_ends is not None:
            run.finish(run.ends_as)
        elif is_lasting or run.attempt >= run.step.attempts:
            run.finish("failed")
        else:
            run.attempt += 1
            run.work, run.due = "later", self.now + PAUSE

    def slow_down(self, run: Known, until: float | None) -> None:
        """Let the attempt under way be told to slow down ``until`` then, or for nobody knows how
        long; it is not charged."""
        if until is not None:
            self.limits.hold(run, until)
        if run.grace_ends is not None:
            run.finish(run.ends_as)
        elif until is not None and until <= self.now:
            self._queue([run])
        else:
            run.work, run.due = "later", self.now + PAUSE if until is None else until

    def release(self, run: Known) -> None:
        """Let the attempt under way be given back, not charged."""
        if run.grace_ends is not None:
            run.finish(run.ends_as)
        else:
            self._queue([run])

    def stall(self, holder: int | None = None) -> None:
        """Let everything fail that ``holder``, or anybody, executes; the next attempt is ready."""
        stalled = self.leased(holder)
        for run in stalled:
            self.fail(run, is_lasting=False)
        self._queue([run for run in stalled if not run.end])

    def cancel(self, run: Known) -> None:
        """Cancel it."""
        self._close(run, "cancelled")

    def pause(self, queue: str, user: str | None, seconds: float = FOREVER) -> None:
        """Let nothing be taken from ``queue``, or nothing of ``user`` in it, for so long."""
        self.paused[queue, user] = self.now + seconds

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        if seconds:
            self.past.append((self.now, [as_it_is(run) for run in self.runs]))
        self.now += seconds
        ready = [run for run in self.open() if run.work == "later" and run.due <= self.now]
        for due in sorted({run.due for run in ready}):
            self._queue([run for run in ready if run.due == due])
        for run in self.open():
            if run.grace_ends is not None and run.grace_ends <= self.now:
                run.finish(run.ends_as)
            elif run.deadline is not None and run.deadline <= self.now and run.grace_ends is None:
                self._close(run, "failed")

    def _close(self, run: Known, end: str) -> None:
        """Let it end so: what is under way has some time for it."""
        if run.work == "leased":
            run.grace_ends, run.ends_as, run.is_paused = self.now + GRACE, end, False
        else:
            run.finish(end)

    def _queue(self, runs: Sequence[Known]) -> None:
        """Put what is next for ``runs`` behind everything; which of them is first, nobody says."""
        self.turns += 1
        for run in runs:
            run.work, run.turn, run.is_delayed = "ready", self.turns, False
            run.is_passed = run.is_paused


def as_it_is(run: Known) -> Known:
    """Return a copy of ``run`` that stays as it is."""
    return replace(run, results=list(run.results))
