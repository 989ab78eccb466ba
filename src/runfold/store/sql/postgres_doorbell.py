"""The doorbell on PostgreSQL: NOTIFY outside of every transaction, LISTEN beside a poll.

LISTEN is a promise that a pooler does not keep, and says nothing about it. So the listener
rings once itself, and until that is heard it polls the end of the log, with pauses that grow
to ``Settings.poll_max``; once heard, a poll every ``HEARD_POLL_SECONDS`` is enough, and none
while others of this process ask where the log ends. Every poll that finds new events counts as
a ring. A notification of this process is not one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from runfold.errors import StoreUnavailable
from runfold.ports import LogIdentity
from runfold.settings import Settings, seconds
from runfold.store.sql import log_queries
from runfold.store.sql.compiled import for_postgres
from runfold.store.sql.postgres_driver import LOST, Address, Link, connect
from runfold.store.sql.postgres_line import Line
from runfold.store.sql.postgres_queries import PostgresQueries

POLL_SECONDS_MIN = 0.005
"""The first pause between two polls."""

HEARD_POLL_SECONDS = 5.0
"""The pause between two polls while notifications arrive."""

RINGS_MAX = 8
"""How many rings that came meanwhile one ``ring`` passes on."""

_NOTIFY = "SELECT pg_notify($1, ''), pg_backend_pid()"
_HEAD = for_postgres(log_queries.head())


def channel(identity: LogIdentity) -> str:
    """Return the name of the log's notifications."""
    return f"runfold_{identity.log_id}"


class Ears:
    """A connection that listens, and what it heard."""

    def __init__(self, address: Address, name: str) -> None:
        self._address, self._channel = address, name
        self._link: Link | None = None
        self.rung = asyncio.Event()
        self.proven = asyncio.Event()
        """A notification has come through this connection."""
        self._is_closed = False
        self.own = 0
        """The backend whose notifications are our own."""

    async def listen(self) -> bool:
        """Return whether a connection was made now that has not proved itself yet."""
        if self._link is not None and not self._link.is_closed():
            return False
        self._link = None
        self.proven.clear()
        with suppress(*LOST, StoreUnavailable):
            self._link = await connect(self._address)
            # Who lost the connection is deaf: woken at once, it looks, and listens again.
            await self._link.listen(self._channel, self._heard, self.rung.set)
        if self._is_closed:
            await self.close()
        return self._link is not None

    async def rang(self, within: float) -> bool:
        """Return whether it rang ``within`` seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.rung.wait(), within)
        rang = self.rung.is_set()
        # Cleared before the reader looks: a ring during its look wakes it again.
        self.rung.clear()
        return rang

    async def close(self) -> None:
        """Stop listening, and wake whoever waits for a ring."""
        self._is_closed = True
        self.rung.set()
        if self._link is not None:
            await self._link.close()
            self._link = None

    def _heard(self, pid: int) -> None:
        self.proven.set()
        if pid != self.own:
            self.rung.set()


class PostgresDoorbell(PostgresQueries):
    """``ports.Doorbell``."""

    settings: Settings
    _address: Address
    _bell: Line
    """Without memory: that the log was rewound is for those to notice who remember it."""
    _ears: list[Ears]
    _no_news: int
    """Up to this position every event was recorded through this store, or rung for here."""
    _told_at: float
    """When somebody of this process asked last where the log ends."""
    _closed: bool
    _ringing: bool
    _rings_waiting: bool

    async def ring(self) -> None:
        """Tell other processes; what comes while one ring is under way becomes one more."""
        self._rings_waiting = True
        if self._ringing:
            return
        self._ringing = True
        try:
            for _ in range(RINGS_MAX):
                if self._rings_waiting:
                    self._rings_waiting = False
                    await self._notify()
        finally:
            self._ringing = False

    async def rings(self) -> AsyncIterator[None]:
        """Yield whenever another process may have appended, until the store closes."""
        ears = Ears(self._address, channel(self.identity))
        self._ears.append(ears)
        end, pause = 0, POLL_SECONDS_MIN
        try:
            while not self._closed:
                # What came before LISTEN made no sound: after it, look at once.
                is_new = self._address.prepares and await ears.listen()
                if is_new:
                    await self.ring()
                span = HEARD_POLL_SECONDS if ears.proven.is_set() else pause
                rang = not is_new and await ears.rang(span)
                is_told = ears.proven.is_set() and not is_new and self._is_told()
                known, end = end, end if rang or is_told else await self._end(end)
                pause = POLL_SECONDS_MIN if end != known else self._longer(pause)
                if rang or end != known:
                    yield
        finally:
            self._ears.remove(ears)
            await ears.close()

    def _told(self, end: int) -> None:
        """Learn where the log ends, and ring here if others have recorded something."""
        self._told_at = asyncio.get_running_loop().time()
        if end > self._no_news:
            for ears in self._ears:
                ears.rung.set()
        self._no_news = end

    def _recorded(self, first: int, last: int) -> None:
        """Learn what this process has recorded; what others did before it is news all the same."""
        if first <= self._no_news + 1:
            self._no_news = max(self._no_news, last)

    def _is_told(self) -> bool:
        return asyncio.get_running_loop().time() - self._told_at < HEARD_POLL_SECONDS

    def _longer(self, pause: float) -> float:
        return min(pause * 2, seconds(self.settings.poll_max))

    async def _notify(self) -> None:
        with suppress(*LOST, StoreUnavailable):
            row = await self._bell.once(lambda link: link.row(_NOTIFY, [channel(self.identity)]))
            for ears in self._ears:
                ears.own = row[1]

    async def _end(self, known: int) -> int:
        """Return the position of the last event, ``known`` while nobody answers."""
        with suppress(*LOST, StoreUnavailable):
            values = _HEAD.values(log_id=self.identity.log_id)
            return await self._bell.once(lambda link: link.value(_HEAD.text, values)) or 0
        return known
