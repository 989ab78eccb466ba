"""Renewing a lease from a thread of its own: a private loop and a private connection.

So a busy event loop, or a commit that waits, never costs a process its leases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from runfold.errors import StoreUnavailable
from runfold.store.sql.postgres_driver import LOST, Address, Link, connect

RENEW_SECONDS_MAX = 5.0
"""How long one try may take, connecting included."""

TRIES = 2
"""The second goes through a new connection: the first may have died since the last renewal."""


class PostgresRenewer:
    """``ports.Renewer``: used by one thread, blocking."""

    def __init__(self, address: Address, text: str, values: Sequence[Any]) -> None:
        self._address = address
        self._text, self._values = text, values
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: Link | None = None

    def renew(self) -> bool:
        """Extend the lease; False when it was swept. Raises ``StoreUnavailable``."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        for _ in range(TRIES):
            try:
                return self._loop.run_until_complete(self._renew())
            except LOST as error:
                self._drop()
                lost: BaseException = error
        raise StoreUnavailable(
            f"the lease could not be renewed at {self._address.place}: "
            f"{type(lost).__name__}: {lost}"
        ) from lost

    def close(self) -> None:
        """Close the connection and the loop."""
        if self._loop is None:
            return
        if self._link is not None:
            self._loop.run_until_complete(self._link.close())
        self._loop.close()
        self._loop, self._link = None, None

    def _drop(self) -> None:
        if self._link is not None:
            self._link.drop()
            self._link = None

    async def _renew(self) -> bool:
        async with asyncio.timeout(RENEW_SECONDS_MAX):
            if self._link is None or self._link.is_closed():
                self._link = await connect(self._address)
            return bool(await self._link.rows(self._text, self._values))
