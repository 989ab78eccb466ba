"""Erasing what users wrote in a run: first it is said, then done, and done again if need be.

``flow.erased`` is recorded in a stream of its own, with a timer. Page by page the events are
written over; with the last page the timer goes. Whoever is killed in between leaves the timer,
and a timekeeper begins again: what is erased already is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from runfold.errors import LogUnreadable
from runfold.flow.erasure import rest
from runfold.flow.events import FlowErased
from runfold.flow.seal import digest, erased, is_erased, rest_of
from runfold.flow.work import Ready
from runfold.kernel.event import Draft
from runfold.kernel.registry import UnknownEvent
from runfold.ports import Codec, EventLog, Row, Stored
from runfold.ports_archive import Archives, Rest
from runfold.runtime.decisions import rows

ERASE = "erase"
"""The timer of an erasure under way; its id is the number of the stream that says so."""
PAGE = 500
"""How many events one transaction writes over."""
AGAIN_SECONDS = 10.0
"""After which a timekeeper takes up an erasure that is not finished."""


def timer(since: datetime | None = None) -> Row:
    """Return the row of the first event of an erasure, or of one that was recorded ``since``."""
    (row,) = rows("", [Ready(draft=0, kind=ERASE, delay=AGAIN_SECONDS)])
    if since is None:
        return row
    return row._replace(due_at=since + timedelta(seconds=AGAIN_SECONDS), delay=None)


class Erasure:
    """Erases runs of one log."""

    def __init__(self, log: EventLog, archives: Archives, codec: Codec) -> None:
        self._log, self._archives, self._codec = log, archives, codec

    async def finish(self, number: int) -> None:
        """Erase the run of which the stream ``number`` says that it is to be erased.

        Raises ``LogUnreadable`` when it says something else.
        """
        (said,) = await self._log.read_stream(number, limit=1)
        event = self._codec.decode(said.topic, rest_of(said.state))
        if not isinstance(event, FlowErased):
            raise LogUnreadable(said.position, said.topic, "no erasure begins with it")
        await self.erase(event.stream, timer=number)

    async def erase(self, stream: int, *, timer: int) -> None:
        """Write over every event of the run that is not erased, then remove the timer.

        Raises ``LogUnreadable`` for an event that this release does not know.
        """
        after, is_more = 0, True
        while is_more:
            page = await self._log.read_stream(stream, after=after, limit=PAGE)
            is_more = len(page) == PAGE
            after = page[-1].version if page else after
            last = None if is_more else timer
            rests = self._rests(page)
            if rests or last is not None:
                await self._archives.erase(stream, rests, timer=last)

    def _rests(self, page: Sequence[Stored]) -> list[Rest]:
        return [Rest(one.version, self._rest(one)) for one in page if not is_erased(one.state)]

    def _rest(self, stored: Stored) -> bytes:
        try:
            event = self._codec.decode(stored.topic, stored.state)
        except (UnknownEvent, ValueError) as error:
            raise LogUnreadable(stored.position, stored.topic, error) from error
        left = self._codec.encode(Draft(rest(event))).state
        return erased(digest(stored.state, stored.key), left)


async def is_finished(log: EventLog, event: FlowErased) -> bool:
    """Return whether nothing of the run is left to erase: its last event is erased last."""
    version = await log.last_version(event.stream)
    page = await log.read_stream(event.stream, after=version - 1, limit=1)
    return bool(page) and is_erased(page[-1].state)
