"""One commit in memory: every guard first, then the items, then the claims.

Nothing is written before all guards of the batch are answered, and nothing that follows can
fail, so an item takes effect whole or not at all.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

from runfold.ports import Batch, Committed, Item, Job, Outcome, Refusal, Served
from runfold.store.memory_claim import claim
from runfold.store.memory_lanes import Work
from runfold.store.memory_log import Answer, Log, Stream

BATCHES_KEPT = timedelta(hours=1)
"""How long a batch number is remembered."""
_BECOMES_JOB = ("start", "retry")


def commit(log: Log, batch: Batch, now: datetime) -> Committed:
    """Record ``batch``, or answer as at first when its number was committed before."""
    if known := log.batches.get((batch.appender, batch.number)):
        return Committed(known[0], (), *known[1:], repeated=True)
    found = refusals(log, batch, now)
    ts = max(now, log.events[-1].ts) if log.events else now
    first = len(log.events) + 1
    outcomes: list[Outcome] = []
    for item, refusal in zip(batch.items, found, strict=True):
        if refusal is None:
            outcomes.append(_write(log, item, ts, first))
        else:
            outcomes.append(_refuse(log, item, refusal))
    jobs: list[Job] = []
    served: list[Served] = []
    claimed = len(log.events) + 1
    for asked in batch.claims:
        leased, told = claim(log, asked, ts, claimed)
        jobs += leased
        served.append(told)
    position = first if len(log.events) >= first else 0
    _remember(log, batch, (outcomes, ts, position), now)
    return Committed(outcomes, jobs, ts, position, False, served)


def refusals(log: Log, batch: Batch, now: datetime) -> list[Refusal | None]:
    """Return for each item the first of its guards that does not hold; nothing is written."""
    made: set[bytes] = set()
    found: list[Refusal | None] = []
    for item in batch.items:
        _check(item)
        refusal = Refusal.EXISTS if item.id in made else _refusal(log, item, now)
        if item.id is not None and refusal is None:
            made.add(item.id)
        found.append(refusal)
    return found


def _check(item: Item) -> None:
    """Raise ``ValueError`` for what no caller may send: it would have no place in the log."""
    if not item.events and (item.id or item.rows or item.timer):
        raise ValueError("an item without events makes rows; their ids are places of its events")
    if item.holds is not None and item.lease is None:
        raise ValueError("an item holds what admitted a job, and names no lease: whose limits?")


def _refusal(log: Log, item: Item, now: datetime) -> Refusal | None:
    """Return the first guard of ``item`` that does not hold."""
    stream = Stream(item.id, item.flow) if item.id else log.streams.get(item.stream)
    if item.id is not None and item.id in log.ids:
        return Refusal.EXISTS
    if stream is None:
        return Refusal.MISSING
    if item.leader is not None and (log.leader is None or log.leader[0] != item.leader):
        return Refusal.LEADER
    if item.lease is not None:
        job, token = item.lease
        leased = log.jobs.get(job)
        if leased is None or leased.token != token:
            return Refusal.LEASE
    takes = item.timer is not None or item.stalled is not None or item.inbox is not None
    if takes and not _is_there(log, item, now):
        return Refusal.TIMER
    if item.events and stream.ended:
        return Refusal.ENDED
    if not item.gates >> stream.gate & 1:
        return Refusal.GATE
    if item.version is not None and item.version != len(stream.positions):
        return Refusal.VERSION
    return None


def _is_there(log: Log, item: Item, now: datetime) -> bool:
    """Return whether the timer is due, the job stalled and the inbox row there, if asked."""
    if item.timer is not None:
        timer = log.timers.get(item.timer)
        if timer is None or timer.due is None or timer.due > now:
            return False
    if item.stalled is not None:
        job = log.jobs.get(item.stalled)
        if job is None or job.token is None or log.is_alive(job.token, now):
            return False
    return item.inbox is None or item.inbox in log.inbox


def _refuse(log: Log, item: Item, refusal: Refusal) -> Outcome:
    if refusal is not Refusal.EXISTS:
        return Outcome(refusal)
    if item.inbox is not None:
        log.inbox.pop(item.inbox, None)
    assert item.id is not None
    return Outcome(refusal, log.ids[item.id])


def _write(log: Log, item: Item, ts: datetime, place: int) -> Outcome:
    """Write ``item``; what becomes ready by it and is not new stands at ``place``."""
    first, number = len(log.events) + 1, item.stream
    if item.id is not None:
        number = log.ids[item.id] = first
        log.streams[number] = Stream(item.id, item.flow)
    version = len(log.streams[number].positions) + 1
    log.append(number, item.events, ts)
    if item.limits or item.closures or item.holds is not None:
        _limit(log, item, ts, place)
    if item.gate is not None:
        log.set_gate(number, item.gate, place)
    _remove(log, item, number, place)
    if item.timer is not None:
        timer = log.remove_timer(item.timer)
        if timer is not None and timer.row.kind in _BECOMES_JOB:
            log.add_job(Work(first, number, timer.row), place)
    for change in item.changes:
        log.change(change, ts)
    for row in item.rows:
        work = Work(first + row.event, number, row)
        if row.kind is None:
            log.add_job(work, place)
        else:
            work.due = row.due_at or ts + timedelta(seconds=row.delay or 0)
            log.add_timer(work)
    if not item.events:
        return Outcome(None, number)
    return tuple.__new__(Outcome, (None, number, first, version))  # As it does, with every item.


def _limit(log: Log, item: Item, ts: datetime, place: int) -> None:
    """Take over what ``item`` says about limits and closures."""
    for scope, limits in item.limits:
        leased = [(job.id, job.row) for job in log.jobs.values() if job.token is not None]
        if log.limits.replace(scope, limits, leased):
            log.queues.wake_scope(scope, place)
    if item.closures or item.holds is not None:
        log.limits.forget_closures(ts)
    for closure in item.closures:
        log.limits.close(closure)
        # Closed as well: until when may be sooner than what those who wait were told.
        log.wake((closure.bucket,), place)
    if item.holds is not None and item.lease is not None:
        until = item.holds
        if not isinstance(until, datetime):
            until = ts + timedelta(seconds=until)
        log.limits.hold_off(log.jobs[item.lease[0]].row, until)


def _remove(log: Log, item: Item, number: int, place: int) -> None:
    if item.frees and item.lease is not None:
        log.remove_job(item.lease[0], place)
    if item.stalled is not None:
        log.remove_job(item.stalled, place)
    if item.inbox is not None:
        log.inbox.pop(item.inbox, None)
    if item.clears or item.drops:
        log.remove_works(number, None if item.clears else set(item.drops), place)


def _remember(log: Log, batch: Batch, answer: Answer, now: datetime) -> None:
    log.batches[batch.appender, batch.number] = answer
    for key in list(islice(log.batches, 2)):
        _, kept_since, _ = log.batches[key]
        if kept_since + BATCHES_KEPT < now:
            del log.batches[key]
