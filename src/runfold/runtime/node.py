"""One process of the engine: which parts it runs, how they wake each other, how they stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from runfold.define.handler import Handler
from runfold.flow.definition import FlowDefinition
from runfold.kernel.event import Recorded
from runfold.ports import Batch, Clock, Codec, Ids, InboxRow, Item, Store
from runfold.projections.projection import Projection
from runfold.runtime.appender import Appender
from runfold.runtime.bell import Bell
from runfold.runtime.definitions import Definitions
from runfold.runtime.dispatcher import Dispatcher
from runfold.runtime.erasure import Erasure
from runfold.runtime.facts import Facts
from runfold.runtime.hub import Hub
from runfold.runtime.machine import Machine
from runfold.runtime.membership import Membership
from runfold.runtime.preparation import Preparation
from runfold.runtime.projector import Projector
from runfold.runtime.queues import Queues
from runfold.runtime.runs import Runs
from runfold.runtime.starter import Starter
from runfold.runtime.tail import Tail
from runfold.runtime.timekeeper import Timekeeper
from runfold.runtime.within import Within
from runfold.runtime.worker import Worker
from runfold.settings import Settings, seconds

ROLES = frozenset({"dispatcher", "worker", "timekeeper", "projector"})
"""What a process can do; a client does none of it."""
FLUSH_MAX = 5.0
"""How many seconds leaving waits for what is on its way to a database that may be away."""
SAFETY = 5.0
"""Seconds after which a loop looks at the store although no bell rang."""
TICK = 1.0
"""The longest pause of a timekeeper, in seconds: so long a start in the inbox may wait."""

_log = logging.getLogger("runfold")


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the workers of a process can do."""

    handlers: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    slots: Mapping[str, int] = field(default_factory=dict)
    deps: Any = None
    projections: Sequence[Projection[Any]] = ()


