"""What crosses the border between the engine and a store, as plain values.

A store records *items*. An item is some events of one stream, the guards under which they
may be recorded, and the rows that go with them; it takes effect whole or not at all. A
``Batch`` of items is one transaction and one call: the store takes the log's lock first,
then reads what the guards need, then writes the items whose guards held, then serves the
claims (which see those writes), and commits. Two items of one batch that touch one stream
are independent of each other: ``runtime/appender.py`` sees to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple


class Encoded(NamedTuple):
    """An event as a store writes it."""

    topic: str
    state: bytes
    step: str | None = None
    activation: int | None = None
    attempt: int | None = None
    key: str | None = None
    cause: int | None = None


class Stored(NamedTuple):
    """An event as a store reads it (``state`` resolved, also when it was kept as a blob)."""

    position: int
    stream: int
    version: int
    ts: datetime
    topic: str
    state: bytes
    step: str | None
    activation: int | None
    attempt: int | None
    key: str | None
    cause: int | None


class Row(NamedTuple):
    """A job that is ready (``kind`` None) or a timer, made by event ``event`` of its item.

    Its id is that event's position. ``due_at`` is a moment, ``delay`` seconds after the commit
    by the store's clock; of both, the moment counts. A timer of kind ``start`` or ``retry``
    becomes the job with these columns when it comes due.
    """

    event: int
    kind: str | None
    due_at: datetime | None
    delay: float | None
    flow: str
    step: str
    activation: int
    attempt: int
    queue: str
    priority: int
    key: str | None
    inputs: str | None
    """JSON of ``flow.work.Ready.inputs``."""
    limits: tuple[str, ...] = ()
    """The buckets that must admit the job, beside those of its whole queue (``Limit.id``, with
    ``=`` and the value of its key where it is keyed). Jobs of one queue with the same buckets
    form a *lane*: only its first job of each priority can be claimed, and lanes take turns."""


class Limit(NamedTuple):
    """One limit as a store enforces it, under the log's lock, across all workers.

    ``id`` is ``<scope>#<n>``; the scope is ``queue:<name>`` or ``step:<flow>/<step>``.
    ``concurrency``: at most ``max`` leased jobs of a bucket. ``rate``: at most ``max`` starts of
    a bucket in any ``per`` seconds. A bucket without a limit of its id admits everything.
    """

    id: str
    kind: str
    max: int
    per: float | None
    keyed: bool
    """One bucket for each value of the key. A limit of a queue that is not keyed is asked once
    a claim, for the whole queue; every other one belongs to the lanes."""


class Closure(NamedTuple):
    """A bucket, a whole queue (``queue:<name>``) or one key of it (``queue:<name>=<key>``)
    that admits nothing until then; ``until`` None opens it."""

    bucket: str
    until: datetime | None


class Change(NamedTuple):
    """Another input, or another due time, for the job or timer of this id, which nobody leases.

    It keeps its place. With neither moment nor delay a timer keeps its time.
    """

    id: int
    inputs: str | None
    """None: as they were."""
    due_at: datetime | None = None
    delay: float | None = None
    """Seconds after the commit; of both, the moment counts."""


@dataclass(slots=True)
class Item:
    """Some events of one stream, their guards and their rows: all or nothing.

    Nobody changes one but who makes it; that is not enforced, which would make it dearer.
    """

    events: Sequence[Encoded]
    stream: int = 0
    """The stream's number; 0 for a stream that this item creates under ``id``."""
    id: bytes | None = None
    """The 16 bytes of a new stream's UUID. Refused with EXISTS when there is such a stream."""
    flow: str | None = None
    """With ``id``: the name of the run's flow (None for streams that are no runs)."""

    version: int | None = None
    """Guard: the stream is at exactly this version."""
    gates: int = 0b1111
    """Guard: the run's gate is one of these (bit mask over ``flow.work.Gate``)."""
    leader: int | None = None
    """Guard: this token holds the log's dispatcher lease."""
    lease: tuple[int, int] | None = None
    """Guard: the job of this id is leased by the member of this token."""
    timer: int | None = None
    """Guard: the timer of this id exists and is due. It is removed; of kind ``start`` or
    ``retry`` it becomes a ready job whose id is the position of the item's first event."""
    stalled: int | None = None
    """Guard: the job of this id is leased by a token without a live member. It is removed."""
    inbox: int | None = None
    """Guard: this row of the inbox exists. It is removed, also when ``id`` EXISTS already."""

    frees: bool = False
    """Remove the job of ``lease``."""
    rows: Sequence[Row] = ()
    drops: Sequence[tuple[str, int]] = ()
    """Remove jobs and timers of these (step, activation) of the stream, leased or not."""
    clears: bool = False
    """Remove every job and timer of the stream: its run ends with this item."""
    changes: Sequence[Change] = ()
    """Rows of the stream that were made by earlier batches and take other values."""
    gate: int | None = None
    """Set the run's gate; ready jobs of the stream are blocked or unblocked accordingly."""
    limits: Sequence[tuple[str, Sequence[Limit]]] = ()
    """Replace all limits of each of these scopes."""
    closures: Sequence[Closure] = ()
    """Close and open these."""
    holds: datetime | float | None = None
    """Close everything that admitted the job of ``lease`` (its lane's buckets, and the limits of
    its whole queue) until that moment, or for so many seconds after the commit."""


