"""What the plain model of ``machine`` knows of limits: which hold, what they count, what is held.

A limit is of a *scope*: a queue, or a step of a target. It counts in *buckets*: one for all, or
one for each user. Whoever is told to slow down holds every bucket that had admitted it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from runfold.define.limits import AnyLimit, Concurrency, MinDelay, RateLimit
from runfold.testing.machine_run import KEYED, OF_USER, TARGETS, WINDOW, Known, Step

AT_ONCE, IN_WINDOW, OF_A_USER = "at once", "in a window", "of a user"
"""What a limit is called in its scope, as long as there is no other one of its kind."""


class Law(NamedTuple):
    """So many at once, or, if it is a rate, so many that begin in ``WINDOW`` seconds."""

    most: int
    is_rate: bool = False


Laws = Mapping[str, Law]
"""The limits of a scope, by name."""


class Bucket(NamedTuple):
    """Where a limit counts."""

    scope: str
    name: str
    user: str | None = None


def scope_of(target: str, step: Step) -> str:
    """Return what the limits of a step of ``target`` are known by."""
    return f"{target}/{step.name}"


QUEUE_OF = {scope_of(target, step): step.queue for target in TARGETS for step in TARGETS[target]}
"""By scope of a step: its queue."""


@dataclass
class Limits:
    """All limits of an engine, and what is used of them."""

    laws: dict[str, Laws] = field(default_factory=lambda: {KEYED: {OF_A_USER: Law(OF_USER)}})
    """By scope, those that hold now."""
    begun: dict[Bucket, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When, as far as a rate counted it."""
    held: dict[Bucket, float] = field(default_factory=dict)
    """Until when nothing is admitted, since somebody was told to slow down."""

    def said_of(self, target: str) -> tuple[tuple[str, ...], ...]:
        """Return the names of the limits of each step of ``target``, as it is served now."""
        return tuple(tuple(self.laws.get(scope_of(target, step), ())) for step in TARGETS[target])

    def lane(self, run: Known) -> list[Bucket]:
        """Return what is asked for what is next of ``run``, beside its queue as a whole: what its
        definition says, also where no such limit holds now."""
        queue, scope = run.step.queue, scope_of(run.target, run.step)
        of_queue = [Bucket(queue, OF_A_USER, run.user)] if queue == KEYED else []
        return of_queue + [
            Bucket(scope, name, run.user if name == OF_A_USER else None) for name in run.names
        ]

    def asked(self, run: Known) -> list[Bucket]:
        """Return all that must admit what is next of ``run``."""
        queue = run.step.queue
        names = [name for name in self.laws.get(queue, {}) if name != OF_A_USER]
        return [*(Bucket(queue, name) for name in names), *self.lane(run)]

    def admit(self, run: Known, leased: Sequence[Known], now: float) -> bool:
        """Return whether ``run`` may begin beside those that are ``leased``."""
        return all(self._has_room(bucket, leased, now) for bucket in self.asked(run))

    def begin(self, run: Known, now: float) -> None:
        """Count that ``run`` begins."""
        for bucket in self.asked(run):
            law = self._law(bucket)
            if law is not None and law.is_rate:
                self.begun[bucket].append(now)

    def hold(self, run: Known, until: float) -> None:
        """Let nothing begin that what has admitted ``run`` would have to admit."""
        for bucket in self.asked(run):
            self.held[bucket] = max(until, self.held.get(bucket, until))

    def openings(self) -> set[tuple[float, str]]:
        """Return when something may be admitted because time has passed, and in which queue."""
        found = {(until, bucket.scope) for bucket, until in self.held.items()}
        found |= {(at + WINDOW, one.scope) for one, begun in self.begun.items() for at in begun}
        return {(moment, QUEUE_OF.get(scope, scope)) for moment, scope in found}

    def _law(self, bucket: Bucket) -> Law | None:
        return self.laws.get(bucket.scope, {}).get(bucket.name)

    def _has_room(self, bucket: Bucket, leased: Sequence[Known], now: float) -> bool:
        if self.held.get(bucket, now) > now:
            return False
        law = self._law(bucket)
        if law is None:
            return True
        if law.is_rate:
            return sum(at > now - WINDOW for at in self.begun[bucket]) < law.most
        return sum(bucket in self.asked(one) for one in leased) < law.most


def some_laws(dice: Random, *, by_user: bool) -> Laws:
    """Draw limits of one scope; ``by_user``: perhaps one that counts for each user."""
    laws: dict[str, Law] = {}
    if most := dice.choice([None, None, 1, 2]):
        laws[AT_ONCE] = Law(most)
    if most := dice.choice([None, None, 1, 2]):
        laws[IN_WINDOW] = Law(most, is_rate=True)
    if by_user and (most := dice.choice([None, 1, 1, 2])):
        laws[OF_A_USER] = Law(most, is_rate=dice.random() < 0.5)
    return laws


def some_laws_of_steps(dice: Random) -> dict[str, Laws]:
    """Draw limits of every step."""
    found: dict[str, Laws] = {}
    for scope, queue in QUEUE_OF.items():
        most = dice.choice([1, 2, 2])
        found[scope] = dice.choice(
            [
                {}, {AT_ONCE: Law(most)}, {IN_WINDOW: Law(most, is_rate=True)},
                {AT_ONCE: Law(2), IN_WINDOW: Law(most, is_rate=True)},
                {OF_A_USER if queue == KEYED else AT_ONCE: Law(most)},
            ]
        )  # fmt: skip
    return found


def written(laws: Laws, dice: Random) -> list[AnyLimit]:
    """Return ``laws`` as people write them, in one of the ways to say them."""
    limits: list[AnyLimit] = []
    for name, law in laws.items():
        key = "user" if name == OF_A_USER else None
        ways: list[AnyLimit] = [Concurrency(law.most, key=key)]
        if law.is_rate:
            ways = [RateLimit(law.most, WINDOW, key=key)]
        if law == Law(1, is_rate=True):
            ways += [RateLimit(3, 3 * WINDOW, key=key, even=True), MinDelay(WINDOW, key=key)]
        limits.append(dice.choice(ways))
    return limits
