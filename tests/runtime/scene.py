"""A process of the engine in pieces: parts are made, and moved, by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from functools import wraps
from typing import Any

from runfold.errors import StoreUnavailable
from runfold.flow.definition import FlowDefinition, Part, Source, StepDefinition, Subscription
from runfold.flow.events import StepCompleted
from runfold.kernel.event import Draft
from runfold.ports import Batch, Claim, Committed, Job, Member, Store
from runfold.runtime.node import Node, Work
from runfold.settings import Settings
from runfold.store.codec import JsonCodec
from runfold.store.memory import MemoryStore
from runfold.system import RandomIds

TWO_STEPS = FlowDefinition(
    name="two",
    steps=(
        StepDefinition(name="first"),
        StepDefinition(
            name="second",
            subscription=Subscription(
                kind="each",
                parts=(Part(label="first", sources=(Source(kind="after", name="first"),)),),
            ),
        ),
    ),
)


class HandClock:
    """A monotonic clock that a test moves; moments are left to the store."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime | None:
        return None


class Faulty:
    """A store whose commits can be made to fail, before or after they happened."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lose_answers = 0
        self.refuse = 0
        self.before: Callable[[Batch], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, batch: Batch) -> Committed:
        if self.before is not None:
            await self.before(batch)
        if self.refuse:
            self.refuse -= 1
            raise StoreUnavailable("connection refused")
        committed = await self._store.commit(batch)
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailable("connection lost after the commit was sent")
        return committed


@asynccontextmanager
async def node_on(store: Any, settings: Settings | None = None) -> AsyncIterator[Node]:
    """Yield a node without roles; its appender runs."""
    await store.open()
    node = Node(store, JsonCodec(), settings or Settings(), HandClock(), RandomIds())
    await node.start()
    try:
        yield node
    finally:
        await node.stop(drain=0)
        await store.close()


def on_memory(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """Run an async test with a node over a faulty memory store."""

    @wraps(test)
    def run() -> None:
        async def main() -> None:
            faults = Faulty(MemoryStore())
            async with node_on(faults) as node:
                await node.definitions.define(TWO_STEPS, node.appender)
                await test(node, faults)

        asyncio.run(asyncio.wait_for(main(), 10))

    # pytest reads fixtures from the signature: this one has none.
    del run.__wrapped__  # type: ignore[attr-defined]
    return run


async def start(node: Node, key: str | None = None) -> int:
    """Return the stream of a new run of ``TWO_STEPS``."""
    outcome = await node.starter.start(
        TWO_STEPS, node.starter.id_of("two", key), {"input": None, "key": key}
    )
    return outcome.stream


async def claim(node: Node, token: int = 1, limit: int = 100) -> list[Job]:
    """Return jobs claimed by hand."""
    await node.store.join(Member(token, "by hand", "worker"), 30)
    batch = Batch(
        appender=token,
        number=node.ids.token() % 1_000_000,
        claims=[
            Claim("default", limit, token, b'{"queue":"default","worker":"w"}',
                  [("two", "first"), ("two", "second")])
        ],
    )  # fmt: skip
    return list((await node.store.commit(batch)).jobs)


async def complete(node: Node, job: Job, token: int = 1) -> None:
    """Record that a job was done."""
    done = Draft(
        StepCompleted(queue="default", result=None, duration=1), job.step, job.activation,
        job.attempt,
    )  # fmt: skip
    outcome = await node.appender.submit(
        [done], stream=job.stream, lease=(job.id, token), frees=True
    )
    assert outcome.refusal is None


async def topics(node: Node, stream: int) -> list[str]:
    """Return the types of the events of a stream."""
    return [stored.topic for stored in await node.store.read_stream(stream)]


__all__ = ["Work"]
