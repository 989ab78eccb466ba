"""The one transaction that an attempt may have, and the facts that wait for it.

    none --begin--> open --block ends--> ready --the attempt completes--> committed with it
                      |                    |
                      +--block raises------+--anything else--> undone

From ``begin`` on nothing of the attempt is written on the engine's own connections: what the
handler logs and records waits, and is committed with the end of the attempt, whichever end.
"""

from __future__ import annotations

from collections.abc import Callable

from runfold.define.context import AttemptEnded, TransactionMisused
from runfold.ports import Transaction


class HandlerTransaction:
    """Where an attempt stands with its transaction; used on the loop's thread."""

    __slots__ = ("_transaction", "state")

    def __init__(self) -> None:
        self._transaction: Transaction | None = None
        self.state = "none"

    async def begin(self, make: Callable[[], Transaction]) -> Transaction:
        """Return what ``make`` returned, begun; raises ``TransactionMisused`` for a second one."""
        if self.state != "none":
            raise TransactionMisused(
                "this attempt has had a transaction; there is one, and it commits with the attempt"
            )
        self.state = "open"
        try:
            self._transaction = transaction = make()
            await transaction.begin()
        except BaseException:
            self._transaction, self.state = None, "undone"
            raise
        if self.state != "open":
            # Its attempt has ended while it waited for a connection or a lock, and whoever undid
            # it found nothing to undo: it would stay open for good.
            await transaction.rollback()
            raise AttemptEnded("the attempt has ended while its transaction began; it is undone")
        return transaction

    def leave(self) -> None:
        """The block has ended well: what it wrote waits for the end of the attempt."""
        if self.state == "open":
            self.state = "ready"

    async def undo(self) -> None:
        """Roll back, unless it was handed over or there is nothing to undo."""
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            self.state = "undone"
            await transaction.rollback()

    def hand_over(self) -> Transaction:
        """Return the transaction to whoever commits the end of the attempt in it."""
        transaction, self._transaction = self._transaction, None
        if self.state != "ready" or transaction is None:
            raise TransactionMisused(
                "the handler returned inside of its transaction's block; leave the block first"
            )
        self.state = "handed over"
        return transaction
