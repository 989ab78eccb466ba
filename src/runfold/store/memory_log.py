"""What a log in memory is made of: the events, and the working rows derived from them.

Jobs that can be claimed, or wait for it in their lane, stand in ``queues``, and timers in
``agenda``, sorted as they will be served; a job that is leased, or whose run's gate is shut,
is in ``jobs`` only.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any
from uuid import uuid4

from runfold.flow.events import ENDS
from runfold.flow.work import Gate
from runfold.ports import Change, Encoded, InboxRow, LogIdentity, Member, Outcome, Stored
from runfold.ports_views import View, ViewPart
from runfold.store.memory_doorbell import Bell
from runfold.store.memory_lanes import Queues, Work
from runfold.store.memory_limits import Limits

SHUT = frozenset({Gate.PAUSED, Gate.CLOSED})
"""Gates under which nothing of the run is claimed."""

Answer = tuple[Sequence[Outcome], datetime, int]
"""What a batch that is sent again is told: its outcomes, its time, its first position."""


@dataclass(slots=True)
class Stream:
    """One stream: what its number stands for, its gate, the positions of its events."""

    id: bytes
    flow: str | None
    gate: int = Gate.OPEN
    positions: list[int] = field(default_factory=list)
    ended: bool = False


@dataclass(slots=True)
class ViewRow:
    """One part of a build: who keeps it, until when, for which log it was made, when it moved."""

    view: View
    identity: LogIdentity
    saved_at: datetime
    until: datetime | None = None


@dataclass(slots=True)
class ViewTables:
    """All views of a log; ``rows`` and ``counts`` by name, version and build, then by key."""

    parts: dict[ViewPart, ViewRow] = field(default_factory=dict)
    rows: dict[tuple[str, int, int], dict[Any, Any]] = field(default_factory=dict)
    counts: dict[tuple[str, int, int], dict[tuple[str, ...], int]] = field(default_factory=dict)


@dataclass(slots=True)
class Log:
    """The log of one namespace and all that is derived from it. Changed only under a lock."""

    identity: LogIdentity
    events: list[Stored] = field(default_factory=list)
    streams: dict[int, Stream] = field(default_factory=dict)
    archived: set[int] = field(default_factory=set)
    """Streams that are in the archive."""
    ids: dict[bytes, int] = field(default_factory=dict)
    jobs: dict[int, Work] = field(default_factory=dict)
    timers: dict[int, Work] = field(default_factory=dict)
    queues: Queues = field(default_factory=Queues)
    limits: Limits = field(default_factory=Limits)
    agenda: list[tuple[datetime, int]] = field(default_factory=list)
    works: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    """By stream: ids of its jobs and timers."""
    members: dict[int, tuple[Member, datetime]] = field(default_factory=dict)
    leader: tuple[int, datetime] | None = None
    batches: dict[tuple[int, int], Answer] = field(default_factory=dict)
    cursors: dict[str, tuple[LogIdentity, int]] = field(default_factory=dict)
    inbox: dict[int, InboxRow] = field(default_factory=dict)
    inbox_last: int = 0
    bell: Bell = field(default_factory=Bell)
    views: ViewTables = field(default_factory=ViewTables)

    def append(self, number: int, events: Sequence[Encoded], ts: datetime) -> None:
        """Record ``events`` as the next of the log and of stream ``number``."""
        log, stream = self.events, self.streams[number]
        positions, new = stream.positions, tuple.__new__  # As ``Stored`` does, with every event.
        position, version = len(log), len(positions)
        for event in events:
            position, version = position + 1, version + 1
            positions.append(position)
            at = (position, number, version, ts)
            log.append(new(Stored, at + event))
        if events:
            stream.ended = events[-1].topic in ENDS

    def of_stream(self, number: int, after: int, upto: int) -> list[Stored]:
        """Return the events of a stream with versions in ``(after, upto]``, in order."""
        known = self.streams.get(number)
        places = known.positions[after:upto] if known else []
        return [self.events[position - 1] for position in places]

    def add_job(self, job: Work, place: int) -> None:
        """Put ``job`` into its queue, or beside it while it is leased or its run's gate shut."""
        self.jobs[job.id] = job
        self.works[job.stream].add(job.id)
        if job.token is not None:
            self.limits.hold(job.id, job.row)
        elif self.streams[job.stream].gate not in SHUT:
            self.queues.put(job, place)

    def lease(self, job: Work, token: int, started: Stored) -> None:
        """Give the ready ``job`` to the member of ``token``; the next of its lane steps up."""
        self.queues.take(job, started.position)
        self.limits.start(job.id, job.row, started.ts)
        job.token = token

    def add_timer(self, timer: Work) -> None:
        """Put ``timer`` on the agenda."""
        assert timer.due is not None
        self.timers[timer.id] = timer
        self.works[timer.stream].add(timer.id)
        insort(self.agenda, (timer.due, timer.id))

    def remove_job(self, number: int, place: int) -> None:
        """Remove the job of this id, wherever it is, for the good of who waits behind it."""
        if work := self.jobs.pop(number, None):
            self._forget(work)
            if work.token is None:
                self._withdraw(work, place)
            else:
                self.limits.free(work.id, work.row)
                if self.queues.parked:
                    self.wake(work.asked, place)

    def wake(self, buckets: Iterable[str], place: int) -> None:
        """Let one lane of each queue that waits for one of ``buckets`` try."""
        for bucket in buckets:
            self.queues.wake(bucket, place)

    def remove_timer(self, number: int) -> Work | None:
        """Remove the timer of this id and return it."""
        if work := self.timers.pop(number, None):
            assert work.due is not None
            del self.agenda[bisect_left(self.agenda, (work.due, number))]
            self._forget(work)
        return work

    def change(self, change: Change, ts: datetime) -> None:
        """Give a job or timer what ``change`` says; it stays where it is."""
        job, timer = self.jobs.get(change.id), self.timers.get(change.id)
        for work in (job, timer):
            if work is not None and change.inputs is not None:
                work.row = work.row._replace(inputs=change.inputs)
        due_at = change.due_at
        if due_at is None and change.delay is not None:
            due_at = ts + timedelta(seconds=change.delay)
        if timer is not None and due_at is not None:
            self.remove_timer(timer.id)
            timer.due = due_at
            self.add_timer(timer)

    def remove_works(self, stream: int, drops: set[tuple[str, int]] | None, place: int) -> None:
        """Remove the stream's jobs and timers of these (step, activation); None: all."""
        for number in list(self.works[stream]):
            job, timer = self.jobs.get(number), self.timers.get(number)
            if job and (drops is None or (job.row.step, job.row.activation) in drops):
                self.remove_job(number, place)
            if timer and (drops is None or (timer.row.step, timer.row.activation) in drops):
                self.remove_timer(number)

    def set_gate(self, number: int, gate: int, place: int) -> None:
        """Set the gate of a run and take its jobs out of their queues, or put them back."""
        was, self.streams[number].gate = self.streams[number].gate, gate
        if (was in SHUT) == (gate in SHUT):
            return
        for job in sorted(self.works[number] & self.jobs.keys()):
            if self.jobs[job].token is not None:
                continue
            if gate in SHUT:
                self._withdraw(self.jobs[job], place)
            else:
                self.queues.put(self.jobs[job], place)

    def is_alive(self, token: int | None, now: datetime) -> bool:
        """Return whether the member of ``token`` is there and renewed in time."""
        known = self.members.get(token) if token is not None else None
        return known is not None and known[1] > now

    def enter(self, rows: Sequence[tuple[bytes, str]]) -> None:
        """Put (run id, body) rows into the inbox."""
        for run_id, body in rows:
            self.inbox_last += 1
            self.inbox[self.inbox_last] = InboxRow(self.inbox_last, run_id, body)

    def _withdraw(self, job: Work, place: int) -> None:
        """Take ``job`` from where it stands; what it might have used is for another lane."""
        if self.queues.take(job, place):
            self.wake(job.asked if job.row.limits else (), place)

    def _forget(self, work: Work) -> None:
        if work.id not in self.jobs and work.id not in self.timers:
            self.works[work.stream].discard(work.id)


class Database:
    """The logs of all namespaces; stores that were attached to one another share it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.logs: dict[str, Log] = {}

    def log(self, namespace: str) -> Log:
        """Return the log of ``namespace``, a new one at first; 1 is the default's."""
        with self.lock:
            if namespace not in self.logs:
                log_id = 1 if namespace == "default" else 2 + len(self.logs.keys() - {"default"})
                self.logs[namespace] = Log(LogIdentity(log_id, uuid4().hex, 1))
            return self.logs[namespace]
