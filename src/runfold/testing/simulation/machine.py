"""The machine under a simulated process: its tasks are strands, its threads take turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from runfold.kernel.event import Draft
from runfold.ports import Clock
from runfold.runtime.bell import Bell
from runfold.runtime.context_facts import Spawn
from runfold.runtime.dispatcher import Dispatcher
from runfold.runtime.executor import Executor
from runfold.runtime.machine import Machine
from runfold.runtime.membership import Renewals, Renewing
from runfold.runtime.service import Pause, Service, Turn
from runfold.runtime.task import Task
from runfold.testing.simulation.accidents import Accidents
from runfold.testing.simulation.calls import Spy
from runfold.testing.simulation.lockstep import Pool
from runfold.testing.simulation.loop import VirtualLoop
from runfold.testing.simulation.strands import Host, Strand


class SimulatedMachine(Machine):
    """What one process of a simulation runs on."""

    def __init__(
        self, loop: VirtualLoop, host: Host, spy: Spy, accidents: Accidents, threads: int
    ) -> None:
        self._loop, self._host, self._spy, self._accidents = loop, host, spy, accidents
        self.dispatcher: Callable[[], Dispatcher | None] = lambda: None
        self._renewals: _Renewals | None = None
        self.pool = Pool(loop, threads)

    @property
    def name(self) -> str:
        """What the process is called in the log."""
        return self._host.name

    def service(self) -> Service:
        """Return what starts tasks, each as a strand."""
        return _Service(self._loop, self._host, self)

    def executor(self, *, spawn: Spawn, clock: Clock, threads: int) -> Executor:
        """Return what runs handlers, sync ones in turn with the loop."""
        executor = _Executor(spawn=spawn, clock=clock, threads=threads)
        executor.spy, executor.pool, executor.worker = self._spy, self.pool, self.name
        executor.accidents = self._accidents
        return executor

    def watch(self, after: float) -> Callable[[], object]:
        """Watch nothing: no handler keeps a loop whose time is virtual."""
        del after
        return lambda: None

    async def before_turn(self, name: str) -> None:
        """Let faults hit the loop called ``name``."""
        await self._accidents.before_turn(name, self.dispatcher())

    def renewals(self, renewing: Renewing) -> Renewals:
        """Renew a lease on the loop."""
        self._renewals = _Renewals(self._loop, self._host, renewing)
        return self._renewals

    def renew(self) -> None:
        """Renew the lease now, whenever it was to be renewed."""
        if self._renewals is not None:
            self._renewals.soon()


class _Service(Service):
    def __init__(self, loop: VirtualLoop, host: Host, machine: SimulatedMachine) -> None:
        super().__init__()
        self._virtual, self._host, self._machine = loop, host, machine

    def _begun(
        self, coroutine: Coroutine[Any, Any, Any], context: Context | None, main: Any = None
    ) -> asyncio.Task[Any]:
        if context is None:
            name = getattr(main or coroutine, "__qualname__", "")
            context = Strand(self._host, name).context()
        return self._virtual.begun(coroutine, None, context)

    def loop(self, name: str, turn: Turn, bell: Bell, pause: Pause) -> asyncio.Task[Any]:
        async def met() -> bool:
            await self._machine.before_turn(name)
            return await turn()

        context = Strand(self._host, f"loop {name}", is_idling=True).context()
        return super().spawn(self._loop(name, met, bell, pause), context=context)


class _Executor(Executor):
    spy: Spy
    pool: Pool
    accidents: Accidents
    worker: str

    async def execute(self, task: Task) -> list[Draft]:
        dies = self.accidents.may_happen and await self.accidents.before_handler()
        if task.grip.aborted is not None:
            return []
        call = self.spy.begin(task, self.worker)
        drafts = await super().execute(task)
        call.end(drafts)
        if dies:
            await self.accidents.after_handler()
        return drafts

    def _thread_pool(self) -> Pool:
        return self.pool


class _Renewals:
    def __init__(self, loop: VirtualLoop, host: Host, renewing: Renewing) -> None:
        self._loop, self._renewing = loop, renewing
        self._context = Strand(host, "renewals", is_idling=True).context()
        self._renewer = renewing.open()
        self._timer = self._later(renewing.first)

    async def end(self) -> None:
        self._timer.cancel()
        self._renewer.close()

    def soon(self) -> None:
        """Renew now, unless it has ended."""
        if not self._timer.cancelled():
            self._timer.cancel()
            self._timer = self._later(0)

    def _later(self, pause: float) -> asyncio.TimerHandle:
        return self._loop.call_later(pause, self._renew, context=self._context)

    def _renew(self) -> None:
        pause = self._renewing.renew(self._renewer)
        if pause is not None:
            self._timer = self._later(pause)
