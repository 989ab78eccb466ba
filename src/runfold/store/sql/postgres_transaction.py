"""Transactions of handlers on PostgreSQL: ``runfold.commit`` as their last statement.

An ``async def`` works through asyncpg, a ``def`` through psycopg. Neither connection is one
of the engine's, and none is made before a handler asks.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from runfold.errors import InvalidSettings
from runfold.ports import Batch, Committed, LogIdentity
from runfold.settings import Settings
from runfold.store.sql import postgres_answer
from runfold.store.sql.postgres_arguments import COMMIT, NAMES, arguments
from runfold.store.sql.postgres_driver import Address
from runfold.store.sql.postgres_engine import engine_of
from runfold.store.sql.transactions import AsyncTransaction, BlockingTransaction

_TYPES = """
SELECT p.proargnames[given.place], format_type(given.type, NULL)
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'runfold'
CROSS JOIN LATERAL unnest(p.proargtypes::oid[]) WITH ORDINALITY AS given (type, place)
WHERE p.proname = 'commit'
"""


class PostgresTransactions:
    """Makes them for one store; ``close`` when the store is."""

    def __init__(self, address: Address, settings: Settings, identity: LogIdentity) -> None:
        self._address, self._settings, self._identity = address, settings, identity
        self._async: AsyncEngine | None = None
        self._blocking: Engine | None = None
        self._statement: str | None = None

    def transaction(self, *, blocking: bool) -> AsyncTransaction | BlockingTransaction:
        """Return one that has not begun; raises ``InvalidSettings`` without a driver."""
        if blocking:
            if self._blocking is None:
                self._blocking = _blocking_engine(self._address, self._settings.transactions)
            return BlockingTransaction(self._blocking, self._record_blocking)
        if self._async is None:
            self._async = engine_of(self._address, size=self._settings.transactions)
        return AsyncTransaction(self._async, self._record)

    async def close(self) -> None:
        """Close all connections."""
        if self._async is not None:
            await self._async.dispose()
        if self._blocking is not None:
            await asyncio.to_thread(self._blocking.dispose)
        self._async = self._blocking = None

    async def _record(self, connection: AsyncConnection, batch: Batch) -> Committed:
        done = await connection.exec_driver_sql(COMMIT, tuple(self._arguments(batch)))
        return postgres_answer.committed(batch, dict(done.mappings().one()))

    async def _record_blocking(self, connection: Connection, batch: Batch) -> Committed:
        return await asyncio.to_thread(self._call, connection, batch)

    def _call(self, connection: Connection, batch: Batch) -> Committed:
        if self._statement is None:
            # psycopg sends no types: the function's own say what a list of nulls is.
            types = dict(tuple(row) for row in connection.exec_driver_sql(_TYPES))
            named = (f"{name} => %({name})s::{types[name]}" for name in NAMES)
            self._statement = f"SELECT * FROM runfold.commit({', '.join(named)})"  # noqa: S608
        values = {
            # A tuple would be a composite, not an array.
            name: list(value) if isinstance(value, tuple) else value
            for name, value in zip(NAMES, self._arguments(batch), strict=True)
        }
        done = connection.exec_driver_sql(self._statement, values)
        return postgres_answer.committed(batch, dict(done.mappings().one()))

    def _arguments(self, batch: Batch) -> list[Any]:
        return arguments(self._identity.log_id, batch, blob_min=self._settings.blob_min)


def _blocking_engine(address: Address, size: int) -> Engine:
    url = make_url(address.dsn).set(drivername="postgresql+psycopg")
    try:
        return create_engine(
            url,
            isolation_level="READ COMMITTED",
            pool_size=size,
            max_overflow=0,
            connect_args={} if address.prepares else {"prepare_threshold": None},
        )
    except ModuleNotFoundError as error:
        raise InvalidSettings(
            "ctx.transaction() of a `def` on PostgreSQL needs psycopg; install runfold[psycopg], "
            "or make the handler an `async def`"
        ) from error
