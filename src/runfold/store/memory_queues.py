"""What people are told about the queues of a log in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from runfold.ports import BucketUse, Holder, QueueState, Upcoming
from runfold.store.buckets import PRIORITY_MAX, limit_of
from runfold.store.memory_lanes import Lane
from runfold.store.memory_log import SHUT, Log

PREFIX = "queue:"
_EPOCH, _MICRO = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_Placed = tuple[int, tuple[int, int, int, int, int]]
"""A stream, and a place as ``Upcoming`` has it."""


def counts(log: Log) -> dict[str, tuple[int, int]]:
    """Return (ready, leased) by queue, of queues that have either."""
    ready = _ready(log)
    leased = Counter(job.row.queue for job in log.jobs.values() if job.token is not None)
    return {name: (ready[name], leased[name]) for name in ready | leased}


def uses(log: Log, buckets: Sequence[str], now: datetime) -> list[BucketUse]:
    """Return what counts against each of ``buckets``, or closes it."""
    limits, found = log.limits, list[BucketUse]()
    for bucket in buckets:
        jobs = [log.jobs[job] for job in sorted(limits.holds.get(bucket, ()))]
        until = limits.closures.get(bucket)
        found.append(
            BucketUse(
                bucket,
                limits.known.get(limit_of(bucket)),
                until if until is not None and until > now else None,
                tuple(Holder(job.stream, job.row.step, job.row.activation) for job in jobs),
                tuple(at for at, over in limits.starts.get(bucket, ()) if over > now),
            )
        )
    return found


def states(log: Log, now: datetime) -> list[QueueState]:
    """Return every queue that has jobs, timers, limits or a closure, by name."""
    ready = _ready(log)
    leased = Counter(job.row.queue for job in log.jobs.values() if job.token is not None)
    jobs = Counter(job.row.queue for job in log.jobs.values())
    delayed = Counter(
        timer.row.queue for timer in log.timers.values() if timer.row.kind in {"start", "retry"}
    )
    queues, keys = _closed(log, now)
    limited = {
        scope.removeprefix(PREFIX) for scope in log.limits.scopes if scope.startswith(PREFIX)
    }
    return [
        QueueState(
            name,
            ready[name],
            jobs[name] - ready[name] - leased[name],
            leased[name],
            delayed[name],
            queues.get(name),
            tuple(sorted(keys.get(name, ()))),
            log.limits.scopes.get(f"{PREFIX}{name}", ()),
        )
        for name in sorted({*jobs, *delayed, *limited, *queues, *keys})
    ]


def line(log: Log, queue: str | None) -> list[Upcoming]:
    """Return runs with something that waits to be claimed, as workers will take them."""
    first: dict[int, tuple[int, int, int, int, int]] = {}
    for stream, place in sorted([*_in_line(log, queue), *_later(log, queue)], key=_by_place):
        first.setdefault(stream, place)
    return [Upcoming(stream, place) for stream, place in first.items()]


def _in_line(log: Log, queue: str | None) -> Iterator[_Placed]:
    turns: Counter[tuple[Lane, int]] = Counter()
    ready = {number for found in log.queues.ready.values() for _, _, number in found}
    # The head of a lane first, then those behind it by id.
    for job in sorted(log.jobs.values(), key=lambda job: (job.id not in ready, job.id)):
        if job.token is not None or queue not in (None, job.row.queue):
            continue
        rank = PRIORITY_MAX - job.row.priority
        if log.streams[job.stream].gate in SHUT:
            yield job.stream, (2, rank, 1, job.id, job.id)
        elif not job.row.limits:
            yield job.stream, (0, rank, 1, job.place, job.id)
        else:
            lane, parked = (job.lane, job.row.priority), log.queues.parked.get(job.lane)
            turns[lane] += 1
            place = parked.place if parked else log.queues.heads[lane].place
            yield job.stream, (int(parked is not None), rank, turns[lane], place, job.id)


def _later(log: Log, queue: str | None) -> Iterator[_Placed]:
    for due, number in log.agenda:
        timer = log.timers[number]
        if timer.row.kind in {"start", "retry"} and queue in (None, timer.row.queue):
            yield timer.stream, (3, 0, 0, (due - _EPOCH) // _MICRO, number)


def _by_place(placed: _Placed) -> tuple[int, ...]:
    return placed[1]


def _closed(
    log: Log, now: datetime
) -> tuple[dict[str, datetime], dict[str, list[tuple[str, datetime]]]]:
    """Return until when queues are closed, and which keys of them."""
    queues: dict[str, datetime] = {}
    keys: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for bucket, until in log.limits.closures.items():
        place, is_key, key = bucket.partition("=")
        if until <= now or not place.startswith(PREFIX) or "#" in place:
            continue
        if is_key:
            keys[place.removeprefix(PREFIX)].append((key, until))
        else:
            queues[place.removeprefix(PREFIX)] = until
    return queues, keys


def _ready(log: Log) -> Counter[str]:
    return Counter({name: len(found) for name, found in log.queues.ready.items() if found})
