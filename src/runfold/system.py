"""Time and chance of this machine: the production side of ``ports.Clock`` and ``ports.Ids``."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from runfold.kernel.ids import uuid7


@contextmanager
def relaxed_collector(threshold: int) -> Iterator[None]:
    """Have garbage collected after ``threshold`` new objects at the earliest, inside the block."""
    before = gc.get_threshold()
    if threshold > before[0] > 0:
        gc.set_threshold(threshold, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class SystemClock:
    """Spans by the monotonic clock; moments are left to the store."""

    def monotonic(self) -> float:
        """Return seconds since some moment, never going back."""
        return time.monotonic()

    def now(self) -> datetime | None:
        """Return None: the store's clock counts."""
        return None


class RandomIds:
    """Identity from the operating system's randomness."""

    def token(self) -> int:
        """Return a random positive number below 2**62."""
        return int.from_bytes(os.urandom(8), "big") >> 2 | 1

    def run_id(self) -> bytes:
        """Return the 16 bytes of a new UUIDv7."""
        return uuid7(time.time_ns() // 1_000_000, os.urandom(10))
