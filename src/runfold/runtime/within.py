"""The end of an attempt, recorded in the transaction of its handler.

Both commit together, once, whatever is killed when: the lease is checked under the log's
lock in that very transaction, and when the answer to its commit is lost, an empty batch of
the same number fences it and says what became of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from runfold.kernel.event import Draft
from runfold.ports import Batch, Clock, Closed, Item, Outcome, Transaction
from runfold.runtime.appender import Appender

_log = logging.getLogger("runfold.worker")


class Undone(Exception):
    """The transaction did not commit: nothing of it, and not the attempt's end, is there."""


class Within:
    """Records ends of attempts in their handlers' transactions."""

    def __init__(
        self, appender: Appender, clock: Clock, tokens: Callable[[], int], wake: Callable[[], None]
    ) -> None:
        self._appender, self._clock, self._tokens, self._wake = appender, clock, tokens, wake

    async def record(
        self, transaction: Transaction, drafts: Sequence[Draft], *, stream: int,
        lease: tuple[int, int],
    ) -> Outcome:  # fmt: skip
        """Return what became of the end; a refusal has undone the transaction as well.

        Raises ``Undone`` when the database would not commit it, ``Closed`` when the handler
        ended it itself, ``PayloadTooLarge``; the transaction is then undone.
        """
        try:
            encoded, _ = self._appender.encode(drafts)
            item = Item(encoded, stream=stream, lease=lease, frees=True)
            batch = Batch(self._tokens(), 1, [item], now=self._clock.now())
            outcome = await self._commit(transaction, batch)
        except BaseException:
            await asyncio.shield(transaction.rollback())
            raise
        self._wake()
        return outcome

    async def _commit(self, transaction: Transaction, batch: Batch) -> Outcome:
        try:
            return (await transaction.commit(batch)).outcomes[0]
        except Closed:
            raise
        except Exception as error:
            told = f"{type(error).__name__}: {getattr(error, 'orig', error)}"
            _log.warning("a handler's transaction had no answer to its commit: %s", told)
            await transaction.rollback()
            empty = Batch(batch.appender, batch.number, now=batch.now)
            found = await self._appender.send(empty)
            # Repeated without a position: the empty one itself, whose first answer was lost.
            if found.repeated and found.first_position:
                return Outcome(None, batch.items[0].stream)
            raise Undone(f"the transaction was not committed: {told}") from error
