"""What every part of the machine of ``machine`` plays with: an engine, its model, the comparison.

Whatever a rule does, it does to both, and ends with ``_check``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from runfold.client.queues import QueueInfo
from runfold.client.run import Run
from runfold.errors import InvalidInput
from runfold.ports import Batch, Job, Outcome, Store
from runfold.testing.machine_engine import NOON, ByHand
from runfold.testing.machine_model import Model
from runfold.testing.machine_run import ENDS, QUEUES, Known

T = TypeVar("T")
DICE = st.integers(0, 2**32 - 1).map(Random)
"""One small draw for each step, however much the step decides."""


class Playing(RuleBasedStateMachine):
    """An engine, what ought to be so in it, and what the players have in their hands."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._model, self._results = Model(), 0
        self._runs: list[Run[Any]] = []
        self._streams: dict[int, int] = {}
        self._places: list[tuple[int, Known]] = []
        """Versions that somebody has seen, and how the run was then."""
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

    def same_store(self, store: Store) -> Store | None:
        """Return another object, not open, over what ``store``, which is closed then, has stored.

        None, the default: it stays open, and only what uses it begins anew.
        """
        del store
        return None

    def teardown(self) -> None:
        """Let everything go on: at last all runs end, and nothing is left."""
        try:
            if hasattr(self, "_engine"):
                self._finish()
                self._wait(self._engine.end())
                self._wait(self._engine.store.close())
        finally:
            self._runner.close()

    # --- how

    def _open(self) -> None:
        self._engine = ByHand(self.new_store())
        self._wait(self._engine.store.open(migrate=True))
        self._wait(self._engine.begin())
        self._workers = [self._wait(self._engine.hire()) for _ in range(2)]

    def _finish(self) -> None:
        model, client = self._model, self._engine.client
        for queue in QUEUES:
            self._wait(client.queues.resume(queue))
            self._wait(client.queues.limit(queue, []))
        self._wait(self._engine.serve({}))
        model.limits.laws.clear()
        for queue, user in model.paused:
            self._wait(client.queues.resume(queue, key=user))
        model.paused.clear()
        for known in model.open():
            if known.is_paused:
                self._wait(self._runs[known.number].resume())
                known.is_paused = False
        for _ in range(10):
            self._pass(30.0)
            self._lose()
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

    def _number(self, stream: int) -> int:
        assert stream in self._streams, f"stream {stream} is of a run that nobody began"
        return self._streams[stream]

    def _some(self, dice: Random) -> Known:
        chosen = dice.choice(self._model.runs)
        return dice.choice([chosen, *self._model.open()])

    def _claim(self, token: int, queue: str, limit: int) -> None:
        self._last, done = self._wait(self._engine.claim(token, queue, limit))
        if not done.jobs:
            self._last = None  # What has changed nothing need not be remembered.
        taken = [self._model.runs[self._number(job.stream)] for job in done.jobs]
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
        self._answered(outcome)

    def _slow_down(self, number: int, *, after: float | None, is_moment: bool) -> None:
        """Tell an attempt to slow down for ``after`` seconds, or until that moment."""
        (job, token), known = self._jobs.pop(number), self._model.runs[number]
        until = None if after is None else self._model.now + after
        moment = None if until is None else NOON + timedelta(seconds=until)
        how: dict[str, Any] = {"at": moment} if is_moment else {"after": after}
        outcome = self._wait(self._engine.slow_down(job, token, **how))
        self._model.slow_down(known, until)
        self._answered(outcome)

    def _answered(self, outcome: Outcome) -> None:
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
        self._lose()

    def _lose(self) -> None:
        """Have nobody hold what was taken away."""
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
            is_paused = model.is_closed(queue, None)
            assert found.paused == is_paused, f"{queue!r} is paused: {found.paused}"
            users = {one for of, one in model.paused if of == queue and one is not None}
            closed = {user for user in users if model.is_closed(queue, user)}
            assert found.paused_keys.keys() == closed, f"of {queue!r} are paused {found}"
        open_runs = await engine.store.open_runs(after=0, limit=10_000)
        assert {self._number(one) for one in open_runs} == {one.number for one in model.open()}

    def _refused(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Ask for what cannot be."""
        try:
            self._wait(coroutine)
        except InvalidInput:
            return
        raise AssertionError(f"{coroutine} was not refused")

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)


def _bytes(run: Run[Any]) -> bytes:
    return bytes.fromhex(run.id.replace("-", ""))
