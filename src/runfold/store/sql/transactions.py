"""Transactions of handlers: what a handler writes and the end of its attempt, in one commit.

A handler gets SQLAlchemy's connection, async or blocking. The engine's part comes last, when
the handler has returned: it takes the log's lock then, so what the handler does before holds
up nobody on PostgreSQL. However a handler was left, ``rollback`` lets its connection go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.ext.asyncio import AsyncTransaction as _AsyncTransaction

from runfold.ports import Batch, Closed, Committed

ROLLBACK_SECONDS_MAX = 2.0
"""How long a rollback may take before the connection is cut instead."""

_log = logging.getLogger("runfold.transactions")

Record = Callable[[Any, Batch], Awaitable[Committed]]
"""Records a batch through a connection, in its transaction."""
Begin = Callable[[Any], Awaitable[None]]
"""What a database needs at the beginning of a transaction."""


class AsyncTransaction:
    """``ports.Transaction`` over an ``AsyncConnection``."""

    connection: AsyncConnection

    def __init__(self, engine: AsyncEngine, record: Record, begin: Begin | None = None) -> None:
        self._engine, self._record, self._begin = engine, record, begin
        self._begun: _AsyncTransaction | None = None

    async def begin(self) -> None:
        """Connect and begin; raises what the driver raises."""
        self.connection = await self._engine.connect()
        self._begun = await self.connection.begin()
        if self._begin is not None:
            try:
                await self._begin(self.connection)
            except BaseException:
                await self.rollback()
                raise

    async def commit(self, batch: Batch) -> Committed:
        """Record ``batch`` in it and commit; see ``ports.Transaction``."""
        begun = self._begun
        if begun is None or not begun.is_active:
            raise Closed(ENDED_BY_HANDLER)
        committed = await self._record(self.connection, batch)
        if _is_refused(committed):
            await self.rollback()
            return committed
        await begun.commit()
        self._begun = None
        await self.connection.close()
        return committed

    async def rollback(self) -> None:
        """Undo all of it, whatever it is doing."""
        begun, self._begun = self._begun, None
        if begun is None:
            return
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS_MAX):
                await begun.rollback()
        except Exception as error:  # It is busy, or gone: without its connection it is undone.
            _log.debug("a handler's transaction was cut: %s", error)
            await self.connection.invalidate()
        await self.connection.close()


class BlockingTransaction:
    """``ports.Transaction`` over a ``Connection``, which the handler uses in its thread."""

    connection: Connection

    def __init__(self, engine: Engine, record: Record, begin: Begin | None = None) -> None:
        self._engine, self._record, self._begin = engine, record, begin
        self._begun: RootTransaction | None = None

    async def begin(self) -> None:
        """Connect and begin; raises what the driver raises."""
        self.connection = await asyncio.to_thread(self._engine.connect)
        self._begun = self.connection.begin()
        if self._begin is not None:
            try:
                await self._begin(self.connection)
            except BaseException:
                await self.rollback()
                raise

    async def commit(self, batch: Batch) -> Committed:
        """Record ``batch`` in it and commit; see ``ports.Transaction``."""
        begun = self._begun
        if begun is None or not begun.is_active:
            raise Closed(ENDED_BY_HANDLER)
        committed = await self._record(self.connection, batch)
        if _is_refused(committed):
            await self.rollback()
            return committed
        await asyncio.to_thread(begun.commit)
        self._begun = None
        await asyncio.to_thread(self.connection.close)
        return committed

    async def rollback(self) -> None:
        """Undo all of it, whatever it is doing."""
        begun, self._begun = self._begun, None
        if begun is not None:
            await asyncio.to_thread(self._undo, begun)

    def _undo(self, begun: RootTransaction) -> None:
        try:
            begun.rollback()
        except Exception as error:  # It is busy, or gone: without its connection it is undone.
            _log.debug("a handler's transaction was cut: %s", error)
            self.connection.invalidate()
        self.connection.close()


def _is_refused(committed: Committed) -> bool:
    return any(outcome.refusal is not None for outcome in committed.outcomes)


ENDED_BY_HANDLER = (
    "the handler has committed or rolled back the transaction itself; leave that to the end of "
    "the attempt: the block's end is enough"
)
