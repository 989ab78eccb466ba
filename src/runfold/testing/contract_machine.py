"""The contract of limits as a machine: whatever is done in whatever order, no limit is broken,
nothing that may start is left behind, and no claim sleeps too long."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
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

from runfold.flow.work import Gate
from runfold.ports import Batch, Claim, Closure, Committed, Item, Limit, Row, Served, Store
from runfold.testing.contract_model import Known, Model, Target
from runfold.testing.contract_scene import OTHER, WORKER, Contract, claim, event, new
from runfold.testing.contract_strategies import (
    BUCKETS,
    PER,
    QUEUES,
    SCOPES,
    TARGETS,
    rows,
    settings_of,
)
from runfold.testing.contract_words import NEVER

_T = TypeVar("_T")
EVERY = (("flow", "step"), ("flow", "other"))
"""The targets of a worker that serves everything."""

RUNS = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    print_blob=False,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
"""How long the machine runs; each run has a namespace of its own."""


class Machine(RuleBasedStateMachine):
    """Does the same to a store and to the model."""

    def __init__(self, store: Store, runner: asyncio.Runner) -> None:
        super().__init__()
        self._runner = runner
        self._store, self._model = store, Model()
        self._number, self._names = 0, 0
        self._floors: dict[tuple[int, str, Sequence[Target]], Sequence[int]] = {}

    # --- what is recorded

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Set limits for everything, or for some."""
        for scope in SCOPES:
            self._limit(scope, data.draw(settings_of(scope)))

    @rule(each=st.lists(st.lists(rows(), min_size=1, max_size=2), min_size=3, max_size=6))
    def start(self, each: list[list[Row]]) -> None:
        """Start some runs with jobs."""
        for made in each:
            self._start(made, gate=None)

    @rule(made=st.one_of(rows(), rows(kind="start")))
    def start_late(self, made: Row) -> None:
        """Start a run with a job that cannot be claimed, or with a timer."""
        self._start([made], gate=Gate.PAUSED if made.kind is None else None)

    @precondition(lambda self: self._due())
    @rule(data=st.data())
    def fire(self, data: st.DataObject) -> None:
        """Let a due timer become a job."""
        timer = data.draw(st.sampled_from(self._due()))
        done = self._commit([Item([event()], timer.stream, timer=timer.id)])
        del self._model.timers[timer.id]
        job = Known(done.outcomes[0].position, timer.stream, timer.row)
        job.was_paused = job.stream in self._model.shut
        self._model.jobs[job.id] = job

    @precondition(lambda self: self._model.leased())
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Complete a leased job."""
        self._finish(data.draw(st.sampled_from(self._model.leased())), None)

    @precondition(lambda self: self._model.leased())
    @rule()
    def finish_all(self) -> None:
        """Complete every leased job."""
        for job in self._model.leased():
            self._finish(job, None)

    @precondition(lambda self: self._model.leased())
    @rule(data=st.data(), seconds=st.sampled_from([3.0, 20.0]))
    def hold_off(self, data: st.DataObject, seconds: float) -> None:
        """Complete a leased job that was told to wait."""
        self._finish(data.draw(st.sampled_from(self._model.leased())), seconds)

    def _finish(self, job: Known, seconds: float | None) -> None:
        assert job.holder is not None
        lease = job.id, job.holder
        self._commit([Item([event()], job.stream, lease=lease, frees=True, holds=seconds)])
        if seconds is not None:
            until = self._model.now + timedelta(seconds=seconds)
            for bucket in (*job.row.limits, *self._model.whole(job.row.queue)[1:]):
                closed = self._model.closures.get(bucket, until)
                self._model.closures[bucket] = max(until, closed)
        del self._model.jobs[job.id]

    @precondition(lambda self: self._model.leased())
    @rule(data=st.data(), made=rows())
    def stall(self, data: st.DataObject, made: Row) -> None:
        """Take a job from a holder that never was a member, and try again."""
        job = data.draw(st.sampled_from(self._model.leased()))
        done = self._commit([Item([event()], job.stream, stalled=job.id, rows=[made])])
        del self._model.jobs[job.id]
        self._made(done.outcomes[0].position, job.stream, made)

    @precondition(lambda self: self._model.jobs)
    @rule(data=st.data(), clears=st.booleans())
    def remove(self, data: st.DataObject, clears: bool) -> None:
        """Drop one activation of a run, or clear all of it."""
        job = data.draw(st.sampled_from(list(self._model.jobs.values())))
        drops = () if clears else [(job.row.step, job.row.activation)]
        self._commit([Item([event()], job.stream, clears=clears, drops=drops)])
        for kept in (self._model.jobs, self._model.timers):
            for other in list(kept.values()):
                if other.stream == job.stream and (clears or other.row.step == job.row.step):
                    del kept[other.id]

    @precondition(lambda self: self._model.jobs)
    @rule(data=st.data())
    def turn_gate(self, data: st.DataObject) -> None:
        """Pause a run, or resume it."""
        jobs = self._model.jobs.values()
        stream = data.draw(st.sampled_from(sorted({job.stream for job in jobs})))
        shuts = stream not in self._model.shut
        gate = Gate.PAUSED if shuts else Gate.OPEN
        self._commit([Item([event()], stream, gate=gate)])
        self._model.shut ^= {stream}
        for job in jobs:
            job.was_paused |= job.stream == stream

    @rule(scope=st.sampled_from(SCOPES), data=st.data())
    def limit(self, scope: str, data: st.DataObject) -> None:
        """Set, change or take away the limits of a scope."""
        self._limit(scope, data.draw(settings_of(scope)))

    def _limit(self, scope: str, limits: tuple[Limit, ...]) -> None:
        self._commit([self._settings(limits=[(scope, limits)])])
        self._model.limits[scope] = limits

    @rule(
        bucket=st.sampled_from(BUCKETS),
        seconds=st.sampled_from([None, 0.0, 5.0, 15.0, float("inf")]),
    )
    def close(self, bucket: str, seconds: float | None) -> None:
        """Close something for a time or until it is opened, or open it."""
        until = None
        if seconds is not None:
            forever = seconds == float("inf")
            until = NEVER if forever else self._model.now + timedelta(seconds=seconds)
        self._commit([self._settings(closures=[Closure(bucket, until)])])
        self._model.closures.pop(bucket, None)
        if until is not None:
            self._model.closures[bucket] = until

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._model.now += timedelta(seconds=seconds)

    # --- what is claimed

    @rule(
        queue=QUEUES,
        limit=st.sampled_from([3, 1, 2, 9, 0]),
        known=TARGETS,
        token=st.sampled_from([WORKER, OTHER]),
        from_floors=st.booleans(),
    )
    def claim(
        self, queue: str, limit: int, known: Sequence[Target], token: int, from_floors: bool
    ) -> None:
        """Claim, from where the last claim of this worker ended or from the beginning."""
        self._claim(queue, limit, known, token, from_floors)

    @rule(token=st.sampled_from([WORKER, OTHER]))
    def poll(self, token: int) -> None:
        """Claim as a worker does that serves everything."""
        for queue in ("q", "r"):
            self._claim(queue, 9, EVERY, token, from_floors=True)

    def _claim(
        self, queue: str, limit: int, known: Sequence[Target], token: int, from_floors: bool
    ) -> None:
        place = (token, queue, known)
        floors = self._floors.get(place, ()) if from_floors else ()
        asked = claim(limit, token, queue, targets=known, floors=floors)
        done = self._commit([], [asked])
        for job in done.jobs:
            self._model.start(job, queue, known, token)
        (served,) = done.served
        self._floors[place] = served.floors
        assert len(done.jobs) <= limit
        if len(done.jobs) < limit and served.wait != 0:
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
        """Open and finish everything: at last all jobs are served, by one claim after another."""
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
        for queue in ("q", "r"):
            done = self._commit([], [claim(1000, WORKER, queue, targets=EVERY)])
            served |= {job.id for job in done.jobs}
        assert served == waiting
        self._run(self._store.close())

    # --- how

    def _start(self, made: list[Row], gate: Gate | None) -> None:
        self._names += 1
        placed = [each._replace(event=place) for place, each in enumerate(made)]
        item = new(f"{self._names}", *[event() for _ in made], rows=placed, gate=gate)
        outcome = self._commit([item]).outcomes[0]
        if gate is not None:
            self._model.shut.add(outcome.stream)
        for place, each in enumerate(placed):
            self._made(outcome.position + place, outcome.stream, each)

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

    @rule()
    def look(self) -> None:
        """Compare the listings."""
        states = {state.name: state for state in self._run(self._store.queues(now=self._now))}
        for queue in ("q", "r"):
            jobs = [job for job in self._model.jobs.values() if job.row.queue == queue]
            free = sum(1 for job in jobs if job.holder is None)
            timers = [t for t in self._model.timers.values() if t.row.queue == queue]
            found = states.get(queue)
            told = (found.ready + found.blocked, found.leased, found.delayed) if found else (0,) * 3
            assert told == (free, len(jobs) - free, len(timers))

    @property
    def _now(self) -> datetime:
        return self._model.now


class MachineContract(Contract):
    """Random work under random limits."""

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

            run_state_machine_as_test(Fresh, settings=RUNS)
            runner.run(store.close())
