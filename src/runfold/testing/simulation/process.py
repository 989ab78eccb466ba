"""One simulated process: the real node with all its roles, on a host that can be killed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from runfold.client.catalog import Catalog
from runfold.define.handler import Handler
from runfold.ports import Codec, Committed, Ids
from runfold.runtime.bell import Bell
from runfold.runtime.node import ROLES, Node, Work
from runfold.settings import Settings, seconds
from runfold.store.memory_lanes import Work as Leased
from runfold.store.memory_log import Database
from runfold.testing.simulation.accidents import Accidents
from runfold.testing.simulation.calls import Spy
from runfold.testing.simulation.faults import Chaos
from runfold.testing.simulation.loop import VirtualLoop, VirtualTask
from runfold.testing.simulation.machine import SimulatedMachine
from runfold.testing.simulation.store import Doorbells, HostClock, HostStore, LogView, StoreClock
from runfold.testing.simulation.strands import Host, Strand
from runfold.testing.simulation.tables import Tables

LOOK_EVERY = 5.0
"""Seconds after which a doorbell looks at the store although nobody rang."""
LEARNS_AFTER = 1.0
"""Seconds until a process tries to renew its lease after the clock has jumped."""
UNAWARE = 5.0
"""For how many seconds a process whose lease was ended goes on working without knowing it."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all processes of one simulation share."""

    loop: VirtualLoop
    settings: Settings
    codec: Codec
    seed: int
    ids: Callable[[str], Ids]
    """Those of the process of that name."""
    clock: StoreClock
    database: Database
    bells: Doorbells
    spy: Spy
    catalog: Catalog
    handlers: Mapping[tuple[str, str], Handler]
    deps: Any
    is_alone: bool
    on_commit: Callable[[Committed], None]
    chaos: Chaos
    view: LogView
    tables: Tables | None
    attempts_max: Callable[[Leased], int]
    """How many attempts the step of a job has."""
    processes: list[Process] = field(default_factory=list)

    def all_spared(self, more: int = 0) -> bool:
        """Whether the loss of all leases, and of as many ``more``, would end a step for good."""
        return self._is_spared(None, more)

    def is_spared(self, token: int | None, more: int = 0) -> bool:
        """Whether the loss of what ``token`` holds would end a step for good."""
        return token is not None and self._is_spared(token, more)

    def _is_spared(self, token: int | None, more: int = 0) -> bool:
        if not self.chaos.spare_last_attempt:
            return False
        leased = self.view.leased_by(token)
        return any(job.row.attempt + more >= self.attempts_max(job) for job in leased)

    def jump(self, span: float) -> None:
        """Move the store's clock; processes learn a second later what became of their leases."""
        self.clock.jumped += span
        for process in self.processes:
            process.renew_soon()

    def crash_all(self, pause: float) -> None:
        """Let every process die at once."""
        for process in self.processes:
            process.crash(pause)


