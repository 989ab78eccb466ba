"""What waits to be recorded, and which of it may share a batch.

A batch is bounded in items, events and bytes. Two items of one stream share a batch only
when neither can make the other wrong; an item that sets a gate, expects a version, creates
its stream or removes other people's jobs has its stream to itself, and one that takes a job from
a holder that is gone does not share a batch with what that holder says of it: a store judges
all items by what was there before. Order within a stream is the order of submission.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from runfold.kernel.event import Draft
from runfold.ports import Item, Outcome, Refusal
from runfold.settings import Settings


class Together:
    """One future for all that is submitted together; its items are answered in their order.

    It stands for the future of each of them: a future of its own would cost an item more than
    its event does.
    """

    def __init__(self, count: int) -> None:
        self.future: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._count, self._outcomes = count, list[Outcome]()

    def done(self) -> bool:
        """Return whether all are answered, one has failed, or nobody waits any more."""
        return self.future.done()

    def set_result(self, outcome: Outcome) -> None:
        """Answer the next item."""
        self._outcomes.append(outcome)
        if len(self._outcomes) == self._count:
            self.future.set_result(self._outcomes)

    def set_exception(self, error: BaseException) -> None:
        """Fail all of them."""
        self.future.set_exception(error)

    def exception(self) -> BaseException | None:
        """Return the error that was set."""
        return self.future.exception()


@dataclass(slots=True, eq=False)
class Submission:
    """An item on its way, with the events as objects for those who read from memory."""

    item: Item
    drafts: Sequence[Draft]
    size: int
    done: asyncio.Future[Outcome] | Together | None
    """Awaited by whoever submitted it; None: ``told`` is called instead, once."""
    told: Callable[[Submission], object] | None = None
    after: Submission | None = None
    """What must have been recorded first: refused with it, without asking the store."""
    answered: Outcome | Exception | None = None
    """What became of it; an exception: nobody knows."""

    def answer(self, answer: Outcome | Exception) -> None:
        """Tell it; whoever was told something else already, or waits no more, is left alone."""
        done, told = self.done, self.told
        if told is not None:
            self.told, self.answered = None, answer
            told(self)
        elif done is None or done.done():
            return
        elif isinstance(answer, Exception):
            done.set_exception(answer)
            # Whoever gave up waiting does not read it: that is no error of its own.
            done.exception()
        else:
            done.set_result(answer)


@dataclass(slots=True)
class Gathered:
    """A batch in the making."""

    parcels: list[list[Submission]] = field(default_factory=list)
    """What was submitted together stays together."""
    exclusive: dict[int | bytes, bool] = field(default_factory=dict)
    leased: set[int] = field(default_factory=set)
    """Jobs of which their holders say something."""
    stalled: set[int] = field(default_factory=set)
    """Jobs whose holders are gone."""


class Waiting:
    """A queue of parcels: submissions that belong into one transaction."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pending: deque[list[Submission]] = deque()

    def __bool__(self) -> bool:
        return bool(self._pending)

    def add(self, parcel: list[Submission]) -> None:
        """Put a parcel behind the others."""
        self._pending.append(parcel)

    def clear(self) -> list[Submission]:
        """Remove everything and return it."""
        pending, self._pending = self._pending, deque()
        return [one for parcel in pending for one in parcel]

    def gather(self) -> Gathered:
        """Remove and return what the next batch holds."""
        settings, pending = self._settings, self._pending
        gathered, items, events, size = Gathered(), 0, 0, 0
        later: deque[list[Submission]] = deque()
        while pending:
            parcel = pending.popleft()
            after = parcel[0].after
            if after is not None and _is_void(parcel, after):
                continue
            # Every item is looked at, also behind one that does not fit: see ``_fits``.
            fits, more, bytes_more = True, 0, 0
            for one in parcel:
                more += len(one.drafts)
                bytes_more += one.size
            if gathered.parcels and (
                items + len(parcel) > settings.batch_items
                or events + more > settings.batch_events
                or size + bytes_more > settings.batch_bytes
            ):
                later.append(parcel)
                break
            for one in parcel:
                fits &= _fits(one.item, gathered)
            if fits:
                gathered.parcels.append(parcel)
                items, events, size = items + len(parcel), events + more, size + bytes_more
            else:
                later.append(parcel)
        later.extend(pending)
        self._pending = later
        return gathered


def _fits(item: Item, gathered: Gathered) -> bool:
    # An item that was left for the next batch keeps its stream closed for those behind
    # it, so that nothing overtakes: it is marked exclusive as well.
    stream = item.id if item.id is not None else item.stream
    alone = (
        item.id is not None
        or item.version is not None
        or item.gate is not None
        or bool(item.drops)
        or item.clears
    )
    leased = None if item.lease is None else item.lease[0]
    exclusive, before = gathered.exclusive, gathered.exclusive.get(stream)
    if before or (
        before is not None
        and (alone or leased in gathered.stalled or item.stalled in gathered.leased)
    ):
        exclusive[stream] = True
        return False
    if before is None:
        exclusive[stream] = alone
    if leased is not None:
        gathered.leased.add(leased)
    if item.stalled is not None:
        gathered.stalled.add(item.stalled)
    return True


def _is_void(parcel: Sequence[Submission], after: Submission) -> bool:
    """Refuse a parcel that builds upon something that was refused or failed."""
    before = after.answered
    if before is None:
        return False
    refusal = Refusal.VERSION if isinstance(before, Exception) else before.refusal
    if refusal is None:
        return False
    for submission in parcel:
        submission.answer(Outcome(refusal))
    return True
