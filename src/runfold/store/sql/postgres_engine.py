"""SQLAlchemy over asyncpg, for transactions that are not the engine's own."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from runfold.store.sql.postgres_driver import Address, connect


def engine_of(address: Address, *, size: int) -> AsyncEngine:
    """Return an engine on ``address`` with ``size`` connections at most; further users wait.

    Every transaction is READ COMMITTED, as whatever takes the log's lock must be.
    """

    def connection() -> Any:
        # The adapter around what `connect` returns; a pooler that hands each transaction to
        # another server must not see the same name of a statement twice.
        return engine.sync_engine.dialect.dbapi.connect(  # type: ignore[union-attr]
            async_creator_fn=partial(_connect, address),
            prepared_statement_cache_size=100 if address.prepares else 0,
            prepared_statement_name_func=None if address.prepares else _unique_name,
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        creator=connection,
        isolation_level="READ COMMITTED",
        pool_size=size,
        max_overflow=0,
    )
    return engine


def _unique_name() -> str:
    return f"runfold_{uuid4().hex}"


async def _connect(address: Address) -> Any:
    return (await connect(address)).raw