class Process:
    """A process of one name; after a crash it begins again, as another host."""

    def __init__(self, world: Surroundings, name: str, root: Context) -> None:
        self._world, self.name, self._root = world, name, root
        self.lease = seconds(world.settings.lease)
        self._births = 0
        around = Host(f"around {name}", world.seed)
        self._outside = root.copy().run(Strand(around, "outside").context)
        self._ids = world.ids(name)
        self._left: list[VirtualTask] = []
        """What dead hosts were doing; closed at the very end."""
        self.host: Host | None = None
        self.node: Node | None = None
        self._machines: list[SimulatedMachine] = []

    @property
    def is_up(self) -> bool:
        """Whether it runs: neither killed nor frozen."""
        return self.host is not None and self.host.is_up

    @property
    def is_leading(self) -> bool:
        """Whether it runs and its dispatcher leads and has nothing left to decide."""
        dispatcher = self.node.dispatcher if self.node is not None and self.is_up else None
        head = len(self._world.database.logs["default"].events)
        return dispatcher is not None and dispatcher.leading and dispatcher.caught_up(head)

    @property
    def has_written(self) -> bool:
        """Whether nothing is on its way to the store, and it knows all that it holds."""
        if self.node is None or not self.is_up:
            return True
        worker = self.node.worker
        return self.node.appender.idle and not (worker is not None and worker.misses)

    @property
    def token(self) -> int | None:
        """The token of its leases, None while it has none."""
        membership = self.node.membership if self.node is not None and self.is_up else None
        return None if membership is None else membership.token

    def boot(self) -> None:
        """Start it, unless it runs."""
        if self.host is not None:
            return
        world = self._world
        self.host = Host(self.name, world.seed, self._births)
        self._births += 1
        context = self._root.copy().run(Strand(self.host, "boot").context)
        world.loop.call_soon(self._build, world, self.host, context=context)

    def _build(self, world: Surroundings, host: Host) -> None:
        self._accidents = accidents = Accidents(
            world.chaos, world.loop, self, context=self._outside, jump=world.jump,
            crash_all=world.crash_all, all_spared=world.all_spared,
        )  # fmt: skip
        self._store = HostStore(
            world.settings, world.clock, world.database, world.bells, accidents,
            is_alone=world.is_alone, on_commit=world.on_commit, tables=world.tables,
        )  # fmt: skip
        machine = SimulatedMachine(world.loop, host, world.spy, accidents, world.settings.threads)
        self._machines.append(machine)
        self.node = Node(
            self._store, world.codec, world.settings, HostClock(world.loop.awake), self._ids,
            machine,
        )  # fmt: skip
        machine.dispatcher = partial(getattr, self.node, "dispatcher")
        world.bells.add(self._store)
        self.node.service.spawn(self._serve(self.node))

    async def _serve(self, node: Node) -> None:
        world = self._world
        await node.start()
        if not world.is_alone:
            node.service.loop("doorbell", self._store.look, Bell(), _look_pause)
        for definition in world.catalog.definitions():
            await node.define(definition)
        for queue, limits in world.catalog.queue_limits().items():
            await node.queues.define(queue, limits)
        slots = world.catalog.slots(None, world.settings.slots)
        await node.serve(ROLES, Work(handlers=world.handlers, slots=slots, deps=world.deps))
        self._accidents.is_on = True

    # What may happen to it.

    def crash(self, pause: float | None) -> None:
        """Die now; begin again after ``pause`` seconds, never for None."""
        if self.host is None:
            return
        self.kill()
        if pause is not None:
            self._world.loop.call_later(pause, self.boot, context=self._outside)

    def freeze(self, span: float) -> None:
        """Stand still for ``span`` seconds."""
        host, loop = self.host, self._world.loop
        if host is not None and host.is_up:
            loop.freeze(host)
            loop.call_later(span, loop.thaw, host, context=self._outside)

    def lose_lease(self, *, is_forced: bool = False) -> None:
        """Be swept now; know it when the next renewal fails, ``UNAWARE`` seconds later."""
        if self.token is None or (self.is_spared(1) and not is_forced):
            return
        self._world.view.sweep(self.token)
        others = [one for one in self._world.processes if one is not self and one.is_up]
        for process in others or [self]:
            process.look_at_time(sweeps=True)
        self._accidents.deafen(UNAWARE)  # It would read in the log that its jobs have stalled.
        self.renew_soon(UNAWARE)

    def renew_soon(self, after: float = LEARNS_AFTER) -> None:
        """Try to renew the lease ``after`` seconds from now.

        Until then it claims under a token that may be over, and what it claims stalls.
        """
        if self._machines:
            renew = self._machines[-1].renew
            self._world.loop.call_later(after, renew, context=self._outside)

    def is_spared(self, more: int = 0) -> bool:
        """Whether the loss of its leases, and of as many ``more``, would end a step for good."""
        return self._world.is_spared(self.token, more)

    def kill(self) -> None:
        """End it as ``kill -9`` does: nothing of it runs any more, nobody is told."""
        if self.host is None:
            return
        # Kept as they are: whatever collects them would run their ``finally`` blocks.
        self._left += self._world.loop.tasks_of(self.host)
        self._world.loop.kill(self.host)
        if self.node is not None:
            self._world.bells.remove(self._store)
            if self._world.tables is not None:
                self._world.tables.end(self._accidents)
            if self.node.worker is not None:
                self.node.executor.close()
        self.host = self.node = None

    def close(self) -> None:
        """End what is left of it, at the end of the simulation."""
        self.kill()
        for machine in self._machines:
            machine.pool.close()

    def look_at_time(self, *, sweeps: bool = False) -> None:
        """Have all parts of it that go by time ask the store anew: time was skipped.

        ``sweeps``: also for leases that are over.
        """
        if self.node is None or not self.is_up:
            return
        if self.node.timekeeper is not None:
            self.node.timekeeper.look(sweeps=sweeps)
            self.node.timer_bell.ring()
        if self.node.worker is not None:
            self.node.worker.wake()
        if self.node.projector is not None:
            self.node.projector.look_again()

    def ask_dispatcher(self) -> None:
        """Have its dispatcher look at the log."""
        if self.node is not None and self.is_up and self.node.dispatcher is not None:
            self.node.dispatcher.bell.ring()


async def _look_pause() -> float:
    return LOOK_EVERY
