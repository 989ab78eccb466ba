"""Before the first statement: is the schema there, and which log is ours."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from runfold.ports import LogIdentity
from runfold.store.sql.compiled import for_postgres
from runfold.store.sql.migrate import VERSION_TABLE, State, check, refuse, upgrade
from runfold.store.sql.postgres_driver import DENIED, Address, Link, connect
from runfold.store.sql.schema import LOGS, SCHEMA

DEFAULT_LOG = "default"
"""The namespace whose log is number 1."""

_HAS_VERSION = "SELECT to_regclass($1) IS NOT NULL"
_VERSION = f"SELECT version_num FROM {SCHEMA}.{VERSION_TABLE}"  # noqa: S608 - two constants
_FIND_LOG = for_postgres(
    select(LOGS.c.log_id, LOGS.c.identity, LOGS.c.generation).where(
        LOGS.c.name == bindparam("name")
    )
)
_NEXT = select(func.greatest(func.coalesce(func.max(LOGS.c.log_id), 1), 1) + 1)
_CREATE_LOG = {
    is_default: for_postgres(
        insert(LOGS)
        .from_select(
            ["log_id", "generation", "created_at", "name", "identity"],
            select(
                bindparam("log_id", type_=LOGS.c.log_id.type) if is_default
                else _NEXT.scalar_subquery(),
                1,
                func.clock_timestamp(),
                bindparam("name", type_=LOGS.c.name.type),
                bindparam("identity", type_=LOGS.c.identity.type),
            ),
        )
        .on_conflict_do_nothing()
    )
    for is_default in (True, False)
}  # fmt: skip
_TRIES_MAX = 20


async def revision(link: Link) -> str | None:
    """Return the revision of the database, None when there is nothing of Runfold in it."""
    if not await link.value(_HAS_VERSION, [f"{SCHEMA}.{VERSION_TABLE}"]):
        return None
    found: str | None = await link.value(_VERSION)
    return found


async def prepare(address: Address, link: Link, *, migrate: bool) -> None:
    """Set up an empty database, an older one too with ``migrate``; raise ``SchemaOutdated``."""
    found = await revision(link)
    match check(found):
        case State.CURRENT:
            return
        case State.NEWER:
            raise refuse(found)
        case State.OLDER if not migrate:
            raise refuse(found)
    try:
        await asyncio.to_thread(asyncio.run, migrated(address))
    except Exception as error:
        if isinstance(getattr(error, "orig", error).__cause__, DENIED):
            raise refuse(found) from error
        raise


async def migrated(address: Address) -> None:
    """Migrate the database to this release's schema, waiting for whoever else does.

    Runs in a loop of its own: Alembic must not be interleaved with another migration.
    """

    async def creator(*_: Any, **__: Any) -> Any:
        return (await connect(address)).raw

    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()


async def open_log(link: Link, namespace: str) -> LogIdentity:
    """Return the log of ``namespace``, a new one at first."""
    for _ in range(_TRIES_MAX):
        found = await link.row(_FIND_LOG.text, _FIND_LOG.values(name=namespace))
        if found is not None:
            return LogIdentity(*found)
        # Another process may take the number, or create the same log, meanwhile: look again.
        create = _CREATE_LOG[namespace == DEFAULT_LOG]
        values = create.values(log_id=1, name=namespace, identity=uuid4().hex)
        await link.rows(create.text, values)
    raise RuntimeError(f"no log for namespace {namespace!r} after {_TRIES_MAX} tries")
