"""What users do to the engine of ``machine`` beside starts: steer and fork runs, set up queues."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from runfold.errors import InvalidInput, RunFinished, Unforkable
from runfold.testing.machine_engine import NOON
from runfold.testing.machine_limits import some_laws, some_laws_of_steps, written
from runfold.testing.machine_model import as_it_is
from runfold.testing.machine_play import DICE
from runfold.testing.machine_run import (
    FOREVER,
    KEYED,
    QUEUES,
    USERS,
    Known,
)
from runfold.testing.machine_starts import Starts

CHANGES = [
    (3.0,), (None,), (FOREVER,), (3.0, FOREVER), (FOREVER, None), (FOREVER, 3.0), (9.0, 3.0),
]  # fmt: skip
"""What is said about one user, one after the other: paused for so long, or resumed."""


class Users(Starts):
    """Calls of the public client."""

    @initialize(dice=DICE)
    def begin(self, dice: Random) -> None:
        """Open an engine with two workers, perhaps with limits and something to do."""
        self._open()
        for queue in QUEUES:
            if dice.random() < 0.5:
                self._limit(queue, dice)
        if dice.random() < 0.7:
            self._serve(dice)
        for _ in range(dice.choice([0, 4, 8, 12])):
            self._start(dice)
        self._check()

    @precondition(lambda self: self._runs)
    @rule(dice=DICE, what=st.sampled_from(["cancel", "pause", "resume"]))
    def ask(self, dice: Random, what: str) -> None:
        """Cancel, pause or resume a run; one that has ended or is ending refuses."""
        known = self._some(dice)
        refuses = bool(known.end) or known.grace_ends is not None
        try:
            self._wait(getattr(self._runs[known.number], what)())
        except RunFinished:
            assert refuses, f"{what} of {known} was refused"
        else:
            assert not refuses, f"{what} of {known} was accepted"
            if what == "cancel":
                self._model.cancel(known)
            elif what == "pause":
                known.pause()
            else:
                known.is_paused = False
        self._check()

    @precondition(lambda self: self._runs)
    @rule(dice=DICE)
    def try_again(self, dice: Random) -> None:
        """Retry a run: one that failed or was cancelled."""
        known = self._some(dice)
        can = known.end in {"failed", "cancelled"} and not self._model.is_too_late(known)
        try:
            again = self._wait(self._runs[known.number].retry())
        except Unforkable:
            assert not can, f"{known} cannot be tried again"
        else:
            assert can, f"{known} was tried again"
            self._learn(self._model.again(known), again)
            self._pass(0.0)
        self._check()

    @precondition(lambda self: self._runs)
    @rule(dice=DICE)
    def fork(self, dice: Random) -> None:
        """Fork a run where it is, or where one was that somebody looked at."""
        if not self._model.leased():
            self._claim(dice.choice(self._workers), dice.choice(QUEUES), 1)
        known = dice.choice([*self._model.leased()[:2], self._some(dice)])
        self._places.append(self._place(known))
        version, place = dice.choice([self._places[-1], dice.choice(self._places)])
        self._fork(place.number, version, place)
        self._check()

    @precondition(lambda self: self._runs)
    @rule(dice=DICE)
    def fork_at_a_moment(self, dice: Random) -> None:
        """Fork a run as it was when a moment was over, or at one at which it was not there."""
        known, model = self._some(dice), self._model
        moments = [now for now, _ in model.past] or [0.0]
        last = model.ends_of(known) or moments
        moment = dice.choice(
            [dice.choice(last), dice.choice(last), dice.choice(moments), model.now]
        )
        moment += dice.choice([0.0, 0.0, 0.5])
        at, place = NOON + timedelta(seconds=moment), model.at(known, moment)
        if place is None:
            self._refused(self._runs[known.number].fork(at=at))
        else:
            self._fork(known.number, at, place)
        self._check()

    def _fork(self, number: int, at: int | datetime, place: Known) -> None:
        """Fork a run ``at`` where it was as ``place`` is."""
        ends = bool(place.end) or place.grace_ends is not None
        can = not ends and not self._model.is_too_late(place)
        try:
            forked = self._wait(self._runs[number].fork(at=at))
        except Unforkable:
            assert not can, f"{place} cannot be forked at {at}"
        except InvalidInput as error:
            raise AssertionError(f"{place} is said not to have been there at {at}") from error
        else:
            assert can, f"{place} was forked at {at}"
            self._learn(self._model.fork(place), forked)
            self._pass(0.0)

    @rule(dice=DICE)
    def change_queue(self, dice: Random) -> None:
        """Pause a queue, resume it, or change its limits."""
        queue = dice.choice(QUEUES)
        if dice.random() < 0.4:
            self._limit(queue, dice)
        else:
            self._pause(queue, None, dice.choice([3.0, FOREVER, None]))
        self._check()

    @rule(dice=DICE)
    def deploy(self, dice: Random) -> None:
        """Serve other limits of steps: what is under way keeps the definition that it follows,
        and its limits have other numbers."""
        self._serve(dice)
        self._check()

    @rule(dice=DICE)
    def change_user(self, dice: Random) -> None:
        """Pause what is of one user in a queue, or resume it, perhaps one after the other, and
        ask for jobs of it each time; elsewhere nothing is of anybody."""
        user = dice.choice([USERS[0], USERS[0], USERS[0], "somebody else"])
        self._start_one("mail/send", user)
        for span in dice.choice(CHANGES):
            self._pause(KEYED, user, span)
            self._claim(dice.choice(self._workers), KEYED, dice.choice([1, 5]))
            self._check()
        until = self._model.paused.get((KEYED, user), FOREVER)
        if self._model.now < until < FOREVER and dice.random() < 0.7:
            self._pass(until - self._model.now)
            self._claim(dice.choice(self._workers), KEYED, 5)
        for queue in QUEUES:
            if queue != KEYED:
                self._refused(self._engine.client.queues.pause(queue, key=user))
        self._check()

    def _pause(self, queue: str, user: str | None, span: float | None) -> None:
        """Pause for so long; None: resume."""
        queues, model = self._engine.client.queues, self._model
        if span is None:
            self._wait(queues.resume(queue, key=user))
            model.paused.pop((queue, user), None)
            return
        until = None if span == FOREVER else NOON + timedelta(seconds=model.now + span)
        self._wait(queues.pause(queue, key=user, until=until))
        model.pause(queue, user, span)

    def _limit(self, queue: str, dice: Random) -> None:
        """Give it other limits; of a user, either at once or in a window."""
        laws = some_laws(dice, by_user=queue == KEYED)
        self._wait(self._engine.client.queues.limit(queue, written(laws, dice)))
        self._model.limits.laws[queue] = laws

    def _serve(self, dice: Random) -> None:
        """Give the steps other limits, as code that is served now."""
        laws = some_laws_of_steps(dice)
        limits = {scope: written(of_step, dice) for scope, of_step in laws.items()}
        self._wait(self._engine.serve(limits))
        self._model.limits.laws.update(laws)

    def _place(self, known: Known) -> tuple[int, Known]:
        """Return the version at which ``known`` is, and how it is."""
        (stream,) = [stream for stream, at in self._streams.items() if at == known.number]
        return self._wait(self._engine.store.last_version(stream)), as_it_is(known)
