"""The doorbell inside one process: something may have been appended, have a look.

A ring is never lost between looking and waiting: a waiter passes the count that it had
seen *before* it looked, and returns at once when the count has moved since.
"""

from __future__ import annotations

import asyncio


class Bell:
    """Counts rings and wakes everyone who waits for the next one."""

    def __init__(self) -> None:
        self.count = 0
        self._waiters: dict[asyncio.Future[None], None] = {}

    def ring(self) -> None:
        """Wake all waiters, in the order in which they came."""
        self.count += 1
        if self._waiters:
            waiters, self._waiters = self._waiters, {}
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def wait(self, seen: int, timeout: float | None = None) -> bool:
        """Return True once the count differs from ``seen``, False after ``timeout`` seconds."""
        if self.count != seen:
            return True
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters[waiter] = None
        alarm = None if timeout is None else loop.call_later(timeout, _give_up, waiter)
        try:
            await waiter
        finally:
            self._waiters.pop(waiter, None)
            if alarm is not None:
                alarm.cancel()
        return self.count != seen


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
