"""Chance from one seed: independent streams of numbers, the same in every process."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from runfold.kernel.ids import uuid7


def stream(seed: int, purpose: str) -> Random:
    """Return the stream of numbers that ``seed`` gives for ``purpose``."""
    # A text is hashed by SHA-512 here, never by ``hash``.
    return Random(f"{seed}/{purpose}")


class SeededIds:
    """Identity out of a seed and the virtual time."""

    def __init__(self, random: Random, millis: Callable[[], int]) -> None:
        self._random, self._millis = random, millis

    def token(self) -> int:
        """Return a positive number below 2**62."""
        return self._random.getrandbits(62) | 1

    def run_id(self) -> bytes:
        """Return the 16 bytes of a new UUIDv7."""
        return uuid7(self._millis(), self._random.randbytes(10))
