"""The engine over any store, with the public client, and nothing that happens by itself.

Dispatcher, timekeeper and workers move when they are told, and time passes when it is told to:
so the same moves mean the same on every store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from runfold.client.catalog import Catalog
from runfold.client.engine import Engine
from runfold.client.queues import Queues
from runfold.client.session import Session
from runfold.client.starting import Starting
from runfold.define.flow import Flow
from runfold.define.limits import AnyLimit, Concurrency
from runfold.define.options import Retry
from runfold.define.queue import Queue
from runfold.define.subscriptions import after
from runfold.errors import RateLimited
from runfold.flow.attempts import holds
from runfold.flow.events import ErrorInfo, StepCompleted, StepErrored, StepReleased
from runfold.kernel.event import Draft, Event
from runfold.ports import Batch, Claim, Committed, InboxRow, Job, Member, Outcome, Store
from runfold.runtime.dispatcher import Dispatcher
from runfold.runtime.erasure import Erasure
from runfold.runtime.executor_endings import raised
from runfold.runtime.node import Node
from runfold.runtime.rebuild import Rebuilt, rebuild
from runfold.runtime.runs import Runs
from runfold.runtime.tail import Tail
from runfold.runtime.timekeeper import Timekeeper
from runfold.settings import Settings
from runfold.store.codec import JsonCodec
from runfold.store.memory_rebuild import Aside
from runfold.system import RandomIds
from runfold.testing.machine_run import GRACE, KEYED, OF_USER, PAUSE, TARGETS

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
"""When it begins."""
LEASE = 10.0
LEADER = 7
"""The token of every dispatcher: a new one need not wait until the lease of the last is over."""
TURNS_MAX = 500


class Hand:
    """A clock that moves by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        """Return the seconds since the beginning."""
        return self.seconds

    def now(self) -> datetime | None:
        """Return the moment that stores are told."""
        return NOON + timedelta(seconds=self.seconds)


