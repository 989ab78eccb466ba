"""Group commit: one appender per process gathers items while the batch before them commits.

What may share a batch is said in ``gathering``.

When the database is away the batch stays as it is, under its number, and is sent again:
nothing is decided about its items until the store has answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from runfold.errors import PayloadTooLarge, StoreUnavailable
from runfold.kernel.event import Draft, Recorded
from runfold.ports import (
    Batch,
    Claim,
    Clock,
    Codec,
    Committed,
    Encoded,
    EventLog,
    Item,
    Job,
    LogRewound,
    Outcome,
    Served,
)
from runfold.runtime.answers import recorded_by
from runfold.runtime.gathering import Submission, Together, Waiting
from runfold.settings import Settings

RETRY_DELAY_MAX = 1.0
"""The longest pause, in seconds, before a batch is sent again to a store that is away."""
DOUBT_MAX = 20
"""How many errors a batch may meet that may have been committed before, without an answer."""

_log = logging.getLogger("runfold.appender")


@dataclass(slots=True)
class Counters:
    """What a process has recorded so far."""

    commits: int = 0
    events: int = 0
    refused: int = 0
    repeated: int = 0


class _InDoubt(StoreUnavailable):
    """Whether a batch was committed is not known, and will not be."""


class Claimer(Protocol):
    """Who wants jobs: asked for claims when a batch is built, told what it got."""

    def claims(self, ready: Set[str], opens: bool) -> list[Claim]:
        """Return claims to add to a batch that makes jobs ready in the queues ``ready``.

        ``opens``: it ends attempts, so limits may admit others.
        """
        ...

    def claimed(
        self, claims: Sequence[Claim], jobs: Sequence[Job], served: Sequence[Served]
    ) -> None: ...

    def unanswered(self) -> None:
        """The batch was committed before: ask the store what is held."""
        ...

    def wake(self) -> None:
        """There may be jobs in any queue."""
        ...


class Appender:
    """The one way into the log for everything in this process."""

    def __init__(
        self, log: EventLog, codec: Codec, settings: Settings, *, appender: int, clock: Clock
    ) -> None:
        self._log, self._codec, self._settings, self._clock = log, codec, settings, clock
        self._appender, self._number = appender, 0
        self._waiting = Waiting(settings)
        self._noticed = min(settings.payload_warn, settings.payload_max)
        """An event of more bytes is warned of, or refused."""
        self._wake = asyncio.Event()
        self._closed = False
        self._asked = self._committing = False
        self._seen: tuple[datetime, float] | None = None
        self.claimer: Claimer | None = None
        self.worker = ""
        """The name that this process's claims carry."""
        self.sinks: list[Callable[[list[Recorded]], None]] = []
        """Called after each commit with what it recorded, in order of position."""
        self.after_commit: list[Callable[[Batch], None]] = []
        self.on_rewound: Callable[[], None] = lambda: None
        """Called when the database lacks events that this process has seen."""
        self.on_repeated: Callable[[], None] = lambda: None
        """Called when a batch had been committed before: what it recorded must be read."""
        self.counters = Counters()

    def encode(self, drafts: Sequence[Draft]) -> tuple[list[Encoded], int]:
        """Return the encoded events and their size; raises ``PayloadTooLarge``."""
        encoded: list[Encoded] = []
        size, encode = 0, self._codec.encode
        for draft in drafts:
            event = encode(draft)
            length = len(event.state)
            size += length
            if length > self._noticed:
                self._check_size(event.topic, event.step, length)
            encoded.append(event)
        return encoded, size

    def _check_size(self, topic: str, step: str | None, length: int) -> None:
        where = f"{topic!r}" + (f" of step {step!r}" if step else "")
        if length > self._settings.payload_max:
            raise PayloadTooLarge(
                f"event {where} is {length} bytes, the limit is {self._settings.payload_max}; "
                "store the value elsewhere and pass a reference, or raise Settings.payload_max",
                details={"field": topic, "size": length, "max": self._settings.payload_max},
            )
        _log.warning("event %s is %d bytes: large values make every fold slower", where, length)

    def submit(
        self,
        drafts: Sequence[Draft],
        **item: Any,
    ) -> asyncio.Future[Outcome]:
        """Put an item into the next batch; return the future of its outcome.

        ``item`` are the fields of ``ports.Item`` but ``events``. Raises ``PayloadTooLarge``.
        """
        return self.take(drafts, Item((), **item))

    def take(self, drafts: Sequence[Draft], item: Item) -> asyncio.Future[Outcome]:
        """Put ``item`` into the next batch, as ``submit``; it gets the events."""
        item.events, size = self.encode(drafts)
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._send_off([Submission(item, drafts, size, done)])
        return done

    def hand_in(
        self,
        drafts: Sequence[Draft],
        item: Item,
        size: int,
        told: Callable[[Submission], object],
        after: Submission | None,
    ) -> Submission:
        """Put ``item``, made of ``drafts``, ``size`` bytes of events, into the next batch.

        ``told`` is called at once when there is an answer. ``after``: an item of the same stream
        that this one builds upon; it is refused when that is.
        """
        submission = Submission(item, drafts, size, None, told, after)
        self._send_off([submission])
        return submission

    def submit_together(
        self, items: Sequence[tuple[Sequence[Draft], dict[str, Any]]]
    ) -> asyncio.Future[list[Outcome]]:
        """Put several items, each of a stream of its own, into one transaction, however many.

        A draft that stands in more than one of them is encoded once.
        """
        together, known, parcel = Together(len(items)), dict[int, Encoded](), list[Submission]()
        for drafts, fields in items:
            new = [draft for draft in drafts if id(draft) not in known]
            known.update(zip(map(id, new), self.encode(new)[0], strict=True))
            encoded = [known[id(draft)] for draft in drafts]
            size = sum(len(event.state) for event in encoded)
            parcel.append(Submission(Item(events=encoded, **fields), drafts, size, together))
        self._send_off(parcel)
        return together.future

    def _send_off(self, parcel: list[Submission]) -> None:
        if self._closed:
            raise StoreUnavailable("this Runfold was left; enter it again before you use it")
        self._waiting.add(parcel)
        self._wake.set()

    def ask(self) -> None:
        """Have the claimer asked soon, also when there is nothing to record."""
        self._asked = True
        self._wake.set()

    def see(self, ts: datetime) -> None:
        """Learn what the store's clock says now."""
        self._seen = (ts, self._clock.monotonic())

    def now(self) -> datetime | None:
        """Return about what the store's clock says, None when it never said anything."""
        known = self._clock.now()
        if known is not None or self._seen is None:
            return known
        ts, at = self._seen
        past = self._clock.monotonic() - at
        return ts + timedelta(seconds=past) if past else ts

    @property
    def idle(self) -> bool:
        """True when nothing waits to be committed, or is being committed."""
        return not (self._waiting or self._asked or self._committing)

    async def run(self) -> None:
        """Commit batch after batch until ``close`` was called and nothing is left."""
        try:
            while not (self._closed and self.idle):
                await self._wake.wait()
                if await self.turn():
                    # Those who were answered just now may have more: it goes with the next batch.
                    await asyncio.sleep(0)
        finally:
            self._closed = True
            self._fail_pending()

    def close(self) -> None:
        """Refuse new items; ``run`` returns when those accepted are committed."""
        self._closed = True
        self._wake.set()

    async def turn(self) -> bool:
        """Commit one batch; return False when there was nothing to do."""
        gathered = self._waiting.gather()
        submissions = [one for parcel in gathered.parcels for one in parcel]
        claims = self._claims(submissions)
        self._asked = False
        if not self._waiting and not self._closed:
            self._wake.clear()
        if not submissions and not claims:
            return False
        self._committing = True
        try:
            await self._commit_or_split(gathered.parcels, submissions, claims)
        except BaseException as error:
            self._fail(submissions, error)
            raise
        finally:
            self._committing = False
        return True

    async def _commit_or_split(
        self,
        parcels: Sequence[Sequence[Submission]],
        submissions: Sequence[Submission],
        claims: Sequence[Claim],
    ) -> None:
        """Record all in one transaction; when that is refused as a whole, one by one."""
        batch = self._batch(submissions, claims)
        try:
            committed = await self.send(batch)
        except _InDoubt as error:
            # Nothing of it goes again under another number: it may be in the log already.
            # Those who wait look there.
            self._fail(submissions, error)
            if self.claimer is not None:
                self.claimer.unanswered()
            self.on_repeated()
            return
        except Exception:  # One bad item must not take those of others with it.
            _log.exception("a batch was rolled back; what it held goes singly")
            if self.claimer is not None and claims:
                self.claimer.unanswered()
        else:
            self._settle(batch, submissions, committed)
            return
        for parcel in parcels:
            batch = self._batch(parcel, ())
            try:
                committed = await self.send(batch)
            except Exception as error:  # The caller of this item alone is told.
                self._fail(parcel, error)
            else:
                self._settle(batch, parcel, committed)

    def _batch(self, submissions: Sequence[Submission], claims: Sequence[Claim]) -> Batch:
        self._number += 1
        return Batch(
            appender=self._appender,
            number=self._number,
            items=[submission.item for submission in submissions],
            claims=claims,
            now=self._clock.now(),
        )

    def _claims(self, submissions: Sequence[Submission]) -> list[Claim]:
        if self.claimer is None:
            return []
        ready: set[str] = set()
        opens = False
        for submission in submissions:
            item = submission.item
            if item.timer is not None or item.gate is not None or item.closures or item.limits:
                # A due timer becomes a job, an open gate or limit unblocks jobs: in queues that
                # the item does not name.
                self.claimer.wake()
            opens |= item.frees or item.clears or bool(item.drops) or item.stalled is not None
            for row in item.rows:
                if row.kind is None:
                    ready.add(row.queue)
        return self.claimer.claims(frozenset(ready), opens)

    async def send(self, batch: Batch) -> Committed:
        """Return the store's answer; one that is away is asked again, with the same number.

        A batch that is not this appender's own changes nothing for its readers.
        """
        delay, doubts = 0.02, -1
        while True:
            try:
                return await self._log.commit(batch)
            except StoreUnavailable as error:
                _log.warning("batch %d waits for the database: %s", batch.number, error)
                doubts = max(doubts, 0)
            except LogRewound as error:
                _log.error("%s", error)
                self.on_rewound()
            except Exception as error:
                # It rolled this one back. An earlier one, unanswered, may have been committed.
                if doubts < 0:
                    raise
                doubts += 1
                if doubts > DOUBT_MAX:
                    raise _InDoubt(
                        f"the database did not say whether it has recorded this: {error}"
                    ) from error
                _log.exception("batch %d may have been committed; asked again", batch.number)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_DELAY_MAX)

    def _settle(
        self, batch: Batch, submissions: Sequence[Submission], committed: Committed
    ) -> None:
        recorded = recorded_by(submissions, batch.claims, committed, self.worker)
        if committed.ts is not None:
            self.see(committed.ts)
        counters = self.counters
        counters.commits += 1
        counters.events += len(recorded)
        counters.repeated += committed.repeated
        if recorded:
            for sink in self.sinks:
                sink(recorded)
        for submission, outcome in zip(submissions, committed.outcomes, strict=True):
            counters.refused += outcome.refusal is not None
            submission.answer(outcome)
        if self.claimer is not None and batch.claims:
            if committed.repeated:
                self.claimer.unanswered()
            else:
                self.claimer.claimed(batch.claims, committed.jobs, committed.served)
        if committed.repeated:
            self.on_repeated()
        if recorded or committed.repeated:
            for hook in self.after_commit:
                hook(batch)

    def _fail(self, submissions: Sequence[Submission], error: BaseException) -> None:
        told = (
            error
            if isinstance(error, Exception)
            else StoreUnavailable(
                "the engine stopped before the store answered; whether this was recorded is unknown"
            )
        )
        for submission in submissions:
            submission.answer(told)

    def _fail_pending(self) -> None:
        self._fail(
            self._waiting.clear(),
            StoreUnavailable("this Runfold was left before it could record this"),
        )
