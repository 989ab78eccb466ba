"""One simulated process: the real node with all its roles, on a host that can be killed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from runfold.client.catalog import Catalog
from runfold.define.handler import Handler
from runfold.ports import Codec, Committed, Ids
from runfold.runtime.node import ROLES, Node, Work
from runfold.settings import Settings
from runfold.store.memory_log import Database
from runfold.testing.simulation.calls import Spy
from runfold.testing.simulation.loop import Host, Strand, VirtualLoop, VirtualTask
from runfold.testing.simulation.machine import SimulatedMachine
from runfold.testing.simulation.store import Doorbells, HostClock, HostStore, StoreClock


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all processes of one simulation share."""

    loop: VirtualLoop
    settings: Settings
    codec: Codec
    ids: Ids
    clock: StoreClock
    database: Database
    bells: Doorbells
    spy: Spy
    catalog: Catalog
    handlers: Mapping[tuple[str, str], Handler]
    deps: Any
    is_alone: bool
    on_commit: Callable[[Committed], None]


class Process:
    """A process of one name; after a crash it begins again, as another host."""

    def __init__(self, world: Surroundings, name: str, root: Context) -> None:
        self._world, self.name, self._root = world, name, root
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
        """Whether nothing is on its way to the store."""
        return self.node is None or not self.is_up or self.node.appender.idle

    @property
    def token(self) -> int | None:
        """The token of its leases, None while it has none."""
        membership = self.node.membership if self.node is not None and self.is_up else None
        return None if membership is None else membership.token

    def boot(self) -> None:
        """Start it."""
        world = self._world
        self.host = Host(self.name)
        context = self._root.copy().run(Strand(self.host).context)
        world.loop.call_soon(self._build, world, self.host, context=context)

    def _build(self, world: Surroundings, host: Host) -> None:
        self._store = HostStore(
            world.settings, world.clock, world.database, world.bells,
            is_alone=world.is_alone, on_commit=world.on_commit,
        )  # fmt: skip
        machine = SimulatedMachine(world.loop, host, world.spy, world.settings.threads)
        self._machines.append(machine)
        self.node = Node(
            self._store, world.codec, world.settings, HostClock(world.loop.awake), world.ids,
            machine,
        )  # fmt: skip
        world.bells.add(self._store)
        self.node.service.spawn(self._serve(self.node))

    async def _serve(self, node: Node) -> None:
        world = self._world
        await node.start()
        for definition in world.catalog.definitions():
            await node.definitions.define(definition, node.appender)
        slots = world.catalog.slots(None, world.settings.slots)
        await node.serve(ROLES, Work(handlers=world.handlers, slots=slots, deps=world.deps))

    def kill(self) -> None:
        """End it as ``kill -9`` does: nothing of it runs any more, nobody is told."""
        if self.host is None:
            return
        # Kept as they are: whatever collects them would run their ``finally`` blocks.
        self._left += self._world.loop.tasks_of(self.host)
        self._world.loop.kill(self.host)
        if self.node is not None:
            self._world.bells.remove(self._store)
            if self.node.worker is not None:
                self.node.executor.close()
        self.host = self.node = None

    def close(self) -> None:
        """End what is left of it, at the end of the simulation."""
        self.kill()
        for machine in self._machines:
            machine.pool.close()

    def look_at_time(self) -> None:
        """Have its timekeeper ask the store anew what is due."""
        if self.node is not None and self.is_up and self.node.timekeeper is not None:
            self.node.timekeeper.look()
            self.node.timer_bell.ring()

    def ask_dispatcher(self) -> None:
        """Have its dispatcher look at the log."""
        if self.node is not None and self.is_up and self.node.dispatcher is not None:
            self.node.dispatcher.bell.ring()