class Timed:
    """A store of which the time is that of a hand, also for who asks it."""

    def __init__(self, store: Store, clock: Hand) -> None:
        self._store, self._clock = store, clock

    async def now(self) -> datetime | None:
        """Return what the hand shows."""
        return self._clock.now()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Client(Starting):
    """What users call, over a node of which every role is played by hand."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.queues = Queues(session, Aside)


class ByHand:
    """One engine. ``begin`` on a store that is open; ``settle`` after what may need decisions."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock = store, Hand()
        self._token = 1000
        self._claims = 0
        self._limits: Mapping[str, Sequence[AnyLimit]] = {}

    async def begin(self) -> None:
        """Serve what was served last, with nothing remembered of a time before."""
        self.codec = JsonCodec()
        store = cast("Store", Timed(self.store, self.clock))
        self.node = Node(store, self.codec, Settings(), self.clock, RandomIds())
        await self.node.start()
        await self.serve(self._limits)
        self.forget()

    async def serve(self, limits: Mapping[str, Sequence[AnyLimit]]) -> None:
        """Serve what ``TARGETS`` says, with these limits of steps: see ``scope_of``."""
        self._limits = limits
        catalog = _served(limits)
        session = Session(catalog, "default")
        session.attach(Engine(self.node, input_of=catalog.input_of))
        self.client = Client(session)
        for definition in catalog.definitions():
            await self.node.define(definition)
        for queue, of_queue in catalog.queue_limits().items():
            await self.node.queues.define(queue, of_queue)

    async def end(self) -> None:
        """End it; the store stays open."""
        await self.node.stop(drain=0)

    def forget(self) -> None:
        """Have a new dispatcher and a new timekeeper, as after a crash."""
        node = self.node
        self._dispatcher = Dispatcher(
            self.store, self.store, self.store, node.appender,
            Runs(self.store, self.codec, node.definitions), self.clock,
            tail=Tail(self.store, self.codec, position=0), tokens=lambda: LEADER,
            lease=LEASE, grace=GRACE,
        )  # fmt: skip

    async def settle(self) -> None:
        """Decide until nothing is undecided."""
        for _ in range(TURNS_MAX):
            self._dispatcher.tail.stale = True
            if not await self._dispatcher.turn():
                assert self._dispatcher.leading, "nobody may lead but this dispatcher"
                return
        raise AssertionError("it decides for ever")

    async def wait(self, seconds: float) -> None:
        """Let time pass and record what it brings; decide after each of it."""
        self.clock.seconds += seconds
        for _ in range(TURNS_MAX):
            # One that has just begun looks everywhere at once, and gives nobody another term.
            keeper = Timekeeper(
                self.store, self.store, self.store, self.store,
                Erasure(self.store, self.store, self.codec), self.node.appender, self.clock,
                accept=_refuse, lease=LEASE,
            )  # fmt: skip
            await keeper.pause(0)
            worked = await keeper.turn()
            await self.settle()
            if not worked:
                return
        raise AssertionError("something is due for ever")

    async def hire(self) -> int:
        """Return the token of a new member."""
        self._token += 1
        member = Member(self._token, f"worker {self._token}", "worker")
        await self.store.join(member, 10**8, now=self.clock.now())
        return self._token

    async def claim(self, token: int, queue: str, limit: int) -> tuple[Batch, Committed]:
        """Lease at most ``limit`` jobs of ``queue``."""
        self._claims += 1
        targets = [(flow, step.name) for flow, steps in TARGETS.items() for step in steps]
        state = f'{{"queue":"{queue}","worker":"worker {token}"}}'.encode()
        wanted = Claim(queue, limit, token, state, targets)
        batch = Batch(token, self._claims, claims=[wanted], now=self.clock.now())
        return batch, await self.store.commit(batch)

    async def complete(self, job: Job, token: int, result: Any) -> Outcome:
        """Record that an attempt returned."""
        return await self._end(
            job, token, StepCompleted(queue=job.queue, result=result, duration=1)
        )

    async def fail(self, job: Job, token: int, *, is_lasting: bool) -> Outcome:
        """Record that an attempt raised."""
        error = ErrorInfo(
            type="ValueError", code="EXECUTION_ERROR", message="oops", retryable=not is_lasting
        )
        return await self._end(job, token, StepErrored(queue=job.queue, error=error))

    async def slow_down(
        self, job: Job, token: int, *, at: datetime | None = None, after: float | None = None
    ) -> Outcome:
        """Record that an attempt was told to slow down, and until when or for how long."""
        found = raised(RateLimited(retry_at=at, retry_after=after))
        fact = StepErrored(
            queue=job.queue, error=found.info, retry_at=found.retry_at,
            retry_after=found.retry_after, charged=found.charged,
        )  # fmt: skip
        return await self._end(job, token, fact, holds=holds(fact))

    async def release(self, job: Job, token: int) -> Outcome:
        """Record that an attempt was given back."""
        return await self._end(job, token, StepReleased(queue=job.queue))

    async def rebuild(self, tokens: Sequence[int]) -> Rebuilt:
        """Stop everybody and make anew what is derived from the log."""
        for token in tokens:
            await self.store.leave(token)
        await self._dispatcher.resign()
        done = await rebuild(self.store, self.codec, now=self.clock.now())
        self.forget()
        return done

    async def _end(self, job: Job, token: int, fact: Event, **fields: Any) -> Outcome:
        draft = Draft(fact, job.step, job.activation, job.attempt)
        return await self.node.appender.submit(
            [draft], stream=job.stream, lease=(job.id, token), frees=True, **fields
        )


def _served(limits: Mapping[str, Sequence[AnyLimit]]) -> Catalog:
    """Return ``TARGETS`` as code says it, with these ``limits`` of steps."""
    thrice = Retry(3, base=PAUSE, factor=1, jitter=0)
    mail = Queue(KEYED, retry=thrice, limits=[Concurrency(OF_USER, key="user")])
    orders: Flow[Any, Any] = Flow("order")
    twice = Retry(2, base=PAUSE, factor=1, jitter=0)

    @mail.job(limits=limits.get("mail/send/send", ()))
    async def send(value: Any) -> Any:
        return value

    @orders.entry(queue="work", retry=twice, limits=limits.get("order/pay", ()))
    async def pay(value: Any) -> Any:
        return value

    @orders.step(
        subscribes=after(pay), queue=Queue("work"), retry=twice, returns=True,
        limits=limits.get("order/ship", ()),
    )  # fmt: skip
    async def ship(value: Any) -> Any:
        return value

    catalog = Catalog([orders], [mail], ())
    catalog.seal()
    return catalog


async def _refuse(row: InboxRow) -> None:
    raise AssertionError(f"nobody writes into the inbox: {row}")