class Node:
    """The parts of one process and the order in which they start and stop."""

    def __init__(
        self,
        store: Store,
        codec: Codec,
        settings: Settings,
        clock: Clock,
        ids: Ids,
        machine: Machine | None = None,
    ) -> None:
        self.machine = machine or Machine()
        self.store, self.codec, self.settings = store, codec, settings
        self.clock, self.ids = clock, ids
        self.bell, self.timer_bell, self.hub_bell = Bell(), Bell(), Bell()
        self.service = self.machine.service()
        self.service.on_rewound = self._rewound
        self.definitions = Definitions(store, codec, store.identity)
        self.appender = Appender(store, codec, settings, appender=ids.token(), clock=clock)
        self.appender.on_rewound = self._rewound
        self.appender.on_repeated = self.poke
        self.queues = Queues(store, codec, store.identity, self.appender)
        self.starter = Starter(store, self.appender, self.definitions, ids)
        self.dispatcher: Dispatcher | None = None
        self.worker: Worker | None = None
        self.timekeeper: Timekeeper | None = None
        self.projector: Projector | None = None
        self.membership: Membership | None = None
        self.preparation: Preparation | None = None
        self.hub: Hub | None = None
        self._unwatch: Callable[[], object] = lambda: None
        self._tails: list[Tail] = []
        self._remote = False

    async def start(self) -> None:
        """Start what every process has: the appender, the doorbell, the hub."""
        self.appender.see(await self.store.now())
        self.hub = Hub(self.store, self.codec, position=await self.store.head())
        self.hub.on_queues = self.queues.learn
        self._tails.append(self.hub.tail)
        self.appender.sinks.append(self._tell_hub)
        self.appender.after_commit.append(self._committed)
        self._appending = self.service.spawn(self.appender.run())
        self.service.loop("hub", self.hub.turn, self.hub_bell, self._safety)
        self.service.spawn(self._listen())

    async def define(self, definition: FlowDefinition) -> None:
        """Record ``definition`` unless it is what was served last under its name."""
        await self.definitions.define(definition, self.appender)
        for step in definition.steps:
            if step.limits or step.queue_keys:
                self.queues.limit_steps(step.queue)

    async def serve(self, roles: frozenset[str], work: Work) -> None:
        """Start these roles."""
        lease = seconds(self.settings.lease)
        self.membership = Membership(
            self.store, self.clock,
            name=self.machine.name, roles=" ".join(sorted(roles)),
            tokens=self.ids.token, lease=lease, renewals=self.machine.renewals,
        )  # fmt: skip
        await self.membership.join()
        if "projector" in roles and work.projections:
            await self._start_projector(work, lease)
        if "dispatcher" in roles:
            self._start_dispatcher(lease)
        if "worker" in roles:
            await self.queues.open(work.slots)
            self._start_worker(work)
        if "timekeeper" in roles:
            self._start_timekeeper(lease)

    def _start_dispatcher(self, lease: float) -> None:
        tail = Tail(self.store, self.codec, position=0)
        runs = Runs(self.store, self.codec, self.definitions, chains=self.settings.chain)
        assert self.membership is not None
        self.dispatcher = Dispatcher(
            self.store, self.store, self.store, self.appender, runs, self.clock,
            tail=tail, tokens=self.ids.token, lease=lease,
            grace=seconds(self.settings.grace),
        )  # fmt: skip
        self._add_tail(tail)
        self.service.loop(
            "dispatcher", self.dispatcher.turn, self.dispatcher.bell, self._dispatcher_pause
        )

    def _start_worker(self, work: Work) -> None:
        assert self.membership is not None
        facts = Facts(self.store, self.codec)
        self.appender.sinks.append(facts.push)
        if self.dispatcher is not None:
            self.dispatcher.tail.on_read = facts.learn
        self.executor = self.machine.executor(
            spawn=self.service.spawn, clock=self.clock, threads=self.settings.threads
        )
        self.preparation = Preparation(
            self.store, self.codec, self.definitions, facts, self.executor, self.appender,
            handlers=work.handlers, transactions=self.store, deps=work.deps,
        )  # fmt: skip
        self.worker = Worker(
            self.store, self.appender, self.preparation, self.membership, self.codec, self.clock,
            slots=work.slots, targets=sorted(work.handlers), launch=self.service.launch,
            check_every=seconds(self.settings.poll_max), grace=seconds(self.settings.grace),
            holds_back=self.queues.holds_back, dispatcher=self.dispatcher,
            within=Within(self.appender, self.clock, self.ids.token, self.poke),
        )  # fmt: skip
        self._unwatch = self.machine.watch(seconds(self.settings.blocking_warn))
        self.appender.worker = self.membership.member.name
        self.membership.on_lost = partial(
            _ring_from_thread, asyncio.get_running_loop(), self.worker.bell
        )
        self.appender.claimer = self.worker
        self.service.loop("worker", self.worker.turn, self.worker.bell, self._worker_pause)

    def _start_timekeeper(self, lease: float) -> None:
        self.timekeeper = Timekeeper(
            self.store, self.store, self.store, self.store,
            Erasure(self.store, self.store, self.codec), self.appender, self.clock,
            accept=self._accept, lease=lease,
        )  # fmt: skip
        self.service.loop("timekeeper", self.timekeeper.turn, self.timer_bell, self._timer_pause)

    async def _start_projector(self, work: Work, lease: float) -> None:
        projector = Projector(
            self.store, self.store.views, self.codec, self.clock, work.projections,
            tokens=self.ids.token, lease=lease,
        )  # fmt: skip
        await projector.ownership.check()
        self.projector = projector
        self.appender.sinks.append(projector.push)
        self.service.loop("projector", projector.turn, projector.bell, projector.pause)

    async def stop(self, *, drain: float, force: asyncio.Event | None = None) -> None:
        """Stop claiming, wait up to ``drain`` seconds for handlers, give back the rest.

        ``force``: set by whoever does not want to wait any longer.
        """
        if self.worker is not None:
            self.worker.stop()
            await self._drain(self.worker, drain, force)
            await self.worker.release()
        if self.dispatcher is not None:
            await self._quietly(self.dispatcher.resign())
        self.appender.close()
        await asyncio.wait((self._appending,), timeout=FLUSH_MAX)
        if self.projector is not None:
            await self._quietly(asyncio.wait_for(self.projector.leave(), FLUSH_MAX))
        await self.service.stop()
        if self.dispatcher is not None:
            await self._quietly(self.dispatcher.resign())
        self._unwatch()
        if self.worker is not None:
            self.executor.close()
        if self.membership is not None:
            await self._quietly(self.membership.leave())

    async def idle(self) -> bool:
        """True when nothing is ready, leased, undecided or on its way."""
        if not self.appender.idle or (self.worker is not None and not self.worker.idle):
            return False
        if await self.store.inbox(1):
            return False
        for queue, (ready, leased) in (await self.store.counts()).items():
            if leased or (ready and (self.worker is None or not self.worker.waits(queue))):
                return False
        head = await self.store.head()
        if self.dispatcher is not None and not self.dispatcher.caught_up(head):
            self.dispatcher.bell.ring()  # What was recorded with its decisions did not wake it.
            return False
        return await self._is_projected(head)

    async def _is_projected(self, head: int) -> bool:
        """Return whether every view that somebody keeps has everything up to ``head``."""
        if self.projector is not None and not self.projector.caught_up(head):
            self.projector.bell.ring()
            return False
        return all(
            view.position >= head or view.state != "live" or view.token is None
            for view in await self.store.views.parts()
            if self.projector is None or self.projector.reached(view.at.name) is None
        )

    def poke(self) -> None:
        """Have every part look at the store: another process may have appended."""
        for tail in self._tails:
            tail.stale = True
        self.bell.ring()
        self.hub_bell.ring()
        if self.timekeeper is not None:
            self.timekeeper.look()
        self.timer_bell.ring()
        if self.dispatcher is not None:
            self.dispatcher.bell.ring()
        if self.worker is not None:
            self.worker.wake()
        if self.projector is not None:
            self.projector.look()

    def tail(self, position: int) -> Tail:
        """Return a reader that is fed from here; ``drop_tail`` it afterwards."""
        tail = Tail(self.store, self.codec, position=position)
        self._add_tail(tail)
        return tail

    def drop_tail(self, tail: Tail) -> None:
        """Feed this reader no longer."""
        self._tails.remove(tail)
        self.appender.sinks.remove(tail.push)

    def _add_tail(self, tail: Tail) -> None:
        self._tails.append(tail)
        self.appender.sinks.append(tail.push)

    def _committed(self, batch: Batch) -> None:
        """After a commit of this process: wake those for whom there may be work."""
        self.bell.ring()
        moves = hurries = changes = False
        for item in batch.items:
            moves = moves or _moves(item)
            changes = changes or bool(item.changes)
            if self.timekeeper is not None:
                for row in item.rows:
                    hurries = hurries or self.timekeeper.hurries(row)
        if moves and self.dispatcher is not None:
            self.dispatcher.bell.ring()
        if hurries:
            self.timer_bell.ring()
        if changes and self.timekeeper is not None:
            self.timekeeper.look()
            self.timer_bell.ring()
        if not self.store.in_process and not self._remote:
            self._remote = True
            self.service.spawn(self._ring())

    def _tell_hub(self, recorded: list[Recorded]) -> None:
        if self.hub is not None and self.hub.push(recorded):
            self.hub_bell.ring()

    async def _ring(self) -> None:
        # One ring at a time, and what is appended meanwhile rides along.
        try:
            await asyncio.sleep(0.002)
            self._remote = False
            await self.store.ring()
        except Exception as error:  # A hint that was lost: the others poll.
            _log.debug("doorbell not rung: %s", error)

    async def _listen(self) -> None:
        async for _ in self.store.rings():
            self.poke()

    async def _accept(self, row: InboxRow) -> None:
        await self.starter.accept(row)

    def _rewound(self) -> None:
        """The log lacks events that this process had seen: forget everything."""
        if self.dispatcher is not None:
            self.dispatcher.leading = False  # It leads anew: from the cursor, with nothing folded.
        if self.preparation is not None:
            self.preparation.forget()
        if self.projector is not None:
            self.projector.forget()
        if self.membership is not None:
            self.membership.lost = True
        self.queues.clear()
        if self.worker is not None:
            self.worker.forget()
        self.service.spawn(self._rewind())

    async def _rewind(self) -> None:
        """Have readers go on from what is there."""
        head = await self.store.head()
        for tail in self._tails:
            tail.position = min(tail.position, head)
        self.poke()

    async def _drain(self, worker: Worker, drain: float, force: asyncio.Event | None) -> None:
        deadline = self.clock.monotonic() + drain
        while not worker.idle:
            seen = self.bell.count
            left = deadline - self.clock.monotonic()
            if left <= 0 or (force is not None and force.is_set()):
                return
            await self.bell.wait(seen, min(left, 0.05))

    @staticmethod
    async def _quietly(leaving: Any) -> None:
        try:
            await leaving
        except Exception as error:  # Leaving must succeed: leases run out by themselves.
            _log.warning("left without the database's consent: %s", error)

    async def _safety(self) -> float:
        return SAFETY

    async def _dispatcher_pause(self) -> float:
        dispatcher = self.dispatcher
        return (
            1.0
            if dispatcher is not None and dispatcher.leading
            else seconds(self.settings.lease) / 5
        )

    async def _worker_pause(self) -> float:
        assert self.worker is not None
        return self.worker.pause(SAFETY if self.worker.idle else seconds(self.settings.poll_max))

    async def _timer_pause(self) -> float:
        assert self.timekeeper is not None
        return await self.timekeeper.pause(min(TICK, seconds(self.settings.lease) / 6))


def _ring_from_thread(loop: asyncio.AbstractEventLoop, bell: Bell) -> None:
    with suppress(RuntimeError):  # The loop is closed: nobody is left to be told.
        loop.call_soon_threadsafe(bell.ring)


def _moves(item: Item) -> bool:
    """Return whether an item may leave something undecided.

    A new run comes with its first decision and what a handler logs decides nothing; what the
    dispatcher itself records, it decides about again after its answer.
    """
    return item.id is None and item.leader is None and (item.lease is None or item.frees)
