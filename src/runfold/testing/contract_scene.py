"""What contract tests are written with: a store, a few words for items, and one moment.

Every commit of a test is given its time, so nothing here waits for a clock.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from inspect import iscoroutinefunction
from typing import Any

import pytest

from runfold.ports import (
    Batch,
    Claim,
    Closure,
    Committed,
    Encoded,
    Item,
    Job,
    Limit,
    Member,
    Outcome,
    Row,
    Served,
    Store,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
"""When tests happen."""
WORKER, OTHER = 11, 22
"""Tokens of two members."""
LONG = 10.0**9
"""The lease, in seconds, of members whose end is not what a test is about."""
TARGETS = (("flow", "step"), ("flow", "other"))
"""What claims ask for unless they say otherwise."""


def after(seconds: float) -> datetime:
    """Return the moment ``seconds`` after noon."""
    return NOON + timedelta(seconds=seconds)


def key_of(name: str) -> bytes:
    """Return the 16 bytes under which tests create the stream ``name``."""
    return sha256(name.encode()).digest()[:16]


def event(topic: str = "log", state: bytes = b"{}", **envelope: Any) -> Encoded:
    """Return an encoded event."""
    return Encoded(topic, state, **envelope)


def new(name: str, *events: Encoded, flow: str | None = "flow", **more: Any) -> Item:
    """Return an item that creates the run ``name``, with one event unless given others."""
    return Item(events or (event("flow.start"),), id=key_of(name), flow=flow, **more)


def row(at: int = 0, kind: str | None = None, step: str = "step", **more: Any) -> Row:
    """Return a row made by event ``at``: a ready job, or with ``kind`` a timer."""
    columns: dict[str, Any] = {
        "due_at": None, "delay": None, "flow": "flow", "activation": 1, "attempt": 1,
        "queue": "default", "priority": 5, "key": None, "inputs": None,
    }  # fmt: skip
    return Row(event=at, kind=kind, step=step, **(columns | more))


def claim(limit: int = 10, token: int = WORKER, queue: str = "default", **more: Any) -> Claim:
    """Return a claim of at most ``limit`` jobs."""
    more.setdefault("targets", TARGETS)
    return Claim(queue, limit, token, more.pop("state", b'{"worker":"w"}'), **more)


def member(token: int) -> Member:
    """Return the process of this token."""
    return Member(token, f"member {token}", "worker")


def _labels(jobs: Sequence[Job]) -> list[str | None]:
    """Return the inputs of ``jobs``, which tests use as names."""
    return [job.inputs for job in jobs]


class Scene:
    """A store under test and the batches that one appender sent to it."""

    def __init__(self, store: Store, appender: int = 1) -> None:
        self.store, self.appender, self.number = store, appender, 0
        self._claimers: set[int] = set()

    async def commit(
        self, *items: Item, claims: Sequence[Claim] = (), now: datetime = NOON
    ) -> Committed:
        """Commit one batch under the next number; who claims for the first time is a member."""
        for wanted in claims:
            await self.meet(wanted.token)
        self.number += 1
        return await self.store.commit(Batch(self.appender, self.number, items, claims, now))

    async def meet(self, token: int) -> None:
        """Have ``token`` be a member, if it was not seen here before."""
        if token not in self._claimers:
            self._claimers.add(token)
            if token not in [known.token for known, _ in await self.store.members()]:
                await self.store.join(member(token), LONG, now=NOON)

    async def record(self, item: Item, *, now: datetime = NOON) -> Outcome:
        """Commit one item and return its outcome, which is not a refusal."""
        outcome = await self.attempt(item, now=now)
        assert outcome.refusal is None
        return outcome

    async def attempt(self, item: Item, *, now: datetime = NOON) -> Outcome:
        """Commit one item and return what became of it."""
        return (await self.commit(item, now=now)).outcomes[0]

    async def start(self, name: str, *rows: Row, now: datetime = NOON) -> int:
        """Create the run ``name`` with ``flow.start`` and ``rows``; return its number."""
        return (await self.record(new(name, rows=rows), now=now)).stream

    async def claim(self, limit: int = 10, *, now: datetime = NOON, **more: Any) -> list[Job]:
        """Claim in a batch of its own."""
        return list((await self.commit(claims=[claim(limit, **more)], now=now)).jobs)

    async def served(self, limit: int = 10, *, now: datetime = NOON, **more: Any) -> Served:
        """Claim in a batch of its own and return what else it is told."""
        (served,) = (await self.commit(claims=[claim(limit, **more)], now=now)).served
        return served

    async def take(self, limit: int = 10, **more: Any) -> list[str | None]:
        """Claim in a batch of its own and return the inputs of the jobs."""
        return _labels(await self.claim(limit, **more))

    async def add(self, *names: str, now: datetime = NOON, **columns: Any) -> list[int]:
        """Create a run with one job for each name, which is its input; return their numbers."""
        items = [
            new(f"run {self.number} {place} {name}", rows=[row(inputs=name, **columns)])
            for place, name in enumerate(names)
        ]
        done = await self.commit(*items, now=now)
        return [outcome.stream for outcome in done.outcomes]

    async def finish(self, *jobs: Job, now: datetime = NOON, token: int = WORKER) -> None:
        """Complete these leased jobs in one batch."""
        done = await self.commit(
            *[Item([event()], job.stream, lease=(job.id, token), frees=True) for job in jobs],
            now=now,
        )
        assert [outcome.refusal for outcome in done.outcomes] == [None] * len(jobs)

    async def limit(self, scope: str, *limits: Limit, now: datetime = NOON) -> None:
        """Let ``limits`` be all that hold for ``scope``."""
        item = new(f"limits {self.number}", flow=None, limits=[(scope, limits)])
        await self.record(item, now=now)

    async def close(self, bucket: str, until: datetime | None, *, now: datetime = NOON) -> None:
        """Close ``bucket`` until then; None opens it."""
        item = new(f"closes {self.number}", flow=None, closures=[Closure(bucket, until)])
        await self.record(item, now=now)

    async def leased_job(self, name: str = "run", **columns: Any) -> Job:
        """Create a run with one job, leased by ``WORKER``."""
        await self.start(name, row(**columns))
        return (await self.claim(1))[0]

    async def everything(self) -> tuple[Any, ...]:
        """Return all that the ports show, to compare before and after."""
        store = self.store
        return (
            await store.head(),
            await store.read(after=0, limit=10_000),
            await store.runs(flow=None, before=None, limit=1000),
            await store.open_runs(after=0, limit=1000),
            await store.counts(),
            await store.due(1000, now=after(10**6)),
            await store.open_timers(),
            [astuple(job)[:-1] for job in await store.leased(WORKER)],
            await store.held(WORKER),
            await store.inbox(1000),
        )


class Contract:
    """The base of every contract: asynchronous tests are run on a loop of their own.

    Each store among a test's fixtures is opened before it and closed after it, on that loop.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, test in list(vars(cls).items()):
            if name.startswith("test_") and iscoroutinefunction(test):
                setattr(cls, name, _on_a_loop(test))

    @pytest.fixture
    def store(self) -> Store:
        """The store under test: empty, not open. Every adapter overrides this."""
        raise NotImplementedError("override the fixture `store`: an empty store, not open")

    @pytest.fixture
    def twin(self, store: Store) -> Store:
        """The same data as another process sees it. Override unless only ``store`` has it."""
        return store

    @pytest.fixture
    def scene(self, store: Store) -> Scene:
        """The store under test with words for what is done to it."""
        return Scene(store)


def _on_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(self: Contract, **fixtures: Any) -> None:
        found = [getattr(value, "store", value) for value in fixtures.values()]
        stores = {id(store): store for store in found if isinstance(store, Store)}
        asyncio.run(_opened(list(stores.values()), lambda: test(self, **fixtures)))

    return run


async def _opened(stores: list[Store], test: Callable[[], Awaitable[None]]) -> None:
    try:
        for store in stores:
            await store.open(migrate=True)
        await test()
    finally:
        for store in reversed(stores):
            await store.close()
