"""The test as a client of the simulated log: every call is answered at once.

It writes into the store itself, past the simulated processes: what a test does is done when
the call returns, no fault hits it, and nothing else happens meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from runfold.client.catalog import Catalog
from runfold.client.engine import Engine
from runfold.client.queues import Queues
from runfold.client.session import Session
from runfold.client.starting import Starting
from runfold.kernel.event import Draft
from runfold.ports import Batch, Clock, Codec, Ids, Item, Outcome, Store
from runfold.runtime.appender import Appender
from runfold.runtime.hub import Hub, Watched
from runfold.runtime.node import Node
from runfold.runtime.queues import Queues as NodeQueues
from runfold.runtime.starter import Starter
from runfold.settings import Settings
from runfold.store.memory_rebuild import Aside

T = TypeVar("T")
Future = asyncio.Future


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} waits, and nobody would answer here")


async def listed(iterator: AsyncIterator[T]) -> list[T]:
    """Return everything that ``iterator`` yields."""
    return [item async for item in iterator]


class Desk(Starting):
    """Starts runs and finds them. ``on_commit`` is called after whatever it records."""

    def __init__(
        self,
        store: Store,
        codec: Codec,
        settings: Settings,
        clock: Clock,
        ids: Ids,
        *,
        catalog: Catalog,
        loop: asyncio.AbstractEventLoop,
        on_commit: Callable[[], None],
    ) -> None:
        node = Node(store, codec, settings, clock, ids)
        node.appender = _Direct(store, codec, settings, appender=ids.token(), clock=clock)
        node.appender.loop, node.appender.on_commit = loop, on_commit
        node.starter = Starter(store, node.appender, node.definitions, ids)
        node.queues = NodeQueues(store, codec, store.identity, node.appender)
        node.hub = _NoHub(store, codec, position=0)
        self.engine = _Engine(node)
        self._session = Session(catalog, "default")
        self._session.attach(self.engine)
        self.queues = Queues(self._session, Aside)


class _NoHub(Hub):
    """Nobody waits for the end of a run: a test looks whether it is there."""

    _nobody = Watched()

    def watch(self, stream: int, *, fresh: bool) -> Watched:
        del stream, fresh
        return self._nobody


class _Engine(Engine):
    async def patiently(self, future: Future[T]) -> T:
        return await future

    async def aside(self, call: Callable[..., T], /, *args: Any) -> T:
        return call(*args)


class _Direct(Appender):
    loop: asyncio.AbstractEventLoop
    on_commit: Callable[[], None]

    def submit(
        self, drafts: Sequence[Draft], *, after: Future[Outcome] | None = None, **item: Any
    ) -> Future[Outcome]:
        assert after is None, "only a dispatcher builds upon what is not answered yet"
        done: Future[Outcome] = self.loop.create_future()
        done.set_result(self._record([(drafts, item)])[0])
        return done

    def submit_together(
        self, items: Sequence[tuple[Sequence[Draft], dict[str, Any]]]
    ) -> Future[list[Outcome]]:
        done: Future[list[Outcome]] = self.loop.create_future()
        done.set_result(self._record(items))
        return done

    def _record(self, items: Sequence[tuple[Sequence[Draft], dict[str, Any]]]) -> list[Outcome]:
        self._number += 1
        batch = Batch(
            appender=self._appender,
            number=self._number,
            items=[Item(events=self.encode(drafts)[0], **fields) for drafts, fields in items],
        )
        committed = at_once(self._log.commit(batch))
        self.on_commit()
        return list(committed.outcomes)
