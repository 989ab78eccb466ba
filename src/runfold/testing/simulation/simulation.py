"""A whole engine, or several processes of one, in virtual time, driven by a seed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar, overload

from runfold.client.catalog import Catalog
from runfold.define.flow import Flow
from runfold.define.handler import Handler
from runfold.define.queue import Queue
from runfold.define.target import Target
from runfold.errors import RunfoldError
from runfold.flow.definition import ACTIVATIONS_MAX, COMPENSATION_SUFFIX
from runfold.flow.retry import policy_of
from runfold.ports import Committed
from runfold.settings import Settings, Span
from runfold.store.codec import JsonCodec
from runfold.store.memory import MemoryStore
from runfold.store.memory_lanes import Work
from runfold.system import relaxed_collector
from runfold.testing.simulation import asked
from runfold.testing.simulation.calls import Call, Spy
from runfold.testing.simulation.desk import Desk, at_once
from runfold.testing.simulation.faults import Chaos, Fault, Faults
from runfold.testing.simulation.goal import Goal, Happened, Idle, Pacer, Passed, Stuck
from runfold.testing.simulation.hanging import Hung
from runfold.testing.simulation.process import Process, Surroundings
from runfold.testing.simulation.queues import SimulatedQueues
from runfold.testing.simulation.real_world import GuardedLoop, guarded, namespaces
from runfold.testing.simulation.report import report
from runfold.testing.simulation.run import SimulatedRun
from runfold.testing.simulation.seeds import SeededIds, stream
from runfold.testing.simulation.stage import Stage
from runfold.testing.simulation.store import (
    EPOCH,
    Doorbells,
    LogView,
    StoreClock,
    new_database,
)
from runfold.testing.simulation.strands import Host
from runfold.testing.simulation.stubs import Stub, replaced
from runfold.testing.simulation.tables import Tables, creator

In = TypeVar("In")
Out = TypeVar("Out")
GC_THRESHOLD = 200_000
"""After how many new objects garbage is collected: nothing here lives for long."""
STEPS_MAX = 2_000_000
"""How many callbacks may run in one call without anything being recorded."""

EVENTS_MAX = 5 * ACTIVATIONS_MAX
"""How many events may be recorded in one call: more than any one run that ends by itself."""


class Simulation:
    """The real engine over flows and queues, in virtual time; used with ``with``.

    ``seed``: everything that may happen in one order or another follows from it; the same seed
    gives the same events, byte for byte. ``deps``: what handlers get as ``ctx.deps``.
    ``tables``: what ``ctx.transaction()`` writes to: a function that creates them through the
    ``Connection`` of an empty SQLite database, which the simulation has for itself. ``stubs``:
    other handlers, made with ``stub``. ``faults``: what goes wrong; a plan, or what went wrong
    in another simulation (``faults`` of it), whole or in part. ``settings``: as of a
    ``Runfold``. ``processes``: how many processes work side by side, 1 to 16.

    Raises ``InvalidDefinition`` for a flow or a stub that cannot work.
    """

    def __init__(
        self,
        *targets: Flow[Any, Any] | Queue,
        seed: int = 1,
        deps: Any = None,
        tables: Callable[[Any], object] | None = None,
        stubs: Iterable[Stub] = (),
        faults: Faults | Sequence[Fault] | None = None,
        settings: Settings | None = None,
        processes: int = 1,
    ) -> None:
        self.seed = asked.whole(seed, "seed")
        self._settings = settings or Settings()
        flows = [one for one in targets if not isinstance(one, Queue)]
        queues = [one for one in targets if isinstance(one, Queue)]
        said: Any = (self._settings.retry, self._settings.timeout)
        self._catalog = Catalog(flows, queues, (), retry=said[0], timeout=said[1])
        self._catalog.seal()
        self._catalog.require_steps()
        self._deps, self._plan = deps, asked.plan(faults)
        self._count = asked.whole(processes, "processes", least=1, most=asked.PROCESSES_MAX)
        self._create = None if tables is None else creator(tables)
        self._given = replaced(self._catalog.handlers(), stubs)
        self._handlers = _simulated(self._given)
        self._steps = asked.Steps(self._catalog, self._handlers)
        self._open: contextlib.ExitStack | None = None

    # Beginning and end.

    def __enter__(self) -> Self:
        if self._open is not None:
            raise RunfoldError("this simulation is entered already; make another one")
        with contextlib.ExitStack() as stack:
            self._build(stack)
            stack.enter_context(relaxed_collector(max(GC_THRESHOLD, self._settings.gc_threshold)))
            stack.enter_context(guarded(namespaces(self._handlers.values())))
            stack.callback(self._stage.close)
            stack.callback(self._end)
            for process in self._processes:
                process.boot()
            self._world.chaos.begin()
            self._open = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        stack, self._open = self._open, None
        if stack is not None:
            stack.close()

    def _build(self, stack: contextlib.ExitStack) -> None:
        self._loop = loop = GuardedLoop(Host("outside", self.seed))
        stack.callback(loop.close)
        self._clock = StoreClock(loop.time)
        self._database, self._bells = new_database(), Doorbells()
        self._view = LogView(self._database, self._clock)
        self._spy = Spy(self._clock.now)
        self._tables = None
        if self._create is not None:
            apart = [key for key, handler in self._given.items() if handler.kind == "process"]
            chance = stream(self.seed, "tables")
            self._tables = Tables(self._create, now=self._clock.now, random=chance, apart=apart)
            stack.callback(self._tables.close)
        epoch = round(EPOCH.timestamp() * 1000)

        def millis() -> int:
            return epoch + int(loop.time() * 1000)

        def ids(whose: str) -> SeededIds:
            return SeededIds(stream(self.seed, f"ids of {whose}"), millis)

        codec = JsonCodec()
        self._world = Surroundings(
            loop=loop, settings=self._settings, codec=codec, ids=ids, clock=self._clock,
            seed=self.seed,
            database=self._database, bells=self._bells, spy=self._spy, catalog=self._catalog,
            handlers=self._handlers, deps=self._deps, is_alone=self._count == 1,
            on_commit=self._committed, view=self._view, attempts_max=self._attempts_max,
            tables=self._tables, chaos=Chaos(self.seed, self._plan, now=loop.time),
        )  # fmt: skip
        root = copy_context()
        self._processes = [
            Process(self._world, f"process-{number + 1}", root) for number in range(self._count)
        ]
        self._world.processes.extend(self._processes)
        store = MemoryStore(self._settings, clock=self._clock, database=self._database)
        self._desk = Desk(
            store, codec, self._settings, self._clock,
            SeededIds(stream(self._ids_seed(), "ids of the test"), millis),
            catalog=self._catalog, loop=loop, on_commit=self._bells.ring,
        )  # fmt: skip
        self._pacer = Pacer(loop, self._view, self._processes)
        loop.rest, loop.touched = self._pacer.rest, self._touched
        self._pacer.report = lambda what: report(what, self._view, self._desk, self._spy, loop)
        self._error: RuntimeError | None = None
        self._hung: Hung | None = None
        self._events_max = EVENTS_MAX
        self._stage = Stage()

    def _ids_seed(self) -> int:
        """Return what the ids of runs follow from."""
        return self.seed

    def _end(self) -> None:
        self._world.chaos.is_on = False
        for process in self._processes:
            process.close()
        if not self._stage.is_lost:
            self._stage.run(self._loop.unwind, stop=self._loop.stop, at=self._at)
            self._loop.close()

    # Runs.

    @overload
    def start(
        self, target: Target[In, Out], input: In = ..., **options: Any
    ) -> SimulatedRun[Out]: ...

    @overload
    def start(self, target: str, input: Any = ..., **options: Any) -> SimulatedRun[Any]: ...

    def start(self, target: Any, input: Any = None, **options: Any) -> SimulatedRun[Any]:
        """Record a new run and return it; nothing of it has begun yet.

        ``options`` and errors are those of ``Runfold.start``, without ``connection``.
        """
        self._check_open()
        if "connection" in options:
            raise ValueError("connection= has no meaning here: a simulation has no database")
        self._steps.require(target)
        run = at_once(self._desk.start(target, input, **options))
        return SimulatedRun(self._desk, run, self._catalog.result_of(target))

    def start_many(
        self, target: Any, inputs: Sequence[Any], **options: Any
    ) -> list[SimulatedRun[Any]]:
        """Record a run for each of ``inputs``, all or none, as ``Runfold.start_many``."""
        self._check_open()
        self._steps.require(target)
        runs = at_once(self._desk.start_many(target, inputs, **options))
        return [SimulatedRun(self._desk, run, self._catalog.result_of(target)) for run in runs]

    def connect(self) -> contextlib.AbstractContextManager[Any]:
        """Return a block with SQLAlchemy's ``Connection`` to the tables: what is committed there.

        What the test writes is committed when the block ends well. Nothing else happens inside
        of it: a simulation cannot be driven there.
        """
        self._check_open()
        if self._tables is None:
            raise RunfoldError("this simulation has no tables; give it what creates them: tables=")
        return self._tables.connect()

    @property
    def queues(self) -> SimulatedQueues:
        """The queues: ``pause``, ``resume``, ``limit`` and ``stats``, as of a ``Runfold``."""
        self._check_open()
        return SimulatedQueues(self._desk.queues)

    def calls(self, step: Any = None) -> list[Call]:
        """Return the calls of a step's handler so far, oldest first; None: of all steps.

        ``step``: its name, ``flow/step``, the handler itself, or a job.
        """
        self._check_begun()
        if step is None:
            return list(self._spy.calls)
        meant = self._steps.meant(step)
        return [call for call in self._spy.calls if (call.flow, call.step) in meant]

    # Time.

    @property
    def now(self) -> datetime:
        """The simulated moment; every simulation begins at the same."""
        self._check_begun()
        return self._clock.now()

    def advance(
        self, span: timedelta | float = 0.0, *, days: float = 0, hours: float = 0,
        minutes: float = 0, seconds: float = 0,
    ) -> None:  # fmt: skip
        """Let that much time pass, and everything happen that happens meanwhile."""
        given = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        total = asked.span(asked.span(span, "span") + given.total_seconds(), "what advance() takes")
        self._check_open()
        self._drive(Passed(self._loop.time() + total))

    def run_until_idle(self) -> None:
        """Return when nothing is ready, running, undecided or about to be tried again.

        Time passes as attempts need it: while handlers sleep, before retries, until the leases
        of dead processes are over, while a limit admits nothing. What a flow or a caller asked to
        wait - a delayed start, a deadline, a paused queue - still waits: ``advance``. Raises
        ``Stuck`` when a handler waits for what cannot happen, or when it goes on after 1,250,000
        events of one call.
        """
        self._drive(Idle())

    def until(self, step: Any, what: asked.What = "completed", *, times: int = 1) -> None:
        """Return when ``step`` has been ``what`` so often since the beginning, in any run.

        ``what``: ``scheduled``, ``started``, ``completed``, ``errored``, ``retry`` or
        ``failed``. Time passes as needed. Raises ``Stuck`` when it cannot happen any more.
        """
        self._check_open()
        name = self._steps.name_of(step, what, times)
        self._drive(Happened(self._view, name, f"step.{what}", times))

    # Faults.

    @property
    def faults(self) -> list[Fault]:
        """What went wrong so far, in order; the whole list, or some of it, as ``faults=`` of
        another simulation of the same seed goes wrong in the same way."""
        self._check_begun()
        return list(self._world.chaos.happened)

    def inject(self, kind: str, amount: float = 0.5, *, times: int = 1) -> None:
        """Have the next opportunity of ``kind`` (a field of ``Faults``) taken, ``times`` times.

        ``amount``, in [0, 1): how badly. It is taken whatever attempts are left.
        """
        if not 0 <= amount < 1:
            raise ValueError(f"amount is {amount!r}, expected 0 or more and less than 1")
        self._check_open()
        for _ in range(asked.whole(times, "times", least=1)):
            self._world.chaos.ask(kind, amount)

    def crash(self, process: int = 1, *, restart_after: Span | None = 1.0) -> None:
        """Let a process die now, as ``kill -9`` would; None: it does not come back."""
        pause = None if restart_after is None else asked.span(restart_after, "restart_after")
        self._process(process).crash(pause)

    def freeze(self, process: int = 1, *, seconds: Span) -> None:
        """Let a process stand still for that long, beginning now."""
        self._process(process).freeze(asked.span(seconds, "seconds"))

    def end_lease(self, process: int = 1) -> None:
        """Let the store sweep a process, which goes on working until it learns of it."""
        self._process(process).lose_lease(is_forced=True)

    def jump_clock(self, seconds: Span) -> None:
        """Move the clock of the store, ahead or back; that of the processes goes on."""
        self._check_open()
        self._world.jump(asked.span(seconds, "seconds", least=-asked.SPAN_MAX))

    def restart(self, *, after: Span = 1.0) -> None:
        """Let all processes die now and begin again."""
        self._check_open()
        self._world.crash_all(asked.span(after, "after"))

    def _process(self, number: int) -> Process:
        self._check_open()
        return self._processes[asked.whole(number, "process", least=1, most=self._count) - 1]

    def _attempts_max(self, job: Work) -> int:
        run = at_once(self._desk.engine.fold(job.stream))
        for step in run.definition.steps:
            if job.row.step in (step.name, step.name + COMPENSATION_SUFFIX):
                return policy_of(step.retry, run.retry).max_attempts
        return 1

    # Inside.

    def _drive(self, goal: Goal) -> None:
        self._check_open()
        if self._tables is not None and self._tables.is_in_use:
            raise RunfoldError("leave the block of sim.connect() before time passes")
        if self._stage.is_current:
            raise RunfoldError("a handler drives the simulation that it runs in; only a test can")
        self._pacer.goal = goal
        if self._hung is None:
            self._events_max = self._view.head + EVENTS_MAX
            try:
                self._stage.run(self._run, stop=self._loop.stop, at=self._at)
            except Hung as error:
                self._hung = error
        if self._hung is not None:
            raise self._hung
        touched, self._error = self._error, None
        if touched is not None:
            raise touched

    def _at(self) -> object:
        return self._loop.left, self._loop.time(), self._view.head

    def _run(self) -> None:
        goal, loop = self._pacer.goal, self._loop
        loop.left = STEPS_MAX
        if goal is not None and not goal.is_met(is_idle=False):
            loop.run_forever()
        if loop.left <= 0:
            what = f"{STEPS_MAX} callbacks ran and recorded nothing"
            if self._view.head >= self._events_max:
                what = f"{EVENTS_MAX} events were recorded in one call, and it goes on"
            raise Stuck(self._pacer.report(what))

    def _committed(self, committed: Committed) -> None:
        loop, goal = self._loop, self._pacer.goal
        if committed.first_position:
            loop.left = STEPS_MAX if committed.first_position < self._events_max else 0
            if goal is not None and goal.is_met(is_idle=False):
                loop.stop()

    def _touched(self, error: RuntimeError) -> None:
        if isinstance(error, Hung):
            self._hung = error
        else:
            self._error = self._error or error
        self._loop.stop()

    def _check_begun(self) -> None:
        if not hasattr(self, "_world"):
            raise RunfoldError("this simulation was not entered yet: use `with Simulation(...)`")

    def _check_open(self) -> None:
        if self._open is None:
            raise RunfoldError("this simulation is not entered: use `with Simulation(...) as sim:`")


def _simulated(handlers: dict[tuple[str, str], Handler]) -> dict[tuple[str, str], Handler]:
    """Return ``handlers`` with those that ask for a process as sync ones: there is but one."""
    return {
        key: replace(handler, kind="thread") if handler.kind == "process" else handler
        for key, handler in handlers.items()
    }
