"""The tables of the user's that handlers write to in ``ctx.transaction()``, and whose turn it is.

    none --begin--> waits for its turn --> open --commit--> committed, with the end of the attempt
                                             |
                                             +--rollback, its process dies--> undone

One transaction is open at a time, in the order in which they were asked for. What a handler
wrote and the end of its attempt are committed without anything in between: a fault hits before
both, or after both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from inspect import iscoroutinefunction
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from runfold.define.context import AttemptEnded, TransactionMisused
from runfold.errors import RunfoldError, StoreUnavailable
from runfold.ports import Batch, Closed, Committed
from runfold.runtime.context import waited_for
from runfold.runtime.context_logging import CURRENT
from runfold.testing.simulation.accidents import Accidents

if TYPE_CHECKING:
    from runfold.store.sql.scratch import ScratchTransaction


class Record(Protocol):
    """Records a batch, and calls ``also`` in the same instant unless it is refused."""

    async def __call__(self, batch: Batch, *, also: Callable[[], None]) -> Committed: ...


def creator(create: Any) -> Callable[[Any], object]:
    """Return ``create``; raises ``ValueError`` for what cannot create tables."""
    if not callable(create) or iscoroutinefunction(create):
        raise ValueError(
            f"tables is {create!r}, expected a function that creates them through the "
            "Connection that it is given, such as `metadata.create_all`"
        )
    return create  # type: ignore[no-any-return]


class Tables:
    """The database of one simulation.

    ``apart``: the (flow, step) of handlers with a process of their own, which have none.
    Raises what ``create`` raises.
    """

    def __init__(
        self, create: Callable[[Any], object], *, now: Callable[[], datetime], random: Random,
        apart: Collection[tuple[str, str]],
    ) -> None:  # fmt: skip
        from runfold.store.sql.scratch import Scratch  # SQLAlchemy: only who has tables pays.

        self._apart = apart
        self._holder: TableTransaction | None = None
        self._waiting: dict[TableTransaction, asyncio.Future[None]] = {}
        self.is_in_use = False
        """Whether the test itself is in a block of ``connect``."""
        self.scratch = Scratch(now=now, random=random)
        try:
            with self.scratch.block() as connection:
                create(connection)
        except BaseException:
            self.scratch.close()
            raise

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """Yield the test's own connection; what it writes is committed at the block's end."""
        if self.is_in_use:
            raise RunfoldError("this block of sim.connect() is in another one; one is enough")
        self.is_in_use = True
        try:
            with self.scratch.block() as connection:
                yield connection
        finally:
            self.is_in_use = False

    def transaction(
        self, record: Record, accidents: Accidents, *, blocking: bool
    ) -> TableTransaction:
        """Return one that has not begun, for the handler that runs."""
        attempt = CURRENT.get()
        if attempt is not None:
            handler = attempt.task.handler
            if (handler.flow, handler.step) in self._apart:
                raise TransactionMisused("ctx.transaction() is not there in a process of its own")
        return TableTransaction(self, record, accidents, blocking)

    def end(self, accidents: Accidents) -> None:
        """Undo what is open or waits in a process that has died, which ``accidents`` met."""
        for one in (self._holder, *self._waiting):
            if one is not None and one.accidents is accidents:
                one.cut()

    def close(self) -> None:
        """Delete them."""
        self.scratch.close()

    async def turn(self, asking: TableTransaction) -> None:
        """Return when it is the turn of ``asking``, until it calls ``leave``."""
        if self._holder is None:
            self._holder = asking
            return
        come = self._waiting[asking] = asyncio.get_running_loop().create_future()
        try:
            await come
        except BaseException:
            self.leave(asking)
            raise
        if self._holder is not asking:
            raise AttemptEnded("the attempt has ended while its transaction waited for its turn")

    def leave(self, leaving: TableTransaction) -> None:
        """Let the next one have its turn; who leaves neither has one nor waits any more."""
        waits = self._waiting.pop(leaving, None)
        if self._holder is leaving:
            self._holder = next(iter(self._waiting), None)
            if self._holder is not None:
                waits = self._waiting.pop(self._holder)
        if waits is not None and not waits.done():
            waits.set_result(None)


class TableTransaction:
    """``ports.Transaction`` of one attempt in one simulated process."""

    connection: Any

    def __init__(
        self, tables: Tables, record: Record, accidents: Accidents, blocking: bool
    ) -> None:
        self._tables, self._record, self._blocking = tables, record, blocking
        self.accidents = accidents
        """Those of its process."""
        self._begun: ScratchTransaction | None = None

    async def begin(self) -> None:
        """Wait for its turn and begin."""
        await self.accidents.before_statement()
        await self._tables.turn(self)
        try:
            met = self.accidents.before_statement
            loop = asyncio.get_running_loop()
            self._begun = await self._tables.scratch.begin(
                (lambda: waited_for(loop, met())) if self._blocking else met,
                blocking=self._blocking,
            )
        except BaseException:
            self.cut()
            raise
        self.connection = self._begun.connection

    async def commit(self, batch: Batch) -> Committed:
        """Record ``batch`` and commit in one instant; see ``ports.Transaction``."""
        begun = self._begun
        if begun is None or not begun.is_active:
            from runfold.store.sql.transactions import ENDED_BY_HANDLER

            raise Closed(ENDED_BY_HANDLER)
        if begun.is_lost:
            raise StoreUnavailable("the connection of the handler's transaction was lost")
        committed = await self._record(batch, also=self._commit_now)
        self.cut()  # Unless it was committed.
        return committed

    async def rollback(self) -> None:
        """Undo all of it."""
        self.cut()

    def cut(self) -> None:
        """Undo all of it, at once: also what becomes of it when its process dies."""
        begun, self._begun = self._begun, None
        try:
            if begun is not None:
                begun.cut()
        finally:
            self._tables.leave(self)

    def _commit_now(self) -> None:
        assert self._begun is not None
        self._begun.commit()
        self._begun = None
        self._tables.leave(self)
