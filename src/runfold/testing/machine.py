"""A state machine of the whole engine over any store, for whoever writes one.

    class Machine(EngineMachine):
        def new_store(self):
            return MyStore()          # empty, not open; another one each time

    def test_the_engine_runs_on_it():
        check_engine(Machine)

Users' calls, workers, time, crashes, repeated commits and rebuilds come in any order. After each
the store must hold what ``machine_model`` says: who is in which status, what waits where.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runfold.client.queues import QueueInfo
from runfold.client.run import Run
from runfold.define.limits import Concurrency
from runfold.errors import RunFinished, Unforkable
from runfold.ports import Batch, Job, Store
from runfold.testing.machine_engine import NOON, ByHand
from runfold.testing.machine_model import ENDS, QUEUES, TARGETS, Known, Model

T = TypeVar("T")
DICE = st.integers(0, 2**32 - 1).map(Random)
"""One small draw for each step, however much the step decides."""
SETTINGS = settings(
    deadline=None, derandomize=True, print_blob=False, database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
)  # fmt: skip
FOREVER = float("inf")


def check_engine(machine: type[EngineMachine], *, runs: int = 30, steps: int = 30) -> None:
    """Play ``machine`` ``runs`` times, always in the same way; raise ``AssertionError`` for what
    an engine on its store does otherwise than the model, with the fewest steps to it.

    ``steps``: how many each play has at most.
    """
    run_state_machine_as_test(
        machine, settings=settings(SETTINGS, max_examples=runs, stateful_step_count=steps)
    )


class EngineMachine(RuleBasedStateMachine):
    """Does the same to an engine and to a model of it, and compares. Inherit ``new_store``."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._model, self._results = Model(), 0
        self._runs: list[Run[Any]] = []
        self._streams: dict[int, int] = {}
        self._jobs: dict[int, tuple[Job, int]] = {}
        """By run: the job that somebody has, and who."""
        self._lost: list[tuple[Job, int]] = []
        """Jobs that were taken from who thinks that he has them."""
        self._workers: list[int] = []
        self._last: Batch | None = None

    def new_store(self) -> Store:
        """Return an empty store of its own, not open."""
        raise NotImplementedError(
            f"{type(self).__name__} has no store to run on: override new_store() to return an "
            "empty one that is not open"
        )

    # --- what users do

    @initialize()
    def begin(self) -> None:
        """Open an engine with two workers."""
        self._engine = ByHand(self.new_store())
        self._wait(self._engine.open())
        self._workers = [self._wait(self._engine.hire()) for _ in range(2)]

    @rule(dice=DICE)
    def start(self, dice: Random) -> None:
        """Start a run, perhaps later, perhaps with a key that was used."""
        target, priority = dice.choice(list(TARGETS)), dice.choice([1, 5, 5, 9])
        delay, key = dice.choice([0, 0, 0, 4]), dice.choice([None, None, "a", "b"])
        options: dict[str, Any] = {"priority": priority, "delay": delay or None, "key": key}
        run = self._wait(self._engine.client.start(target, 7, **options))
        known = self._model.keys.get((target, key or ""))
        if known is not None:
            assert run.id == self._runs[known.number].id, "a key stands for two runs"
        else:
            known = self._model.start(target, priority=priority, delay=delay)
            self._learn(known, run)
        if key is not None:
            self._model.keys[target, key] = known
        self._check()

    @rule(dice=DICE)
    def start_many(self, dice: Random) -> None:
        """Start several runs at once."""
        target, count = dice.choice(list(TARGETS)), dice.randint(2, 4)
        for run in self._wait(self._engine.client.start_many(target, [7] * count)):
            self._learn(self._model.start(target), run)
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
            else:
                known.is_paused = what == "pause"
        self._check()

    @precondition(lambda self: self._runs)
    @rule(dice=DICE)
    def try_again(self, dice: Random) -> None:
        """Retry a run: one that failed or was cancelled."""
        known = self._some(dice)
        try:
            again = self._wait(self._runs[known.number].retry())
        except Unforkable:
            assert known.end not in {"failed", "cancelled"}, f"{known} cannot be tried again"
        else:
            assert known.end in {"failed", "cancelled"}, f"{known} was tried again"
            self._learn(self._model.again(known), again)
        self._check()

    @rule(dice=DICE)
    def change_queue(self, dice: Random) -> None:
        """Pause a queue, resume it, or change its limit."""
        queue, client, model = dice.choice(QUEUES), self._engine.client, self._model
        what = dice.choice(["pause", "resume", "limit", "limit"])
        if what == "pause":
            span = dice.choice([3.0, FOREVER])
            until = None if span == FOREVER else NOON + timedelta(seconds=model.now + span)
            self._wait(client.queues.pause(queue, until=until))
            model.paused[queue] = model.now + span
        elif what == "resume":
            self._wait(client.queues.resume(queue))
            model.paused.pop(queue, None)
        else:
            most = model.limits[queue] = dice.choice([None, 1, 2])
            self._wait(client.queues.limit(queue, [Concurrency(most)] if most else []))
        self._check()

    # --- what workers do

    @rule(dice=DICE)
    def claim(self, dice: Random) -> None:
        """Have a worker take jobs."""
        self._claim(dice.choice(self._workers), dice.choice(QUEUES), dice.choice([1, 2, 5]))
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
        place = dice.randrange(len(self._workers))
        gone, self._workers[place] = self._workers[place], self._wait(self._engine.hire())
        self._wait(self._engine.store.leave(gone))
        self._stalled(gone)
        self._check()

    # --- what happens

    @rule(seconds=st.sampled_from([1.0, 3.0, 8.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._pass(seconds)
        self._check()

    @rule()
    def crash(self) -> None:
        """Let whoever decides and keeps the time lose its memory."""
        self._engine.forget()
        self._check()

    @precondition(lambda self: self._last is not None)
    @rule()
    def repeat(self) -> None:
        """Send the last claim again, as after an answer that was lost: nothing happens."""
        assert self._last is not None
        done = self._wait(self._engine.store.commit(self._last))
        assert done.repeated, "a batch was made twice"
        self._check()

    @rule()
    def rebuild(self) -> None:
        """Make anew what is derived from the log; what was under way has stalled."""
        self._wait(self._engine.rebuild(self._workers))
        self._workers = [self._wait(self._engine.hire()) for _ in self._workers]
        self._stalled(None)
        self._last = None
        self._check()

    def teardown(self) -> None:
        """Let everything go on: at last all runs end, and nothing is left."""
        try:
            if hasattr(self, "_engine"):
                self._finish()
                self._wait(self._engine.close())
        finally:
            self._runner.close()

    # --- how

    def _finish(self) -> None:
        model, client = self._model, self._engine.client
        for queue in QUEUES:
            self._wait(client.queues.resume(queue))
            self._wait(client.queues.limit(queue, []))
            model.limits[queue] = None
        model.paused.clear()
        for known in model.open():
            if known.is_paused:
                self._wait(self._runs[known.number].resume())
                known.is_paused = False
        for _ in range(10):
            self._pass(30.0)
            for queue in QUEUES:
                self._claim(self._workers[0], queue, 1000)
            for number in sorted(self._jobs):
                self._answer(number, "complete")
        self._check()
        assert all(known.end in ENDS for known in model.runs)
        assert self._wait(self._engine.store.open_runs(after=0, limit=1)) == []

    def _learn(self, known: Known, run: Run[Any]) -> None:
        stream = self._wait(self._engine.store.find([_bytes(run)]))[_bytes(run)]
        assert stream not in self._streams, f"{run} was there before"
        self._runs.append(run)
        self._streams[stream] = known.number

    def _some(self, dice: Random) -> Known:
        chosen = dice.choice(self._model.runs)
        return dice.choice([chosen, *self._model.open()])

    def _claim(self, token: int, queue: str, limit: int) -> None:
        self._last, done = self._wait(self._engine.claim(token, queue, limit))
        if not done.jobs:
            self._last = None  # What has changed nothing need not be remembered.
        taken = [self._model.runs[self._streams[job.stream]] for job in done.jobs]
        self._model.take(queue, limit, taken, token)
        for job, known in zip(done.jobs, taken, strict=True):
            assert (job.step, job.attempt) == (known.step.name, known.attempt), "not what is next"
            self._jobs[known.number] = job, token

    def _answer(self, number: int, how: str) -> None:
        (job, token), known = self._jobs.pop(number), self._model.runs[number]
        if how == "complete":
            self._results += 1
            outcome = self._wait(self._engine.complete(job, token, self._results))
            self._model.complete(known, self._results)
        elif how == "release":
            outcome = self._wait(self._engine.release(job, token))
            self._model.release(known)
        else:
            is_lasting = how == "break"
            outcome = self._wait(self._engine.fail(job, token, is_lasting=is_lasting))
            self._model.fail(known, is_lasting=is_lasting)
        assert outcome.refusal is None, f"an answer of who has the job was refused: {outcome}"
        self._wait(self._engine.settle())

    def _stalled(self, token: int | None) -> None:
        self._model.stall(token)
        self._pass(0.0)

    def _pass(self, seconds: float) -> None:
        self._wait(self._engine.wait(seconds))
        self._model.wait(seconds)

    def _check(self) -> None:
        """Compare everything that can be seen."""
        self._wait(self._compared())
        for number, held in list(self._jobs.items()):
            if self._model.runs[number].work != "leased":
                del self._jobs[number]
                self._lost.append(held)

    async def _compared(self) -> None:
        engine, model = self._engine, self._model
        await engine.settle()
        for known, run in zip(model.runs, self._runs, strict=True):
            assert await run.status() == known.status, f"{run} is not {known}"
            if known.end == "completed":
                assert await run.result(timeout=0) == known.result
        now = engine.clock.now()
        queues = {one.name: QueueInfo.of(one) for one in await engine.store.queues(now=now)}
        for queue in QUEUES:
            found = queues.get(queue, QueueInfo(queue))
            waits = len(model.of_queue(queue, "ready"))
            told = (found.ready + found.blocked, found.leased, found.delayed)
            expected = (waits, len(model.of_queue(queue, "leased")),
                        len(model.of_queue(queue, "later")))  # fmt: skip
            assert told == expected, f"{queue!r} has (waiting, leased, later) {told}"
            is_paused = model.paused.get(queue, 0.0) > model.now
            assert found.paused == is_paused, f"{queue!r} is paused: {found.paused}"
        open_runs = await engine.store.open_runs(after=0, limit=10_000)
        assert {self._streams[one] for one in open_runs} == {one.number for one in model.open()}

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)


def _bytes(run: Run[Any]) -> bytes:
    return bytes.fromhex(run.id.replace("-", ""))
