"""How faults hit one simulated process: hooks at its handlers, its turns, its store, its bell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Protocol

from runfold.errors import StoreUnavailable
from runfold.ports import Batch
from runfold.runtime.dispatcher import Dispatcher
from runfold.testing.simulation.faults import Chaos, spread
from runfold.testing.simulation.loop import VirtualLoop

DURING_STEPS = 12
"""Up to how many callbacks of others a handler that does not wait is ahead of its end."""


class Victim(Protocol):
    """What can be done to a process."""

    name: str
    lease: float

    def crash(self, pause: float) -> None:
        """Die now; begin again after ``pause`` seconds."""
        ...

    def freeze(self, span: float) -> None:
        """Stand still for ``span`` seconds."""
        ...

    def lose_lease(self) -> None:
        """Be swept by the store, without knowing."""
        ...

    def is_spared(self, more: int = 0) -> bool:
        """Whether the loss of its leases, and of as many ``more``, would end a step for good."""
        ...


class Accidents:
    """The faults of one process, for as long as it lives."""

    def __init__(
        self, chaos: Chaos, loop: VirtualLoop, victim: Victim, *, context: Context,
        jump: Callable[[float], None], crash_all: Callable[[float], None],
        all_spared: Callable[[int], bool],
    ) -> None:  # fmt: skip
        self._chaos, self._loop, self._victim = chaos, loop, victim
        self._context, self._jump, self._crash_all = context, jump, crash_all
        self._all_spared = all_spared
        self.is_on = False
        """False while the process begins."""
        self._deaf_until = 0.0

    def deafen(self, span: float) -> None:
        """Have no ring reach this process for ``span`` seconds."""
        self._deaf_until = self._loop.time() + span

    def _hits(self, kind: str, unless: Callable[[], bool] | None = None) -> float | None:
        if not (self.is_on and self._chaos.is_on):
            return None
        return self._chaos.hits(kind, self._victim.name, unless=unless)

    # Handlers.

    @property
    def may_happen(self) -> bool:
        """Whether anything can go wrong at all, now."""
        return self._chaos.is_on

    async def before_handler(self) -> bool:
        """Meet a handler that is to be called; return whether the process dies after it."""
        if (amount := self._hits("slow_step")) is not None:
            await self._loop.delay(spread(amount, 0.001, 20))
        if (amount := self._hits("end_lease", lambda: self._victim.is_spared(1))) is not None:
            self._soon(amount, self._victim.lose_lease)
        amount = self._hits("crash_worker", self._victim.is_spared)
        if amount is None:
            return False
        where, rest = divmod(amount * 3, 1)
        if where == 1:
            self._soon(rest, lambda: self._crash_unless_spared(rest))
        elif where == 0:
            await self._die(rest)
        return where == 2

    async def after_handler(self) -> None:
        """Meet a handler that has returned in a process that is to die."""
        if not self._victim.is_spared():
            await self._die(0.5)

    # Turns.

    async def before_turn(self, name: str, dispatcher: Dispatcher | None) -> None:
        """Meet a loop that is about to take its turn."""
        if name != "dispatcher" or dispatcher is None or not self._chaos.is_on:
            return
        if self._hits("repeat_delivery") is not None:
            dispatcher.leading = False
        if (
            amount := self._hits("freeze_dispatcher", lambda: self._victim.is_spared(1))
        ) is not None:
            self._victim.freeze(spread(amount, 0.001, 2 * self._victim.lease))
            await asyncio.sleep(0)
        if (amount := self._hits("crash_dispatcher", self._victim.is_spared)) is not None:
            await self._die(amount)

    # The store.

    async def before_call(self) -> None:
        """Meet a call of the store."""
        await self._before_call(None)

    async def _before_call(self, unless: Callable[[], bool] | None) -> None:
        if not self._chaos.is_on:
            return
        if (amount := self._hits("slow_store")) is not None:
            await self._loop.delay(spread(amount, 0.0005, 1.0))
        if self._hits("fail_store", unless) is not None:
            raise StoreUnavailable("the simulated store cannot be reached")

    async def before_statement(self) -> None:
        """Meet a statement of a handler's transaction: others have a turn, and its connection
        may be lost, which costs an attempt."""
        await asyncio.sleep(0)
        await self._before_call(self._victim.is_spared)

    async def before_commit(self, batch: Batch, *, is_handlers: bool = False) -> float | None:
        """Meet a commit; return the amount if the process dies after it.

        ``is_handlers``: of a handler's transaction, whose failure costs an attempt.
        """
        if not self._chaos.is_on:
            return None
        await self._before_call(self._victim.is_spared if is_handlers else None)
        if len(batch.items) + len(batch.claims) > 1 and self._hits("conflict") is not None:
            raise RuntimeError("the simulated store rolled a batch back")
        amount = self._hits("crash_commit", self._victim.is_spared)
        if amount is not None and amount < 0.5:
            await self._die(amount * 2)
        return amount

    async def after_commit(self, dies: float | None) -> None:
        """Meet a commit that was made; ``dies``: what ``before_commit`` returned."""
        if dies is not None and not self._victim.is_spared():
            await self._die(dies * 2 - 1)
        if not self._chaos.is_on:
            return
        if (amount := self._hits("jump_clock", lambda: self._all_spared(1))) is not None:
            self._jump(spread(amount * 2 - 1, 1, 600) if amount > 0.5 else -120 * (1 - amount * 2))
        if (amount := self._hits("restart_all", lambda: self._all_spared(0))) is not None:
            self._crash_all(_pause(amount))
            await self._gone()
        if self._hits("lose_answer") is not None:
            raise StoreUnavailable("the simulated store did not answer")

    # The doorbell.

    def ring(self, tell: Callable[[], None]) -> None:
        """Meet a ring that is to reach this process."""
        if self._loop.time() < self._deaf_until or self._hits("lose_ring") is not None:
            return
        if (amount := self._hits("repeat_ring")) is not None:
            self._later(spread(amount, 0.001, 5), tell)
        if (amount := self._hits("delay_ring")) is not None:
            self._later(spread(amount, 0.001, 5), tell)
        else:
            tell()

    # Inside.

    def _crash_unless_spared(self, amount: float) -> None:
        if not self._victim.is_spared():
            self._victim.crash(_pause(amount))

    async def _die(self, amount: float) -> None:
        self._victim.crash(_pause(amount))
        await self._gone()

    async def _gone(self) -> None:
        """Wait for what never comes: the process is dead."""
        await self._loop.create_future()

    def _later(self, span: float, act: Callable[[], None]) -> None:
        self._loop.call_later(span, act, context=self._context)

    def _soon(self, amount: float, act: Callable[[], None]) -> None:
        """Do ``act`` a few callbacks from now, or up to 30 seconds."""
        if amount >= 0.5:
            self._later(spread(amount * 2 - 1, 0.0001, 30), act)
        else:
            self._hop(int(amount * 2 * DURING_STEPS), act)

    def _hop(self, left: int, act: Callable[[], None]) -> None:
        if left:
            self._loop.call_soon(self._hop, left - 1, act, context=self._context)
        else:
            self._loop.call_soon(act, context=self._context)


def _pause(amount: float) -> float:
    return spread(amount, 0.01, 20)
