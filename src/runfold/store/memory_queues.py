"""What people are told about the queues of a log in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime

from runfold.ports import QueueState
from runfold.store.memory_log import Log

PREFIX = "queue:"


def counts(log: Log) -> dict[str, tuple[int, int]]:
    """Return (ready, leased) by queue, of queues that have either."""
    ready = _ready(log)
    leased = Counter(job.row.queue for job in log.jobs.values() if job.token is not None)
    return {name: (ready[name], leased[name]) for name in ready | leased}


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
