"""``Runfold``: what an application embeds. The only place where the parts are put together."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, Self, TypeVar, overload
from uuid import UUID

from runfold.client.catalog import Catalog, Resolved
from runfold.client.engine import Engine
from runfold.client.options import inbox_body, start_fields
from runfold.client.run import Enlisted, Run
from runfold.client.views import Runs
from runfold.define.flow import Flow
from runfold.define.queue import Queue
from runfold.define.target import Target
from runfold.define.values import ANY
from runfold.errors import InvalidSettings, RunfoldError, RunNotFound
from runfold.ports import Clock, Codec, Ids, LogIdentity, Store
from runfold.runtime.node import ROLES, Node, Work
from runfold.settings import Settings, Span, seconds
from runfold.store import open_store
from runfold.store.codec import JsonCodec
from runfold.sync import SyncRunfold
from runfold.system import RandomIds, SystemClock, relaxed_collector
from runfold.wire import LogEvent

In = TypeVar("In")
Out = TypeVar("Out")
Lifespan = Callable[[], AbstractAsyncContextManager[Any]]
START_MANY_MAX = 10_000
"""How many runs one ``start_many`` may create."""


class Runfold:
    """An orchestration core over one database; constructing it does no I/O.

    ``url``: ``memory://``, ``sqlite:///file.db``, ``postgresql://...``, or a ``Store``; without
    it ``$RUNFOLD_URL``, else ``sqlite:///runfold.db``. ``discover``: folders or dotted packages
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
        self._catalog = Catalog(flows, queues, discover)
        self._lifespan = lifespan
        self._codec: Codec = codec or JsonCodec()
        self._clock: Clock = SystemClock()
        self._ids: Ids = RandomIds()
        self._engine: Engine | None = None
        self._in_use = False
        self._entered: AsyncExitStack | None = None
        self._force: asyncio.Event | None = None
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
        """Run ``roles`` (``dispatcher worker timekeeper``; default all of them).

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
            self._engine = Engine(node)
            self._catalog.forget_recorded()
            self.sync.entered_on(asyncio.get_running_loop())
            deps = None
            if "worker" in roles and self._lifespan is not None:
                deps = await stack.enter_async_context(self._lifespan())
                stack.push_async_callback(self._stop, node)
            if roles:
                for definition in self._catalog.definitions():
                    await node.definitions.define(definition, node.appender)
                handlers = self._catalog.handlers()
                await node.serve(roles, Work(handlers=handlers, slots=slots, deps=deps))
            yield

    async def _stop(self, node: Node) -> None:
        if self._engine is None:
            return
        self._engine = None
        await node.stop(drain=seconds(self.settings.drain), force=self._force)

    # Starting and finding runs.

    @overload
    async def start(
        self,
        target: Target[In, Out],
        input: In = ...,
        *,
        key: str | None = ...,
        tags: Sequence[str] | None = ...,
        run_at: datetime | None = ...,
        delay: Span | None = ...,
        deadline: datetime | Span | None = ...,
        priority: int | None = ...,
        retry: Any = ...,
        timeout: Span | None = ...,
        connection: Any = ...,
    ) -> Run[Out]: ...

    @overload
    async def start(self, target: str, input: Any = ..., **options: Any) -> Run[Any]: ...

    async def start(self, target: Any, input: Any = None, **options: Any) -> Run[Any]:
        """Record a new run of ``target`` (a ``Flow``, a ``Job`` or a name) and return it.

        ``key``: the same target and key give the same run. ``tags``: strings to find it by.
        ``run_at`` (aware) or ``delay``: not before. ``deadline``: a moment, or a span from the
        start, after which it is ended. ``priority`` 1-10, 10 first. ``retry``, ``timeout``: over
        those of its steps. ``connection``: write it in the caller's own transaction.
        Raises ``InvalidInput`` with field errors, ``UnknownTarget``, ``PayloadTooLarge``; nothing
        is stored then.
        """
        connection = options.pop("connection", None)
        if connection is not None:
            prepared = await self.prepare_rows(target, [input], options)
            await prepared.enlist(connection)
            return prepared.runs[0]
        resolved = await self._catalog.resolve(target, self._node)
        fields = start_fields(resolved.input.dump(input, "input"), **options)
        starter = self._node.starter
        id = starter.id_of(resolved.name, fields.get("key"))
        future = starter.start(resolved.definition, id, fields)
        outcome = await self._client.patiently(future)
        return self._run(
            id, resolved.name, outcome.stream, resolved.result, fresh=outcome.refusal is None
        )

    async def start_many(
        self,
        target: Any,
        inputs: Sequence[Any],
        *,
        tags: Sequence[str] | None = None,
        priority: int | None = None,
        connection: Any = None,
    ) -> list[Run[Any]]:
        """Record a run of ``target`` for each of ``inputs``, at most 10,000: all or none."""
        if len(inputs) > START_MANY_MAX:
            raise ValueError(
                f"start_many got {len(inputs)} inputs, at most {START_MANY_MAX} are atomic; "
                "split them"
            )
        options = {"tags": tags, "priority": priority}
        if connection is not None:
            prepared = await self.prepare_rows(target, inputs, options)
            await prepared.enlist(connection)
            return prepared.runs
        resolved = await self._catalog.resolve(target, self._node)
        starter = self._node.starter
        starts = self._starts(resolved, inputs, options)
        if not starts:
            return []
        creations = [starter.prepare(resolved.definition, id, fields) for id, fields in starts]
        outcomes = await self._client.patiently(starter.start_all(creations))
        return [
            self._run(id, resolved.name, outcome.stream, resolved.result, fresh=True)
            for (id, _), outcome in zip(starts, outcomes, strict=True)
        ]

    async def prepare_rows(
        self, target: Any, inputs: Sequence[Any], options: Mapping[str, Any]
    ) -> Enlisted:
        """Return starts that are checked and ready to be written through a connection."""
        resolved = await self._catalog.resolve(target, self._node)
        starts = self._starts(resolved, inputs, options)
        for id, fields in starts:  # What is too large is refused here, not once it is committed.
            drafts, _ = self._node.starter.prepare(resolved.definition, id, fields)
            self._node.appender.encode(drafts)
        rows = [(id, inbox_body(resolved.name, resolved.hash, fields)) for id, fields in starts]
        runs = [self._run(id, resolved.name, 0, resolved.result) for id, _ in starts]
        return Enlisted(self._store, rows, runs)

    def _starts(
        self, resolved: Resolved, inputs: Sequence[Any], options: Mapping[str, Any]
    ) -> list[tuple[bytes, dict[str, Any]]]:
        fields = start_fields(None, **options)
        id_of = self._node.starter.id_of
        return [
            (id_of(resolved.name, fields.get("key")), {**fields, "input": value})
            for value in resolved.dump_all(inputs)
        ]

    async def get(
        self, id: str | UUID | None = None, *, of: Any = None, key: str | None = None
    ) -> Run[Any]:
        """Return the run of this id, or of this target and key; raises ``RunNotFound``."""
        result = ANY
        if id is not None:
            try:
                wanted = UUID(str(id)).bytes
            except ValueError:
                raise RunNotFound(f"there is no run {id!r}: a run's id is a UUID") from None
        elif of is not None and key is not None:
            wanted = self._node.starter.id_of(self._catalog.name_of(of), key)
        else:
            raise ValueError("get() takes an id, or of= and key=")
        stream = await self._client.number(wanted)
        names = await self._store.names([stream]) if stream else {}
        flow = names[stream].flow if stream in names else None
        if flow is None:
            what = f"id {id}" if id is not None else f"key {key!r} of {of!r}"
            raise RunNotFound(f"there is no run of {what} in namespace {self.namespace!r}")
        if of is not None:
            result = self._catalog.result_of(of)
            if flow != self._catalog.name_of(of):
                raise RunNotFound(f"run {id} is one of {flow!r}, not of {of!r}")
        return self._run(wanted, flow, stream, result)

    @property
    def runs(self) -> Runs:
        """Listings of runs."""
        return Runs(self._client, self._catalog)

    def events(
        self,
        *,
        types: Sequence[str] = (),
        of: Any = None,
        queue: str | None = None,
        after: int | None = None,
        follow: bool = False,
    ) -> AsyncIterator[LogEvent]:
        """Yield the events of this log above ``after`` (an ``ev.id``), in order.

        ``of``: of one flow or job; ``queue``: step events of one queue. ``follow=False`` ends at
        the log's end as of the call.
        """
        flow = None if of is None else self._catalog.name_of(of)
        return self._filtered(types, flow, queue, after, follow)

    async def _filtered(
        self,
        types: Sequence[str],
        flow: str | None,
        queue: str | None,
        after: int | None,
        follow: bool,
    ) -> AsyncIterator[LogEvent]:
        async for event in self._client.events(after=after, follow=follow, types=types):
            if flow is not None and event.flow_name != flow:
                continue
            if queue is not None and event.data.get("queue") != queue:
                continue
            yield event

    async def run_until_idle(self) -> None:
        """Return when nothing is ready, leased or undecided; what waits for a time may wait."""
        node = self._node
        node.poke()
        while True:
            seen, commits = node.bell.count, node.appender.counters.commits
            if await node.idle() and commits == node.appender.counters.commits:
                return
            await node.bell.wait(seen, 0.02)

    async def health(self) -> dict[str, str]:
        """Return one line per store; raises ``StoreUnavailable``."""
        return {self.namespace: await self._store.health()}

    # Inside.

    @property
    def entered(self) -> bool:
        """Whether this Runfold is in use, in any mode."""
        return self._engine is not None

    @property
    def _client(self) -> Engine:
        if self._engine is None:
            raise RunfoldError(
                "this Runfold is not entered: use `async with rf:`, `async with rf.connect():` "
                "or `with rf.sync:` around the call"
            )
        return self._engine

    @property
    def _node(self) -> Node:
        return self._client.node

    def _run(
        self, id: bytes, flow: str, stream: int, result: Any, *, fresh: bool = False
    ) -> Run[Any]:
        return Run(self._client, id, flow=flow, stream=stream, result=result, fresh=fresh)

    @property
    def identity(self) -> LogIdentity:
        """Which log this is."""
        return self._store.identity
