"""What workers do in the engine of ``machine``: they take jobs, answer for them, and die."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from runfold.testing.machine_play import DICE
from runfold.testing.machine_run import QUEUES
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

    def _ask_where_it_waits(self) -> None:
        """Ask for jobs where a pause or a window is under way, which is not to be forgotten."""
        for queue in QUEUES:
            if any(one == queue for _, one in self._model.openings()):
                self._claim(self._workers[0], queue, 2)

    def _die(self, place: int) -> None:
        gone, self._workers[place] = self._workers[place], self._wait(self._engine.hire())
        self._wait(self._engine.store.leave(gone))
        self._stalled(gone)