class Refusal(IntEnum):
    """Why an item was not recorded. Checked in this order."""

    EXISTS = 1
    """The id is taken; ``Outcome.stream`` is the number of the stream that has it."""
    MISSING = 2
    """No such stream."""
    LEADER = 3
    LEASE = 4
    TIMER = 5
    """The timer, inbox row or stalled job is gone, not due, or alive."""
    ENDED = 6
    """The stream's last event is an end."""
    GATE = 7
    VERSION = 8


class Outcome(NamedTuple):
    """What became of an item: recorded at ``position`` and ``version`` (of its first event), or
    refused."""

    refusal: Refusal | None
    stream: int = 0
    position: int = 0
    version: int = 0


class Claim(NamedTuple):
    """Lease up to ``limit`` ready jobs of ``queue`` to the member of ``token``.

    Best priority first (10 before 1), first ready first inside one. Only jobs of
    ``targets`` (flow, step) are taken. Each is answered with a ``step.started`` event of
    state ``state`` in its run's stream.
    """

    queue: str
    limit: int
    token: int
    state: bytes
    targets: Sequence[tuple[str, str]]
    floors: Sequence[int] = ()
    """For priorities 10 down to 1, a place below which nothing of this queue and these targets
    is ready; a scan starts there. Empty: from the beginning."""


class Served(NamedTuple):
    """What else a claim is told."""

    floors: tuple[int, ...]
    """``Claim.floors`` of the next claim of this queue by the same member."""
    wait: float | None
    """Seconds until a job that time alone holds back (a rate window, a closure) may be ready;
    None when there is none."""
    is_member: bool = True
    """False: the token is no member's (any more). It gets nothing, and nothing was looked at."""


@dataclass(slots=True)
class Job:
    """A leased job, as the worker that claimed it gets it; nobody changes one."""

    id: int
    stream: int
    run_id: bytes
    flow: str
    step: str
    activation: int
    attempt: int
    queue: str
    priority: int
    key: str | None
    inputs: str | None
    position: int
    """The position of its ``step.started``."""
    version: int
    """The version of its ``step.started``."""
    ts: datetime


@dataclass(slots=True)
class Batch:
    """One transaction; nobody changes one. ``(appender, number)`` is unique: sent again, it
    answers as at first."""

    appender: int
    number: int
    items: Sequence[Item] = ()
    claims: Sequence[Claim] = ()
    now: datetime | None = None
    """Only from tests and simulation; None: the store's own clock, read under the lock."""


@dataclass(slots=True)
class Committed:
    """The answer to a batch; nobody changes one. ``repeated``: it had been committed before;
    ``jobs`` is then empty and the claimer asks ``Jobs.leased`` what it holds."""

    outcomes: Sequence[Outcome]
    jobs: Sequence[Job] = ()
    ts: datetime | None = None
    first_position: int = 0
    """Position of the batch's first event, 0 when it recorded none; they are contiguous, in the
    order of the items, then of the claimed jobs."""
    repeated: bool = False
    served: Sequence[Served] = ()
    """One for each claim of the batch; empty when ``repeated``."""


class Name(NamedTuple):
    """What a stream number stands for."""

    id: bytes
    flow: str | None


class Due(NamedTuple):
    """A timer whose time has come."""

    id: int
    stream: int
    kind: str
    step: str
    activation: int
    attempt: int
    queue: str
    key: str | None


class Upcoming(NamedTuple):
    """A run of which something waits to be claimed, and where in the line."""

    stream: int
    place: tuple[int, int, int, int, int]
    """Section, rank, turn, place in the turn, id: lower ones are claimed first. Sections: 0 in
    line, 1 held back by a limit, 2 its run is paused, 3 due later (the place: microseconds)."""


class QueueState(NamedTuple):
    """A queue as the working tables have it now."""

    name: str
    ready: int
    blocked: int
    """Held back by a limit, a closure, its place in a lane or the gate of its run."""
    leased: int
    delayed: int
    """Due later."""
    closed_until: datetime | None
    """Paused until then (``datetime.max`` in UTC: until resumed)."""
    closed_keys: tuple[tuple[str, datetime], ...]
    limits: tuple[Limit, ...]


class Holder(NamedTuple):
    """An activation whose leased job a concurrency limit counts."""

    stream: int
    step: str
    activation: int


class BucketUse(NamedTuple):
    """What counts against a bucket now, or closes it."""

    bucket: str
    limit: Limit | None
    """None: there is no such limit (any more), or the name is that of a queue or a key."""
    closed_until: datetime | None
    """``datetime.max`` in UTC: until opened by hand."""
    holders: tuple[Holder, ...]
    starts: tuple[datetime, ...]
    """Those that a rate counts, oldest first."""


class Stalled(NamedTuple):
    """A leased job whose member is gone."""

    id: int
    stream: int
    step: str
    activation: int
    attempt: int
    queue: str
    key: str | None


class Member(NamedTuple):
    """One process of the engine, for as long as it renews."""

    token: int
    name: str
    roles: str


class LogIdentity(NamedTuple):
    """Which log this is. A cursor of another identity or generation is refused."""

    log_id: int
    identity: str
    generation: int


class InboxRow(NamedTuple):
    """A start that a caller wrote inside its own transaction, now committed."""

    id: int
    run_id: bytes
    body: str
    """JSON: ``{"target", "input", "key"?, "tags"?, "definition"?, ...}``."""
