"""The one writer of decisions: folds the log in order and appends what ``decide`` returns.

One dispatcher per log leads; its token guards every decision under the log's lock, so a
frozen one that wakes up decides nothing. The cursor only says where to start reading;
``decide`` is level-triggered, so reading something again decides nothing twice, and a
slow sweep over open runs finds what was missed.

A run is not decided for again before what was last decided for it has been folded.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence, Set
from functools import partial

from runfold.flow.decide import decide
from runfold.flow.events import (
    ENDS,
    Emit,
    FlowDefined,
    Log,
    Output,
    Record,
    State,
    StepProgress,
    StepStarted,
)
from runfold.flow.run import Run, evolve
from runfold.flow.work import Decision
from runfold.kernel.event import Draft, Recorded
from runfold.ports import Clock, Cursors, EventLog, Item, Members, Outcome, Refusal
from runfold.runtime.appender import Appender
from runfold.runtime.bell import Bell
from runfold.runtime.decisions import add_effects
from runfold.runtime.fusing import DECISIONS_MAX, outcome_of, with_decisions
from runfold.runtime.gathering import Submission
from runfold.runtime.queues import TOPICS
from runfold.runtime.runs import Runs
from runfold.runtime.sweep import Sweep
from runfold.runtime.tail import Tail

PAGE = 2000
"""How many events one turn reads from the store at most."""
SLICE = 500
"""How many events are folded before other tasks have their turn."""
CHAIN_MAX = 3
"""How many fused items of one run follow each other unanswered; each needs a commit of its own.
Past that the facts go alone: any number of them shares a commit, and one decision."""
CURSOR_EVERY = 1.0
"""Seconds between two writes of the cursor."""
LOAD_MAX = 500
"""How many runs are loaded with one read."""
OVER_MAX = 5000
"""How many ended runs are remembered as such."""
CURSOR = "dispatcher"

# What never makes anything due by itself.
_QUIET = frozenset((StepStarted, StepProgress, Log, Output, Record, Emit, State))
# What nothing can follow, or what belongs to no run.
_NEVER_DUE = ENDS | TOPICS | {FlowDefined.TOPIC}

_log = logging.getLogger("runfold.dispatcher")

Told = Callable[[Outcome | Exception], object]


class Dispatcher:
    """Reads, folds, decides, records; ``turn`` does it once."""

    def __init__(
        self,
        store: EventLog,
        leases: Members,
        cursors: Cursors,
        appender: Appender,
        runs: Runs,
        clock: Clock,
        *,
        tail: Tail,
        tokens: Callable[[], int],
        lease: float,
        grace: float,
    ) -> None:
        self._store, self._leases, self._cursors = store, leases, cursors
        self._appender, self._runs, self._clock = appender, runs, clock
        self.tail, self._lease, self._grace = tail, lease, grace
        self._tokens, self._token = tokens, 0
        self._in_flight: set[int] = set()
        """Runs with decisions on their way that are not folded yet."""
        self._fusing: dict[int, list[Submission]] = {}
        """Runs folded ahead of their commits, and these."""
        self._facts: dict[int, int] = {}
        """How many ends of attempts are on their way to a run without decisions."""
        self._decided: dict[int, int] = {}
        """The version that a run has after what was last decided for it, until it is folded."""
        self._seen_by_leader = 0
        """Where the log ended when this dispatcher took the lead: below, others decided."""
        self._again: set[int] = set()
        self._deciding = False
        """A turn is under way that may decide."""
        self._unfolded: deque[Recorded] = deque()
        self._over: OrderedDict[int, None] = OrderedDict()
        """Runs that ended a short while ago: what is still read of them is of no interest."""
        self.bell = Bell()
        """Rung when there is something to fold or to decide."""
        self._led_until = 0.0
        self._cursor_saved = (0.0, 0)
        self._sweep = Sweep(store, clock)
        self.leading = self._resigned = False
        self._stands_by = False
        """Another one led when this one asked last."""

    async def turn(self) -> bool:
        """Do one bounded piece of work; return False when there was none."""
        if not await self._lead():
            return False
        try:
            return await self._work()
        except BaseException:
            # What is in flight is unknown now: lead anew, from the cursor and from the log.
            self.leading = self._deciding = False
            raise

    async def _work(self) -> bool:
        before = self.tail.position
        self._unfolded.extend(await self.tail.read(PAGE))
        await self._fold()
        if self.tail.position < self._seen_by_leader:
            return self.tail.position != before
        split = {self.tail.split}
        touched = (self._again | await self._sweep.page(self.tail.position)) - split
        # Of a commit that the page has cut in two, what was decided may be in the other half.
        self._again &= split
        self._deciding = bool(touched)
        await self._decide_all(touched)
        self._deciding = False
        await self._save_cursor()
        return bool(touched) or self.tail.position != before

    def caught_up(self, head: int) -> bool:
        """Return whether everything up to ``head`` is folded and decided; True on stand-by.

        One that has not asked yet whether it leads is not on stand-by: what is undecided may be
        for it to decide.
        """
        if not self.leading:
            return self._stands_by or self._resigned
        busy = self._deciding or self._again or self._in_flight or self._fusing
        return self.tail.position >= head and not busy

    async def resign(self) -> None:
        """Save the cursor and let another dispatcher lead; this one never leads again.

        Asked for again after the loop has ended: a turn may have taken the lease meanwhile.
        """
        self._resigned = True
        if self.leading:
            self.leading = False
            await self._cursors.save_cursor(CURSOR, self.tail.position)
        await self._leases.resign(self._token)

    def fuse(self, item: Item, drafts: Sequence[Draft], told: Told) -> bool:
        """Record the end of an attempt together with the decisions that it causes.

        ``item``: what belongs to the end itself, without events. Only when this
        dispatcher leads and nothing else is known to move the run: the item expects the version
        that was folded. False: record the facts alone. ``told`` is called with the answer once
        that is there; when it is a refusal the facts are not recorded either, and the run is read
        again.
        """
        stream = item.stream
        if not self.leading or stream in self._in_flight or stream in self._facts:
            return False
        # Fused items of one run may follow each other before the first is answered: each
        # builds upon the one before it, and is refused with it.
        chain = self._fusing.get(stream)
        if chain is not None and len(chain) >= CHAIN_MAX:
            return False
        if self.tail.position < self._seen_by_leader:
            return False
        if chain is None:
            self._catch_up()
        run, now = self._runs.get(stream), self._appender.now()
        if run is None or run.outcome is not None or now is None:
            return False
        if run.version < self._decided.get(stream, 0):
            return False
        item.version, item.leader = run.version, self._token
        self._again.discard(stream)
        try:
            together, size, is_all = with_decisions(
                run, item, drafts, now, grace=self._grace, encode=self._appender.encode
            )
            submission = self._appender.hand_in(
                together, item, size, partial(self._fused, stream, told),
                chain[-1] if chain else None,
            )  # fmt: skip
        except BaseException:
            self._refused(stream, None)
            raise
        if not is_all:
            self._again.add(stream)  # The rest is for a turn, once this is recorded.
            self.bell.ring()
        if chain:
            chain.append(submission)
        else:
            self._fusing[stream] = [submission]
        return True

    def expect(self, stream: int, future: asyncio.Future[Outcome]) -> None:
        """Know of facts on their way alone: nothing is fused upon a run that they will move."""
        self._facts[stream] = self._facts.get(stream, 0) + 1
        future.add_done_callback(partial(self._arrived, stream))

    def _arrived(self, stream: int, _: asyncio.Future[Outcome]) -> None:
        left = self._facts.pop(stream) - 1
        if left:
            self._facts[stream] = left

    def _fused(self, stream: int, told: Told, submission: Submission) -> None:
        left = self._fusing.pop(stream)
        left.remove(submission)
        if left:
            self._fusing[stream] = left
        answer = submission.answered
        assert answer is not None
        if isinstance(answer, Exception):
            self._refused(stream, None)
        elif answer.refusal is not None:
            self._refused(stream, answer)
        elif not left:
            run = self._runs.get(stream)
            if run is not None and run.outcome is not None:
                self._end(stream)
        told(answer)

    def _refused(self, stream: int, outcome: Outcome | None) -> None:
        """Forget a run of which something else is recorded than was thought; read it again."""
        if outcome is not None and outcome.refusal == Refusal.LEADER and self.leading:
            _log.warning("a decision was refused: another dispatcher leads this log now")
            self.leading = False
        self._runs.forget(stream)
        self._again.add(stream)
        self.bell.ring()

    async def _lead(self) -> bool:
        now = self._clock.monotonic()
        if self._resigned:
            return False
        if self.leading and now < self._led_until:
            return True
        if not self.leading:
            # A new token for each term: what was decided in an earlier one, before somebody
            # else led, may still be on its way and must be refused. The term before it ends
            # here: nobody waits for its lease to run out.
            if self._token:
                await self._leases.resign(self._token)
            self._token = self._tokens()
        led = await self._leases.lead(self._token, self._lease, now=self._clock.now())
        self._stands_by = not led
        if not led or self._resigned:
            if self.leading:
                _log.warning("another dispatcher leads this log now; this one stands by")
            self.leading = False
            return False
        self._led_until = now + self._lease / 3
        if not self.leading:
            # What the leader before this one decided must be folded before anything is decided:
            # a prefix of it would be decided about once more.
            self._seen_by_leader = await self._store.head()
            position = await self._cursors.cursor(CURSOR)
            self.leading = not self._resigned
            self._runs.clear()
            self._unfolded.clear()
            self._over.clear()
            self._decided.clear()
            self.tail.stale = True
            self.tail.position = position
            self._sweep.restart()
        return self.leading

    def _catch_up(self) -> None:
        """Fold what is in memory, without waiting; what needs a read is left for the turn."""
        if self.tail.is_fed or self._unfolded:
            self._unfolded.extend(self.tail.pushed())
            self._fold_some(len(self._unfolded))

    async def _fold(self) -> None:
        """Fold what was read, in slices: others keep their turn, and may catch up meanwhile."""
        while self._unfolded:
            self._fold_some(min(SLICE, len(self._unfolded)))
            if self._unfolded:
                await asyncio.sleep(0)

    def _fold_some(self, count: int) -> None:
        """Fold the next ``count`` of what was read."""
        unfolded, run_of = self._unfolded, self._runs.get
        for _ in range(count):
            recorded = unfolded.popleft()
            run = run_of(recorded.stream)
            # Else it was folded ahead of its commit, or is read twice.
            if run is None or recorded.version > run.version:
                self._fold_one(run, recorded)

    def _fold_one(self, run: Run | None, recorded: Recorded) -> None:
        stream, event = recorded.stream, recorded.event
        if run is None:
            if stream in self._over:
                return
            run = self._runs.begin(recorded)
        if run is None or recorded.version != run.version + 1:
            # Not in memory, or a hole in what is: the turn reads it whole.
            self._runs.forget(stream)
            if event.TOPIC not in _NEVER_DUE:
                self._again.add(stream)
            return
        evolve(run, recorded)
        if run.outcome is not None:
            self._end(stream)
        elif type(event) not in _QUIET:
            self._again.add(stream)

    def _end(self, stream: int) -> None:
        self._runs.forget(stream)
        self._again.discard(stream)
        self._over[stream] = None
        if len(self._over) > OVER_MAX:
            self._over.popitem(last=False)

    async def _decide_all(self, touched: set[int]) -> None:
        waiting: list[asyncio.Future[Outcome]] = []
        await self.preload(touched - self._over.keys() - self._fusing.keys())
        for stream in touched - self._over.keys():
            if stream in self._in_flight or stream in self._fusing:
                self._again.add(stream)
                continue
            run = self._runs.get(stream)
            if run is None or run.ended:
                self._decided.pop(stream, None)
                continue
            if run.version < self._decided.get(stream, 0):
                continue  # What was decided is not folded yet; folding it touches the run again.
            self._decided.pop(stream, None)
            decision = decide(run, limit=DECISIONS_MAX, grace=self._grace)
            if decision:
                waiting.append(self._submit(stream, run, decision))
        if waiting:
            await asyncio.wait(waiting)

    def _submit(self, stream: int, run: Run, decision: Decision) -> asyncio.Future[Outcome]:
        expected = decision.expected_version
        item = Item((), stream, version=expected, leader=self._token, gates=decision.gates)
        add_effects(item, run.flow, decision)
        future = self._appender.take(decision.drafts, item)
        self._in_flight.add(stream)
        future.add_done_callback(partial(self._answered, stream, len(decision.drafts)))
        return future

    def _answered(self, stream: int, count: int, future: asyncio.Future[Outcome]) -> None:
        # Recorded: what was decided comes back through the tail, is folded, and touches the
        # run again. Refused: what refused it (a gate, a newer version) is in the log as well.
        self._in_flight.discard(stream)
        outcome = outcome_of(future)
        if outcome is not None and outcome.refusal is None:
            self._decided[stream] = outcome.version + count - 1
        elif outcome is None or outcome.refusal != Refusal.ENDED:
            self._refused(stream, outcome)

    async def preload(self, streams: Set[int]) -> list[Recorded]:
        """Have these runs in memory, those that are not, so that they can be decided about.

        Returns what was read.
        """
        read: list[Recorded] = []
        missing = [stream for stream in streams if self._runs.get(stream) is None]
        self._again.difference_update(missing)
        for start in range(0, len(missing), LOAD_MAX):
            page = missing[start : start + LOAD_MAX]
            try:
                read += await self._runs.load_all(page)
            except LookupError as error:
                _log.error("%s; it is left alone", error)
        for stream in missing:
            if stream in self._again:
                # Something of it was passed by the reader meanwhile, and this may not have it:
                #   load reads up to 10 | 11 is recorded, read, finds no run | it is kept at 10
                self._runs.forget(stream)
        return read

    async def _save_cursor(self) -> None:
        saved_at, position = self._cursor_saved
        now = self._clock.monotonic()
        if self.tail.position != position and now >= saved_at + CURSOR_EVERY:
            self._cursor_saved = (now, self.tail.position)
            await self._cursors.save_cursor(CURSOR, self.tail.position)
