"""A connection that is made again when it is lost, and the one question it then asks first.

Whoever remembers something of the log must not go on remembering it against a database that
lacks it (failover to a replica that lagged, a restored backup). So every new connection
checks that the last event seen is still there, before anything else is sent through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple, TypeVar

from sqlalchemy import bindparam, func, select

from runfold.errors import StoreUnavailable
from runfold.ports import LogIdentity, LogRewound
from runfold.store.sql.compiled import for_postgres
from runfold.store.sql.postgres_driver import LOST, Address, Link, connect
from runfold.store.sql.schema import EVENTS, LOGS

PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds to wait after each try of a call whose connection was lost; then it is given up."""

_T = TypeVar("_T")
_LATEST = EVENTS.alias("latest")
_HEAD = (
    select(func.max(_LATEST.c.position)).where(_LATEST.c.log_id == LOGS.c.log_id).scalar_subquery()
)
_HELLO = for_postgres(
    select(
        LOGS.c.identity,
        LOGS.c.generation,
        func.coalesce(_HEAD, 0).label("head"),
        EVENTS.c.stream,
        EVENTS.c.version,
        EVENTS.c.ts,
        func.current_setting("default_transaction_isolation").label("isolation"),
    )
    .select_from(
        LOGS.outerjoin(
            EVENTS,
            (EVENTS.c.log_id == LOGS.c.log_id) & (EVENTS.c.position == bindparam("position")),
        )
    )
    .where(LOGS.c.log_id == bindparam("log_id"))
)


class Seen(NamedTuple):
    """The last event that this process knows."""

    position: int
    stream: int
    version: int
    ts: datetime


class Memory:
    """What this process knows of the log that a database must still have."""

    def __init__(self) -> None:
        self.identity: LogIdentity | None = None
        self.seen: Seen | None = None

    def learn(self, seen: Seen) -> None:
        """Remember ``seen`` if it is later than what is known."""
        if self.seen is None or seen.position > self.seen.position:
            self.seen = seen

    async def check(self, link: Link) -> None:
        """Compare with the database; raise ``LogRewound`` and forget when it has less."""
        if self.identity is None:
            return
        seen = self.seen
        found = await link.row(
            _HELLO.text,
            _HELLO.values(log_id=self.identity.log_id, position=seen.position if seen else 0),
        )
        if found is None or tuple(found)[:2] != self.identity[1:]:
            self.seen = None
            raise LogRewound("the database has another log than before; drop what you remember")
        if found["isolation"] != "read committed":
            await link.rows("SET default_transaction_isolation = 'read committed'")
        if seen is None:
            return
        there = (found["stream"], found["version"], found["ts"])
        # Moved to the archive is not lost: then nothing is there, and later events are.
        if there != seen[1:] and not (there[0] is None and found["head"] > seen.position):
            self.seen = None
            raise LogRewound(
                f"the database lacks event {seen.position} (stream {seen.stream}, version "
                f"{seen.version}) and ends at {found['head']}: it was restored or failed over; "
                "drop what you remember and read it again"
            )


class Line:
    """A connection for one purpose, used by one task at a time, made at first use."""

    def __init__(self, address: Address, memory: Memory) -> None:
        self._address = address
        self._memory = memory
        self._lock = asyncio.Lock()
        self._link: Link | None = None
        self._is_closed = False

    async def call(self, ask: Callable[[Link], Awaitable[_T]]) -> _T:
        """Return what ``ask`` returns; ask again through a new connection when one is lost.

        Raises ``StoreUnavailable`` after the last of ``PAUSES``: whether ``ask`` took effect
        is then unknown.
        """
        async with self._lock:
            for pause in PAUSES:
                try:
                    return await ask(await self._connected())
                except LOST as error:
                    self.drop()
                    lost: BaseException = error
                await asyncio.sleep(pause)
        raise StoreUnavailable(
            f"PostgreSQL at {self._address.place} cannot be reached after {len(PAUSES)} tries: "
            f"{type(lost).__name__}: {lost}"
        ) from lost

    async def once(self, ask: Callable[[Link], Awaitable[_T]]) -> _T:
        """Return what ``ask`` returns, without a second try; raises one of ``LOST``."""
        async with self._lock:
            try:
                return await ask(await self._connected())
            except LOST:
                self.drop()
                raise

    def drop(self) -> None:
        """Forget the connection; the next call makes another."""
        if self._link is not None:
            self._link.drop()
            self._link = None

    async def close(self) -> None:
        """Close the connection after the call that uses it; there will be no other."""
        async with self._lock:
            self._is_closed = True
            if self._link is not None:
                await self._link.close()
                self._link = None

    async def _connected(self) -> Link:
        if self._link is not None and not self._link.is_closed():
            return self._link
        if self._is_closed:
            raise StoreUnavailable(f"the store on {self._address.place} is closed; open it again")
        link = await connect(self._address)
        try:
            await self._memory.check(link)
        except BaseException:
            link.drop()
            raise
        self._link = link
        return link


class Lines:
    """A few lines for readers; each call takes the one that was used last and is free."""

    def __init__(self, address: Address, memory: Memory, count: int) -> None:
        self._lines = [Line(address, memory) for _ in range(count)]
        self._free: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
        for line in self._lines:
            self._free.put_nowait(line)

    async def call(self, ask: Callable[[Link], Awaitable[_T]]) -> _T:
        """Return what ``ask`` returns, as ``Line.call`` does."""
        line = await self._free.get()
        try:
            return await line.call(ask)
        finally:
            self._free.put_nowait(line)

    async def close(self) -> None:
        """Close all connections."""
        for line in self._lines:
            await line.close()
