"""What workers do in the engine of ``machine``: they take jobs, answer for them, and die."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from runfold.testing.machine_play import DICE
from runfold.testing.machine_run import QUEUES, Known
from runfold.testing.machine_users import Users


class Workers(Users):
    """Claims and answers, as worker processes make them."""

    @rule(dice=DICE)
    def claim(self, dice: Random) -> None:
        """Have workers take jobs, mostly where there are some."""
        for _ in range(dice.choice([1, 2, 4])):
            busy = [queue for queue in QUEUES if self._model.admitted(queue)]
            if not busy:
                self._start(dice)
            queue = dice.choice([*QUEUES, *busy * 3])
            self._claim(dice.choice(self._workers), queue, dice.choice([1, 1, 2, 5]))
            self._check()

    @precondition(lambda self: self._model.openings())
    @rule(dice=DICE)
    def come_in_time(self, dice: Random) -> None:
        """Ask for jobs just when a pause or a window is over, or a little before."""
        moment, queue = dice.choice(self._model.openings())
        self._pass(max(0.0, moment - self._model.now - dice.choice([0.0, 0.5])))
        self._claim(dice.choice(self._workers), queue, dice.choice([1, 5]))
        self._check()

    @precondition(lambda self: self._jobs)
    @rule(dice=DICE, how=st.sampled_from(["complete", "complete", "fail", "break", "release"]))
    def answer(self, dice: Random, how: str) -> None:
        """Let an attempt return, fail, fail for good, or be given back."""
        self._answer(dice.choice(sorted(self._jobs)), how)
        self._check()

    @precondition(lambda self: self._jobs)
    @rule(dice=DICE)
    def slow_down(self, dice: Random) -> None:
        """Tell attempts to slow down; whoever asks next finds closed what had admitted them."""
        known, limits = self._slow_some_down(dice), self._model.limits
        queue = known.step.queue
        self._check()
        self._claim(dice.choice(self._workers), queue, dice.choice([1, 5]))
        self._check()
        ends = [limits.held.get(bucket, 0.0) for bucket in limits.asked(known)]
        if max(ends, default=0.0) > self._model.now and dice.random() < 0.6:
            self._pass(dice.choice([3.0, max(ends) - self._model.now]))
            self._claim(dice.choice(self._workers), queue, 5)
            self._check()

    @precondition(lambda self: self._lost)
    @rule(dice=DICE)
    def answer_late(self, dice: Random) -> None:
        """Let somebody answer for a job that he has no longer: that is refused."""
        job, token = dice.choice(self._lost)
        outcome = self._wait(self._engine.complete(job, token, "late"))
        assert outcome.refusal is not None, f"an answer for {job}, which was taken, was recorded"
        self._check()

    @rule(dice=DICE)
    def die(self, dice: Random) -> None:
        """Let a worker be gone; its jobs are taken from it."""
        self._die(dice.randrange(len(self._workers)))
        self._check()

    def _slow_some_down(self, dice: Random) -> Known:
        """Tell an attempt to slow down, perhaps another one that the same has admitted for less
        long, while something waits that asks the same; return the first."""
        model = self._model
        known = model.runs[dice.choice(sorted(self._jobs))]
        asked = set(model.limits.asked(known))
        alike = [run for run in self._jobs if asked & set(model.limits.asked(model.runs[run]))]
        if dice.random() < 0.7:
            self._start_one(known.target, known.user)
        alike = sorted(run for run in alike if run != known.number)
        spans = [9.0, 3.0] if alike else [dice.choice([9.0, 9.0, 3.0, 0.0, None, -1.0])]
        for number, after in zip([known.number, *alike], spans, strict=False):
            is_moment = dice.random() < 0.5 or (after or 0.0) < 0
            self._slow_down(number, after=after, is_moment=is_moment)
        return known

    def _ask_where_it_waits(self) -> None:
        """Ask for jobs where a pause or a window is under way, which is not to be forgotten."""
        for queue in QUEUES:
            if any(one == queue for _, one in self._model.openings()):
                self._claim(self._workers[0], queue, 2)

    def _die(self, place: int) -> None:
        gone, self._workers[place] = self._workers[place], self._wait(self._engine.hire())
        self._wait(self._engine.store.leave(gone))
        self._stalled(gone)
