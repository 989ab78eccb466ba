"""``Runfold``: what an application embeds. The only place where the parts are put together."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Self, TypeVar

from runfold.client.catalog import Catalog
from runfold.client.engine import Engine
from runfold.client.flows import Flows
from runfold.client.importing import Importing
from runfold.client.log import Log
from runfold.client.logs import Logs
from runfold.client.projections import Projections
from runfold.client.queues import Queues
from runfold.client.runs import Runs
from runfold.client.session import Session
from runfold.client.starting import Starting
from runfold.client.view import ViewRows
from runfold.client.watching import Watching
from runfold.client.workers import Workers
from runfold.define.flow import Flow
from runfold.define.queue import Queue
from runfold.errors import InvalidSettings
from runfold.ports import Clock, Codec, Ids, LogIdentity, Store
from runfold.projections import Metric, Projection
from runfold.projections.views import BUILT_IN
from runfold.runtime.node import ROLES, Node, Work
from runfold.settings import Settings, seconds
from runfold.store import open_store
from runfold.store.codec import JsonCodec
from runfold.store.memory_rebuild import Aside
from runfold.sync import SyncRunfold
from runfold.system import RandomIds, SystemClock, relaxed_collector

Row = TypeVar("Row")
Lifespan = Callable[[], AbstractAsyncContextManager[Any]]


class Runfold(Starting, Importing, Watching):
    """An orchestration core over one database; constructing it does no I/O.

    ``url``: ``memory://``, ``sqlite:///file.db``, ``postgresql://...``, or a ``Store``; without
    it ``$RUNFOLD_URL``, else ``sqlite:///runfold.db``. ``projections``: read models and metrics
    to keep, beside the built-in ones. ``discover``: folders or dotted packages
    whose flows and queues are added. ``lifespan``: an async context manager, entered where
    workers run; what it yields is ``ctx.deps``. ``namespace``: a log of its own in the same
    database. ``codec``: how events become bytes; default ``store.codec.JsonCodec()``, which takes
    a compressor and a cipher of the ``eventsourcing`` library: every process of a log needs the
    same. Raises ``InvalidSettings`` for a URL or setting that cannot work.
    """

    def __init__(
        self,
        url: str | Store | None = None,
        *,
        flows: Iterable[Flow[Any, Any]] = (),
        queues: Iterable[Queue] = (),
        projections: Iterable[Projection[Any] | Metric] = (),
        discover: Iterable[str | os.PathLike[str]] = (),
        lifespan: Lifespan | None = None,
        namespace: str = "default",
        settings: Settings | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.namespace = namespace
        if url is None:
            url = os.environ.get("RUNFOLD_URL") or "sqlite:///runfold.db"
        if not isinstance(url, str) and not hasattr(url, "attach"):
            raise InvalidSettings(f"url is {url!r}, expected a URL or a Store")
        self._store: Store = (
            open_store(url, self.settings, namespace)
            if isinstance(url, str)
            else url.attach(namespace)
        )
        said: Any = (self.settings.retry, self.settings.timeout)
        self._catalog = Catalog(flows, queues, discover, retry=said[0], timeout=said[1])
        self._session = Session(self._catalog, namespace)
        self._lifespan = lifespan
        self._codec: Codec = codec or JsonCodec()
        self._clock: Clock = SystemClock()
        self._ids: Ids = RandomIds()
        self._in_use = False
        self._entered: AsyncExitStack | None = None
        self._force: asyncio.Event | None = None
        self.workers = Workers(self._session)
        """Who works."""
        self.log = Log(self._session)
        """The log as a whole: verify, rebuild."""
        self.projections = Projections(self._session, [*BUILT_IN, *projections])
        """How far read models are."""
        self.flows = Flows(self._session, self.projections)
        """What was served here."""
        self.queues = Queues(self._session, Aside, self.flows)
        """What waits, and what holds it back."""
        self.runs = Runs(self._session, self.projections)
        """Listings of runs."""
        self.logs = Logs(self._session, self.projections)
        """What handlers logged."""
        self.sync = SyncRunfold(self)
        """The same, with blocking calls."""

    # Modes.

    async def __aenter__(self) -> Self:
        """Run all roles in this process until the block ends."""
        stack = AsyncExitStack()
        await stack.enter_async_context(self.serve())
        self._entered = stack
        return self

    async def __aexit__(self, *exc: object) -> None:
        stack, self._entered = self._entered, None
        assert stack is not None
        await stack.aclose()

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Self]:
        """Be a client only: submit and watch, run nothing."""
        async with self._running(frozenset(), None):
            yield self

    @asynccontextmanager
    async def serve(
        self, roles: Iterable[str] | None = None, *, queues: Mapping[str, int] | None = None
    ) -> AsyncGenerator[Self]:
        """Run ``roles`` (``dispatcher worker timekeeper projector``; default all of them).

        ``queues``: how many handlers of each of these queues run here at once; other queues are
        not served. Default: all queues, each ``Settings.slots``. Raises ``InvalidDefinition``.
        """
        wanted = ROLES if roles is None else frozenset(roles)
        if not wanted or wanted - ROLES:
            raise InvalidSettings(
                f"roles are {sorted(wanted)!r}, expected some of {sorted(ROLES)!r}"
            )
        async with self._running(wanted, queues):
            yield self

    def serve_forever(
        self, roles: Iterable[str] | None = None, *, queues: Mapping[str, int] | None = None
    ) -> None:
        """Serve until SIGTERM or SIGINT, then drain; a second signal does not wait."""
        asyncio.run(self._serve_forever(roles, queues))

    async def _serve_forever(
        self, roles: Iterable[str] | None, queues: Mapping[str, int] | None
    ) -> None:
        stop, force, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()

        def told() -> None:
            (force if stop.is_set() else stop).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told)
        async with self.serve(roles, queues=queues):
            await stop.wait()
            self._force = force

    @asynccontextmanager
    async def _running(
        self, roles: frozenset[str], queues: Mapping[str, int] | None
    ) -> AsyncGenerator[None]:
        if self._in_use:
            raise InvalidSettings(
                "this Runfold is entered already; one mode at a time: leave it first"
            )
        self._catalog.seal()
        projections = self.projections.seal()
        if "worker" in roles:
            self._catalog.require_steps()
        slots = self._catalog.slots(queues, self.settings.slots)
        async with AsyncExitStack() as stack:
            self._in_use = True
            stack.callback(setattr, self, "_in_use", False)
            stack.enter_context(relaxed_collector(self.settings.gc_threshold))
            await self._store.open(migrate=self.settings.migrate)
            stack.push_async_callback(self._store.close)
            node = Node(self._store, self._codec, self.settings, self._clock, self._ids)
            self._force = None
            stack.push_async_callback(self._stop, node)
            await node.start()
            self._session.attach(Engine(node, input_of=self._catalog.input_of))
            self._catalog.forget_recorded()
            self.sync.entered_on(asyncio.get_running_loop())
            deps = None
            if "worker" in roles and self._lifespan is not None:
                deps = await stack.enter_async_context(self._lifespan())
                stack.push_async_callback(self._stop, node)
            if roles:
                for definition in self._catalog.definitions():
                    await node.define(definition)
                for queue, limits in self._catalog.queue_limits().items():
                    await node.queues.define(queue, limits)
                handlers = self._catalog.handlers()
                await node.serve(
                    roles, Work(handlers=handlers, slots=slots, deps=deps, projections=projections)
                )
            yield

    async def _stop(self, node: Node) -> None:
        engine = self._session.detach()
        if engine is not None:
            await node.stop(drain=seconds(self.settings.drain), force=self._force)
            engine.close()

    def view(self, projection: Projection[Row] | str) -> ViewRows[Row]:
        """Return the rows of a projection: the object, or its name."""
        return self.projections.view(projection)

    async def health(self) -> dict[str, str]:
        """Return one line per store; raises ``StoreUnavailable``."""
        return {self.namespace: await self._store.health()}

    @property
    def entered(self) -> bool:
        """Whether this Runfold is in use, in any mode."""
        return self._session.entered

    @property
    def identity(self) -> LogIdentity:
        """Which log this is."""
        return self._store.identity

    @property
    def _node(self) -> Node:
        return self._session.node
