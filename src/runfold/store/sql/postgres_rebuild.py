"""A rebuild on PostgreSQL: one transaction on a connection of its own, under the log's lock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Executable

from runfold.errors import StoreUnavailable
from runfold.ports import LogIdentity
from runfold.store.sql.compiled import for_postgres
from runfold.store.sql.postgres_driver import LOST, Address, Link, connect
from runfold.store.sql.rebuilding import SqlRebuilding

_LOCK = "SELECT runfold.lock_log($1)"
_NOW = "SELECT clock_timestamp()"


class PostgresSession:
    """An open transaction of a link."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def rows(self, statement: Executable, **values: Any) -> list[Any]:
        """Return what ``statement`` answers."""
        text = for_postgres(statement)
        with _lost():
            return await self._link.rows(text.text, text.values(**values))

    async def many(self, statement: Executable, values: Sequence[Mapping[str, Any]]) -> None:
        """Execute ``statement`` once for each of ``values``."""
        text = for_postgres(statement)
        with _lost():
            await self._link.many(text.text, [text.values(**one) for one in values])

    def moment(self, moment: datetime) -> datetime:
        """Return ``moment`` as it is."""
        return moment


@asynccontextmanager
async def rebuilding(
    address: Address, identity: LogIdentity, now: datetime | None
) -> AsyncIterator[SqlRebuilding]:
    """Yield the emptied tables of the log, inside the transaction that ends with the block."""
    with _lost():
        link = await connect(address, call_seconds=None)
    try:
        async with AsyncExitStack() as transaction:
            with _lost():
                await transaction.enter_async_context(link.transaction())
                await link.rows(_LOCK, [identity.log_id])
                moment = now or await link.value(_NOW)
            tables = SqlRebuilding(PostgresSession(link), identity, moment)
            await tables.begin()
            yield tables
            await tables.end()
            with _lost():
                await transaction.aclose()
    finally:
        await link.close()


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except LOST as error:
        raise StoreUnavailable(
            "PostgreSQL was lost during the rebuild, of which nothing is left: "
            f"{type(error).__name__}: {error}"
        ) from error
