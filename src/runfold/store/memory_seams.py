"""What the memory store hands out: a renewer for another thread, a transaction for a caller."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from types import TracebackType


class MemoryRenewer:
    """Renews one member's lease from another thread."""

    def __init__(self, extend: Callable[[], bool]) -> None:
        self._extend = extend

    def renew(self) -> bool:
        """Extend the lease; False when it was swept."""
        return self._extend()

    def close(self) -> None:
        """Do nothing: there is no connection."""


class MemoryTransaction:
    """Stands for a caller's database transaction where there is no database.

    What is enlisted in the block takes effect together at its end; an exception drops it.
    """

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._effects: list[Callable[[], None]] = []

    def is_of(self, lock: Lock) -> bool:
        """Return whether this transaction belongs to the database of ``lock``."""
        return self._lock is lock

    def at_end(self, effect: Callable[[], None]) -> None:
        """Do ``effect`` when the block ends well."""
        self._effects.append(effect)

    def __enter__(self) -> MemoryTransaction:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        effects, self._effects = self._effects, []
        if kind is None:
            with self._lock:
                for effect in effects:
                    effect()
