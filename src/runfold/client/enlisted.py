"""Starts inside a transaction of the caller's: rows of the inbox, written by its connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runfold.client.run import Run
from runfold.errors import InvalidInput
from runfold.ports import Inbox


class Enlisted:
    """Starts that are checked and wait to be written through a caller's connection."""

    def __init__(
        self, store: Inbox, rows: Sequence[tuple[bytes, str]], runs: list[Run[Any]]
    ) -> None:
        self._store, self._rows, self.runs = store, rows, runs

    async def enlist(self, connection: Any) -> None:
        """Write them, in the caller's thread, loop and transaction."""
        waiting = self._store.enlist(connection, self._rows)
        if waiting is not None:
            await waiting

    def enlist_blocking(self, connection: Any) -> None:
        """Write them through a connection that blocks."""
        waiting = self._store.enlist(connection, self._rows)
        if waiting is not None:
            waiting.close()
            raise InvalidInput(
                f"{connection!r} is an async connection: use it with `await rf.start(...)`"
            )
