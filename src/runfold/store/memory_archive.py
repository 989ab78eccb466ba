"""The archive in memory: a mark on the run, for an event costs the same wherever it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from runfold.ports import Stored
from runfold.ports_archive import AGAIN_SECONDS, EVENTS_MAX, Counted, Rest, Wanted
from runfold.store.memory_log import Log

_KIND = "archive"


class MemoryArchive:
    """``ports_archive.Archives``."""

    if TYPE_CHECKING:
        _log: Log
        _lock: Lock

        def _now(self, given: datetime | None) -> datetime: ...

    async def archive(self, streams: Sequence[int], *, now: datetime | None = None) -> int:
        """Move those of these runs that have ended, in this order; return how many were moved."""
        with self._lock:
            return _archive(self._log, streams, self._now(now))

    async def archivable(self, *, after: int, before: datetime, limit: int) -> list[int]:
        """Return numbers above ``after`` of runs in the log that ended by ``before``, in order."""
        with self._lock:
            log = self._log
            return [
                number
                for number in sorted(log.streams)
                if number > after
                and _has_ended(log, number)
                and number not in log.archived
                and log.events[log.streams[number].positions[-1] - 1].ts <= before
            ][:limit]

    async def archived(self, streams: Sequence[int]) -> set[int]:
        """Return those of these streams that are in the archive."""
        with self._lock:
            return self._log.archived & set(streams)

    async def read_wanted(self, wanted: Wanted, *, after: int, upto: int) -> list[Stored]:
        """Return the events with positions in ``(after, upto]`` that are wanted, in order."""
        topics, part, parts, shared = wanted
        with self._lock:
            return [
                one
                for one in self._log.events[after:upto]
                if one.topic in topics and (one.stream % parts == part or one.topic in shared)
            ]

    async def erase(self, stream: int, rests: Sequence[Rest], *, timer: int | None = None) -> None:
        """Store ``rests`` in place of these events of a run."""
        with self._lock:
            log = self._log
            positions = log.streams[stream].positions
            for version, state in rests:
                place = positions[version - 1] - 1
                log.events[place] = log.events[place]._replace(state=state, key=None)
            if timer is not None:
                log.remove_timer(timer)

    async def counted(self) -> Counted:
        """Return how many events are in the log and in the archive, read at one moment."""
        with self._lock:
            log = self._log
            gone = sum(len(log.streams[number].positions) for number in log.archived)
            return Counted(len(log.events) - gone, gone, len(log.events))


def _has_ended(log: Log, number: int) -> bool:
    stream = log.streams.get(number)
    return stream is not None and stream.flow is not None and stream.ended


def _archive(log: Log, streams: Sequence[int], now: datetime) -> int:
    runs = events = 0
    for number in streams:
        if not _has_ended(log, number):
            continue
        timers = [one for one in log.works[number] if _is_of_archive(log, one)]
        if number == log.events[-1].stream:
            for timer in timers:
                _put_off(log, timer, now + timedelta(seconds=AGAIN_SECONDS))
            continue
        if events >= EVENTS_MAX:
            break
        for timer in timers:
            log.remove_timer(timer)
        if number not in log.archived:
            log.archived.add(number)
            runs, events = runs + 1, events + len(log.streams[number].positions)
    return runs


def _is_of_archive(log: Log, number: int) -> bool:
    return number in log.timers and log.timers[number].row.kind == _KIND


def _put_off(log: Log, number: int, due: datetime) -> None:
    timer = log.remove_timer(number)
    assert timer is not None
    timer.due = due
    log.add_timer(timer)
