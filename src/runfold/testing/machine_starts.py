"""Starts in the engine of ``machine``, and what becomes of those whose key is taken."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis.stateful import precondition, rule

from runfold.client.run import Run
from runfold.errors import KeyConflict
from runfold.testing.machine_model import Taken
from runfold.testing.machine_play import DICE, Playing
from runfold.testing.machine_run import KEYED, TARGETS, USERS

HOWS = ("return", "refuse", "replace", "debounce")
"""What a start with a key may ask for."""


class Starts(Playing):
    """The calls that may begin runs."""

    @rule(dice=DICE)
    def start(self, dice: Random) -> None:
        """Start a run, perhaps later, perhaps with a deadline or a key that was used."""
        self._start(dice)
        self._check()

    @rule(dice=DICE)
    def start_many(self, dice: Random) -> None:
        """Start several runs at once."""
        (target, user), count = _target(dice), dice.randint(2, 4)
        inputs = [_input(user)] * count
        for run in self._wait(self._engine.client.start_many(target, inputs)):
            self._learn(self._model.start(target, user=user), run)
        self._check()

    @precondition(lambda self: self._model.keys)
    @rule(dice=DICE)
    def start_again(self, dice: Random) -> None:
        """Start with keys that are taken: have the run, be refused, change it, or put it off."""
        for _ in range(dice.choice([1, 2])):
            target, key = dice.choice(sorted(self._model.keys))
            user = dice.choice(USERS) if target.startswith(KEYED) else ""
            self._start_with_key(target, user, key, dice.choice(HOWS), dice)
            self._check()

    def _start_one(self, target: str, user: str) -> None:
        run = self._wait(self._engine.client.start(target, _input(user)))
        self._learn(self._model.start(target, user=user), run)

    def _start(self, dice: Random) -> None:
        target, user = _target(dice)
        if dice.random() < 0.5:
            self._start_with_key(target, user, dice.choice("ab"), dice.choice(HOWS), dice)
            return
        options = _options(dice)
        run = self._wait(self._engine.client.start(target, _input(user), **options))
        self._learn(self._model.start(target, user=user, **_meant(options)), run)

    def _start_with_key(self, target: str, user: str, key: str, how: str, dice: Random) -> None:
        model, options = self._model, _options(dice)
        said: dict[str, Any] = {"key": key, "on_conflict": how}
        latest = None
        if how == "debounce":
            options["delay"] = dice.choice([4.0, 2.0])
            if (latest := dice.choice([None, 3.0, 5.0])) is not None:
                said["max_delay"] = latest
        run, refused = self._keyed(target, _input(user), **options, **said)
        taken = model.taken(target, key, how, user)
        is_refused = taken is Taken.REFUSES
        assert (run is None) == is_refused, f"{how} of {key!r} for {user!r}: {taken}, got {run}"
        if run is None:
            assert refused == self._runs[model.keys[target, key][0].number].id
            return
        if taken is Taken.NOT:
            known = model.start(target, user=user, **_meant(options))
            model.keys.setdefault((target, key), []).append(known)
            self._learn(known, run)
            return
        known = model.keys[target, key][-1 if how == "debounce" else 0]
        assert run.id == self._runs[known.number].id, "a key stands for two runs"
        if taken is Taken.CHANGES:
            too_late = known.deadline or model.now
            model.change(known, user, options["delay"] if how == "debounce" else None, latest)
            # At its first deadline nothing happens any more, and at its time it is ready.
            moments = [model.now, too_late, known.starts_at or model.now]
            self._pass(max(0.0, dice.choice(moments) - model.now))

    def _keyed(self, target: str, input: Any, **options: Any) -> tuple[Run[Any] | None, str]:
        """Return the run that was started or has the key; None and its id if that is refused."""
        try:
            return self._wait(self._engine.client.start(target, input, **options)), ""
        except KeyConflict as error:
            return None, error.run_id


def _options(dice: Random) -> dict[str, Any]:
    return {
        "priority": dice.choice([1, 5, 5, 9]),
        "delay": dice.choice([None, None, None, 4.0]),
        "deadline": dice.choice([None, None, 6.0, 25.0]),
    }


def _meant(options: dict[str, Any]) -> dict[str, Any]:
    """Return what ``options`` of a start are to the model."""
    return {
        "priority": options["priority"], "delay": options["delay"] or 0.0,
        "span": options["deadline"],
    }  # fmt: skip


def _target(dice: Random) -> tuple[str, str]:
    """Return a target, and whose it is."""
    target = dice.choice(list(TARGETS))
    return target, dice.choice(USERS) if target.startswith(KEYED) else ""


def _input(user: str) -> Any:
    return {"user": user} if user else 7
