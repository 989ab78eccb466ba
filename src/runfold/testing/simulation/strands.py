"""Who runs side by side in a simulation, and whose turn is next.

    strand      a task of the engine, or a whole handler with all tasks that it starts; its
                callbacks run in the order in which they became ready, as asyncio promises
    strands     side by side: which of the ready ones goes next is chance, anew for each callback

A strand belongs to a host, a simulated process. A host that is killed never runs again, not
even the ``finally`` of what it was doing; one that is frozen goes on where it was.

Each strand draws by itself how long it lets others go before it, from numbers that follow from
the seed, its host and its name alone. These spans are exponential, so that at any time each of
the ready strands is as likely to be the next. And what one strand does more or less often leaves
the numbers of the others as they are: a seed still means much the same when another part of the
engine has changed.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from hashlib import blake2b
from heapq import heapify, heappop, heappush, heapreplace
from math import log

_FACTOR, _ADDEND, _MASK = 6364136223846793005, 1442695040888963407, 2**64 - 1
"""Of a linear congruential generator."""
_MOST = log(2**64)
_STRIDE = 0x9E3779B97F4A7C15
"""From one number of a host to the next: 2**64 by the golden ratio."""


class Host:
    """A simulated process, as the loop sees it; ``birth``: how often it had begun before."""

    __slots__ = ("_firsts", "_root", "is_dead", "name", "parked")

    def __init__(self, name: str, seed: int, birth: int = 0) -> None:
        self.name, self._root = name, f"{seed}/{name}/{birth}"
        self._firsts: dict[str, int] = {}
        self.is_dead = False
        self.parked: list[Strand] | None = None
        """While frozen: what would be ready."""

    @property
    def is_up(self) -> bool:
        """Neither dead nor frozen."""
        return not self.is_dead and self.parked is None

    def first(self, name: str) -> int:
        """Return the number from which the next strand called ``name`` draws its turns."""
        last = self._firsts.get(name)
        if last is None:
            # Never ``hash``, which differs from process to process.
            text = f"{self._root}/{name}"
            last = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
        self._firsts[name] = (last + _STRIDE) & _MASK
        # SplitMix64: neighbours in, numbers that have nothing to do with each other out.
        mixed = (last ^ last >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
        return mixed ^ mixed >> 31


class Strand:
    """Callbacks that keep their order. ``is_idling``: its timers only look for work."""

    __slots__ = ("_drawn", "host", "is_idling", "queue")

    def __init__(self, host: Host, name: str, *, is_idling: bool = False) -> None:
        self.host, self.is_idling = host, is_idling
        self.queue: deque[asyncio.Handle] = deque()
        self._drawn = host.first(name)

    def turn(self, now: float) -> float:
        """Draw when it goes next, from ``now``, when the last one went."""
        self._drawn = drawn = (self._drawn * _FACTOR + _ADDEND) & _MASK
        return now + _MOST - log(drawn + 1)

    def context(self) -> contextvars.Context:
        """Return a copy of the current context in which things belong to this strand."""
        context = contextvars.copy_context()
        context.run(STRAND.set, self)
        return context

    def __lt__(self, other: object) -> bool:
        """Return False: of two that drew the same turn, either may go."""
        return False


STRAND: contextvars.ContextVar[Strand] = contextvars.ContextVar("strand")
"""On whose behalf this code runs."""


class Runnable:
    """The strands that are ready, by their turns."""

    __slots__ = ("_heap", "_now")

    def __init__(self) -> None:
        self._heap: list[tuple[float, Strand]] = []
        self._now = 0.0

    def __bool__(self) -> bool:
        """Whether any strand is ready."""
        return bool(self._heap)

    def add(self, strand: Strand) -> None:
        """Let ``strand`` draw its turn."""
        heappush(self._heap, (strand.turn(self._now), strand))

    def next(self) -> asyncio.Handle | None:
        """Remove the callback that goes next, and return it; None when no strand is ready."""
        heap = self._heap
        if not heap:
            return None
        self._now, strand = heap[0]
        queue = strand.queue
        handle = queue.popleft()
        if queue:
            heapreplace(heap, (strand.turn(self._now), strand))
        else:
            heappop(heap)
        return handle

    def take(self, host: Host) -> list[Strand]:
        """Remove those of ``host``, and return them."""
        taken = [entry for entry in self._heap if entry[1].host is host]
        self._heap[:] = [entry for entry in self._heap if entry[1].host is not host]
        heapify(self._heap)
        return [strand for _, strand in sorted(taken)]
