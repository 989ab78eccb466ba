"""What a store does with runs that have ended long ago: it keeps them in an archive.

Log and archive together are the truth, and readers see them as one. A run moves whole, in one
transaction under the log's lock, and never back; the run of the newest event stays, so that the
last position can always be read from the log itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from runfold.items import Stored

EVENTS_MAX = 5000
"""After how many events one transaction takes no further run; the first is taken whole."""
AGAIN_SECONDS = 5.0
"""How long the timer of the newest event's run is put off."""


class Wanted(NamedTuple):
    """Which events a reader wants, of all that it passes."""

    topics: Sequence[str]
    part: int = 0
    parts: int = 1
    """Only those of streams that ``stream % parts`` gives ``part``."""
    shared: Sequence[str] = ()
    """Of these topics, whatever the stream."""


class Counted(NamedTuple):
    """How many events there are where, at one moment."""

    log: int
    archive: int
    head: int
    """The position of the last event: as many as there are in both."""


class Rest(NamedTuple):
    """What is left of an event that is erased."""

    version: int
    state: bytes


class Archives(Protocol):
    """The archive of one log, and what happens to runs in it or on their way there."""

    async def archive(self, streams: Sequence[int], *, now: datetime | None = None) -> int:
        """Move those of these runs that have ended, in this order; return how many were moved.

        One transaction: once it has moved ``EVENTS_MAX`` events it leaves the rest of ``streams``
        for another call. The timer of kind ``archive`` of a run goes with it; that of the newest
        event's run, which is not moved, is put off by ``AGAIN_SECONDS``. What is no run, is open
        or is in the archive already is left as it is.
        """
        ...

    async def archivable(self, *, after: int, before: datetime, limit: int) -> list[int]:
        """Return numbers above ``after`` of runs in the log that ended by ``before``, in order."""
        ...

    async def archived(self, streams: Sequence[int]) -> set[int]:
        """Return those of these streams that are in the archive."""
        ...

    async def read_wanted(self, wanted: Wanted, *, after: int, upto: int) -> list[Stored]:
        """Return the events with positions in ``(after, upto]`` that are wanted, in order.

        Of the log and the archive as they are at one moment.
        """
        ...

    async def erase(self, stream: int, rests: Sequence[Rest], *, timer: int | None = None) -> None:
        """Store ``rests`` in place of these events of a run, in the log or in the archive.

        One transaction. Their keys and their blobs go as well, blobs unless another event has
        the same. ``timer``: the last of a run; the timer of this id goes with it, and what the
        database still has of older transactions is overwritten, as far as it lets us.
        """
        ...

    async def counted(self) -> Counted:
        """Return how many events are in the log and in the archive, read in one statement."""
        ...
