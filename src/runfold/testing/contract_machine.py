"""The contract of limits as a machine: whatever is done in whatever order, no limit is broken,
nothing that may start is left behind, and no claim sleeps too long."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runfold.flow.work import Gate
from runfold.ports import Batch, Claim, Closure, Committed, Item, Limit, Row, Served, Store
from runfold.testing.contract_model import Known, Model, Target
from runfold.testing.contract_scene import LONG, OTHER, WORKER, Contract, claim, event, member, new
from runfold.testing.contract_strategies import (
    BUCKETS,
    DICE,
    EVERY,
    PER,
    QUEUES,
    SCOPES,
    some_limits,
    some_row,
)
from runfold.testing.contract_words import NEVER

_T = TypeVar("_T")

RUNS = settings(
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    print_blob=False,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
"""How long the machine runs, and always the same way."""


class Machine(RuleBasedStateMachine):
    """Does the same to a store and to the model."""

    def __init__(self, store: Store, runner: asyncio.Runner) -> None:
        super().__init__()
        self._runner = runner
        self._store, self._model = store, Model()
        self._number, self._names = 0, 0
        self._floors: dict[tuple[int, str, Sequence[Target]], Sequence[int]] = {}

    # --- what is done

    @initialize(dice=DICE)
    def begin(self, dice: Random) -> None:
        """Set limits for everything, or for some."""
        for token in (WORKER, OTHER):
            self._join(token)
        for scope in SCOPES:
            self._limit(scope, some_limits(dice, scope))

    @rule(dice=DICE)
    def work(self, dice: Random) -> None:
        """Do nothing but work."""
        self._work(dice)

    @rule(dice=DICE)
    def start_late(self, dice: Random) -> None:
        """Start a run with a job that cannot be claimed, or with a timer."""
        if dice.random() < 0.5:
            self._start([[some_row(dice)]], gate=Gate.PAUSED)
        else:
            self._start([[some_row(dice, kind="start")]], gate=None)
        self._work(dice)

    @precondition(lambda self: self._due())
    @rule(dice=DICE)
    def fire(self, dice: Random) -> None:
        """Let a due timer become a job."""
        timer = self._due()[0]
        done = self._commit([Item([event()], timer.stream, timer=timer.id)])
        del self._model.timers[timer.id]
        job = Known(done.outcomes[0].position, timer.stream, timer.row)
        job.was_paused = job.stream in self._model.shut
        self._model.jobs[job.id] = job
        self._work(dice)

    @precondition(lambda self: self._model.leased())
    @rule(dice=DICE)
    def hold_off(self, dice: Random) -> None:
        """Complete a leased job that was told to wait."""
        self._finish([dice.choice(self._model.leased())], dice.choice([3.0, 20.0]))
        self._work(dice)

    @precondition(lambda self: self._model.leased())
    @rule(dice=DICE)
    def stall(self, dice: Random) -> None:
        """Take a job from a holder that was swept, and try again; the holder is back at once."""
        job, made = dice.choice(self._model.leased()), some_row(dice)
        assert job.holder is not None
        self._run(self._store.leave(job.holder))
        done = self._commit([Item([event()], job.stream, stalled=job.id, rows=[made])])
        self._join(job.holder)
        del self._model.jobs[job.id]
        self._made(done.outcomes[0].position, job.stream, made)
        self._work(dice)

    @precondition(lambda self: self._model.jobs)
    @rule(dice=DICE)
    def remove(self, dice: Random) -> None:
        """Drop one activation of a run, or clear all of it."""
        job, clears = dice.choice(list(self._model.jobs.values())), dice.random() < 0.5
        drops = () if clears else [(job.row.step, job.row.activation)]
        self._commit([Item([event()], job.stream, clears=clears, drops=drops)])
        for kept in (self._model.jobs, self._model.timers):
            for other in list(kept.values()):
                if other.stream == job.stream and (clears or other.row.step == job.row.step):
                    del kept[other.id]
        self._work(dice)

    @precondition(lambda self: self._model.jobs)
    @rule(dice=DICE)
    def turn_gate(self, dice: Random) -> None:
        """Pause a run, or resume it."""
        jobs = list(self._model.jobs.values())
        stream = dice.choice(jobs).stream
        shuts = stream not in self._model.shut
        gate = Gate.PAUSED if shuts else Gate.OPEN
        self._commit([Item([event()], stream, gate=gate)])
        self._model.shut ^= {stream}
        for job in jobs:
            job.was_paused |= job.stream == stream
        self._work(dice)

    @rule(dice=DICE)
    def limit(self, dice: Random) -> None:
        """Set, change or take away the limits of a scope."""
        scope = dice.choice(SCOPES)
        self._limit(scope, some_limits(dice, scope))
        self._work(dice)

    @rule(dice=DICE)
    def close(self, dice: Random) -> None:
        """Close something for a time or until it is opened, or open it."""
        bucket = dice.choice(BUCKETS)
        if bucket in self._model.closures:
            until = None
        else:
            span = dice.choice([0, 5, 15, None])
            until = NEVER if span is None else self._model.now + timedelta(seconds=span)
        self._commit([self._settings(closures=[Closure(bucket, until)])])
        self._model.closures.pop(bucket, None)
        if until is not None:
            self._model.closures[bucket] = until
        self._work(dice)

    @rule(dice=DICE)
    def wait(self, dice: Random) -> None:
        """Let time pass."""
        self._model.now += timedelta(seconds=dice.choice([0.5, 3.0, 10.0]))
        self._work(dice)

    # --- work, after everything that is done: without it, most of that would mean nothing

    def _work(self, dice: Random) -> None:
        deeds = (self._start_some, self._claim_some, self._poll, self._finish_some)
        for deed in dice.choices(deeds, weights=(1, 2, 1, 2), k=3):
            deed(dice)

    def _start_some(self, dice: Random) -> None:
        runs = dice.randint(2, 6)
        self._start([[some_row(dice) for _ in range(dice.choice([1, 1, 2]))] for _ in range(runs)])

    def _finish_some(self, dice: Random) -> None:
        self._finish([job for job in self._model.leased() if dice.random() < 0.4], None)

    def _join(self, token: int) -> None:
        self._run(self._store.join(member(token), LONG, now=self._model.now))

    def _finish(self, jobs: list[Known], seconds: float | None) -> None:
        items = [
            Item([event()], job.stream, lease=(job.id, job.holder), frees=True, holds=seconds)
            for job in jobs
            if job.holder is not None
        ]
        self._commit(items)
        for job in jobs:
            if seconds is not None:
                until = self._model.now + timedelta(seconds=seconds)
                for bucket in (*job.row.limits, *self._model.whole(job.row.queue)[1:]):
                    closed = self._model.closures.get(bucket, until)
                    self._model.closures[bucket] = max(until, closed)
            del self._model.jobs[job.id]

    def _limit(self, scope: str, limits: tuple[Limit, ...]) -> None:
        self._commit([self._settings(limits=[(scope, limits)])])
        self._model.limits[scope] = limits

    def _poll(self, dice: Random) -> None:
        """Claim as a worker does that serves everything."""
        for queue in dice.sample(QUEUES, k=2):
            self._claim(claim(9, WORKER, queue, targets=EVERY), from_floors=True)

    def _claim_some(self, dice: Random) -> None:
        queue, limit = dice.choice("qqr"), dice.choice([3, 1, 1, 2, 9, 0])
        targets = EVERY if dice.random() < 0.7 else EVERY[:1]
        asked = claim(limit, dice.choice([WORKER, OTHER]), queue, targets=targets)
        self._claim(asked, from_floors=dice.random() < 0.7)

    def _claim(self, asked: Claim, *, from_floors: bool) -> None:
        """Claim, from where the last claim of this worker ended or from the beginning."""
        place = (asked.token, asked.queue, asked.targets)
        if from_floors:
            asked = asked._replace(floors=self._floors.get(place, ()))
        done = self._commit([], [asked])
        for job in done.jobs:
            self._model.start(job, asked.queue, asked.targets, asked.token)
        (served,) = done.served
        self._floors[place] = served.floors
        assert len(done.jobs) <= asked.limit
        if len(done.jobs) < asked.limit and served.wait != 0:
            self._check_rest(asked, served)

    def _check_rest(self, asked: Claim, served: Served) -> None:
        """Check that nothing was left that could have been taken, and when to look again."""
        left = [self._model.opens_at(job) for job in self._model.must(asked.queue, asked.targets)]
        moments = [moment for moment in left if moment is not None]
        now = self._model.now
        assert all(moment > now for moment in moments), "a job was left behind"
        if moments:
            assert served.wait is not None, "nobody will look again"
            assert now + timedelta(seconds=served.wait) <= min(moments), "too late"

    def teardown(self) -> None:
        """Open and finish everything: at last all jobs are served."""
        self._look()
        model = self._model
        model.now += timedelta(seconds=PER * 10)
        settings_of_all = self._settings(
            limits=[(scope, ()) for scope in SCOPES],
            closures=[Closure(bucket, None) for bucket in model.closures],
        )
        gates = [Item([event()], stream, gate=Gate.OPEN) for stream in sorted(model.shut)]
        frees = [
            Item([event()], job.stream, lease=(job.id, job.holder), frees=True)
            for job in model.leased()
            if job.holder is not None
        ]
        self._commit([settings_of_all, *gates, *frees])
        waiting = {job.id for job in model.jobs.values() if job.holder is None}
        served: set[int] = set()
        for queue in QUEUES:
            done = self._commit([], [claim(1000, WORKER, queue, targets=EVERY)])
            served |= {job.id for job in done.jobs}
        assert served == waiting
        self._run(self._store.close())

    # --- how

    def _start(self, runs: list[list[Row]], gate: Gate | None = None) -> None:
        items = []
        for made in runs:
            self._names += 1
            rows = [each._replace(event=place) for place, each in enumerate(made)]
            items.append(new(f"{self._names}", *[event() for _ in rows], rows=rows, gate=gate))
        for item, outcome in zip(items, self._commit(items).outcomes, strict=True):
            if gate is not None:
                self._model.shut.add(outcome.stream)
            for each in item.rows:
                self._made(outcome.position + each.event, outcome.stream, each)

    def _made(self, number: int, stream: int, made: Row) -> None:
        kept = self._model.jobs if made.kind is None else self._model.timers
        kept[number] = Known(number, stream, made)
        kept[number].was_paused = stream in self._model.shut
        if made.kind is not None:
            due = self._model.now + timedelta(seconds=made.delay or 0)
            kept[number].row = made._replace(due_at=due)

    def _due(self) -> list[Known]:
        return [
            timer
            for timer in self._model.timers.values()
            if timer.row.due_at is not None and timer.row.due_at <= self._model.now
        ]

    def _settings(self, **said: Any) -> Item:
        self._names += 1
        return new(f"{self._names}", flow=None, **said)

    def _commit(self, items: list[Item], claims: Sequence[Claim] = ()) -> Committed:
        """Commit one batch; some of them twice, as after a lost answer."""
        self._number += 1
        batch = Batch(1, self._number, items, claims, self._model.now)
        done = self._run(self._store.commit(batch))
        assert [outcome.refusal for outcome in done.outcomes] == [None] * len(items)
        if not self._number % 4:
            again = self._run(self._store.commit(batch))
            # A claim that changed nothing need not be remembered.
            assert again.repeated or not (items or done.jobs or again.jobs)
        return done

    def _run(self, awaitable: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(awaitable)

    def _look(self) -> None:
        """Compare the listings."""
        states = {state.name: state for state in self._run(self._store.queues(now=self._model.now))}
        for queue in QUEUES:
            jobs = [job for job in self._model.jobs.values() if job.row.queue == queue]
            free = sum(1 for job in jobs if job.holder is None)
            timers = [t for t in self._model.timers.values() if t.row.queue == queue]
            found = states.get(queue)
            told = (found.ready + found.blocked, found.leased, found.delayed) if found else (0,) * 3
            assert told == (free, len(jobs) - free, len(timers))


class MachineContract(Contract):
    """Random work under random limits."""

    machine_runs: int = 40
    """How often the machine begins anew; each time with a namespace of its own."""

    def test_any_order_of_work_keeps_every_limit_and_leaves_nothing(self, store: Store) -> None:
        with asyncio.Runner() as runner:
            runner.run(store.open(migrate=True))
            namespaces = iter(range(10**6))

            class Fresh(Machine):
                """Each run begins with a namespace of its own."""

                def __init__(self) -> None:
                    neighbour = store.attach(f"machine {next(namespaces)}")
                    runner.run(neighbour.open())
                    super().__init__(neighbour, runner)

            run_state_machine_as_test(
                Fresh, settings=settings(RUNS, max_examples=self.machine_runs)
            )
            runner.run(store.close())
