"""``rf.sync``: the same client with blocking calls, over a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from runfold.errors import InvalidInput, RunfoldError
from runfold.sync_spaces import (
    SyncFlows,
    SyncLogs,
    SyncProjections,
    SyncQueues,
    SyncRuns,
    SyncView,
    SyncWorkers,
)

if TYPE_CHECKING:
    from runfold.app import Runfold
    from runfold.client.capsule import Capsule
    from runfold.client.redaction import Redact
    from runfold.client.reports import Chunk, Progress
    from runfold.client.run import Run
    from runfold.define.target import Target
    from runfold.flow.diff import Diff
    from runfold.flow.why import Why
    from runfold.wire import LogEvent, RunState

T = TypeVar("T")
In = TypeVar("In")
Out = TypeVar("Out")


class SyncRunfold:
    """Blocking calls. As ``with rf.sync:`` it runs all roles; unentered it uses the engine that
    is entered in this process, or becomes a client at its first call."""

    def __init__(self, app: Runfold) -> None:
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stack: AsyncExitStack | None = None
        self._home: asyncio.AbstractEventLoop | None = None
        self._beginning = threading.Lock()
        self.runs = SyncRuns(self.call, app.runs)
        self.flows = SyncFlows(self.call, app.flows)
        self.logs = SyncLogs(self.call, app.logs)
        self.queues = SyncQueues(self.call, app.queues)
        self.workers = SyncWorkers(self.call, app.workers)
        self.projections = SyncProjections(self.call, app.projections)

    def __enter__(self) -> Self:
        """Run all roles in a thread of this process until the block ends."""
        _refuse_on_a_loop()
        with self._beginning:
            self._begin(client=False)
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the engine that this client entered, if any."""
        loop, thread, stack = self._loop, self._thread, self._stack
        self._loop = self._thread = self._stack = None
        if loop is None or thread is None or stack is None:
            return

        async def leave() -> None:
            await stack.aclose()
            await loop.shutdown_asyncgens()

        try:
            asyncio.run_coroutine_threadsafe(leave(), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def entered_on(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Learn on which loop the engine of this process was entered."""
        self._home = loop

    @overload
    def start(self, target: Target[In, Out], input: In = ..., **options: Any) -> SyncRun[Out]: ...

    @overload
    def start(self, target: str, input: Any = ..., **options: Any) -> SyncRun[Any]: ...

    def start(self, target: Any, input: Any = None, **options: Any) -> SyncRun[Any]:
        """As ``Runfold.start``. A ``connection`` is used here, in the caller's own thread."""
        connection = options.pop("connection", None)
        if connection is not None:
            prepared = self.call(self._app.prepare_rows(target, [input], options))
            prepared.enlist_blocking(connection)
            return SyncRun(self, prepared.runs[0])
        return SyncRun(self, self.call(self._app.start(target, input, **options)))

    def start_many(self, target: Any, inputs: Sequence[Any], **options: Any) -> list[SyncRun[Any]]:
        """As ``Runfold.start_many``."""
        connection = options.pop("connection", None)
        if connection is not None:
            prepared = self.call(self._app.prepare_rows(target, inputs, options))
            prepared.enlist_blocking(connection)
            return [SyncRun(self, run) for run in prepared.runs]
        runs = self.call(self._app.start_many(target, inputs, **options))
        return [SyncRun(self, run) for run in runs]

    def get(self, id: Any = None, *, of: Any = None, key: str | None = None) -> SyncRun[Any]:
        """As ``Runfold.get``."""
        return SyncRun(self, self.call(self._app.get(id, of=of, key=key)))

    def import_run(self, capsule: Capsule) -> SyncRun[Any]:
        """As ``Runfold.import_run``."""
        return SyncRun(self, self.call(self._app.import_run(capsule)))

    def events(self, **filters: Any) -> Iterator[LogEvent]:
        """As ``Runfold.events``."""

        async def opened() -> AsyncIterator[LogEvent]:
            return self._app.events(**filters)

        return self.iterate(self.call(opened()))

    def listen(
        self,
        callback: Callable[[LogEvent], Any],
        *,
        run: SyncRun[Any] | None = None,
        **filters: Any,
    ) -> Callable[[], None]:
        """As ``Runfold.listen``; ``callback`` is called in a thread, where it may block."""
        if not callable(callback):
            raise InvalidInput(f"callback is {callback!r}, expected a function")

        is_stopped = threading.Event()

        async def called(event: LogEvent) -> None:
            if not is_stopped.is_set():
                await asyncio.to_thread(callback, event)

        async def listening() -> tuple[asyncio.AbstractEventLoop, Callable[[], None]]:
            watched = run.unblocking if isinstance(run, SyncRun) else run
            stop = self._app.listen(called, run=watched, **filters)
            return asyncio.get_running_loop(), stop

        loop, stop = self.call(listening())

        def stopped() -> None:
            is_stopped.set()
            with suppress(RuntimeError):  # The loop is closed, and the listener ended with it.
                loop.call_soon_threadsafe(stop)

        return stopped

    def view(self, projection: Any) -> SyncView:
        """As ``Runfold.view``."""
        return SyncView(self.call, self._app.view(projection))

    def run_until_idle(self) -> None:
        """As ``Runfold.run_until_idle``."""
        self.call(self._app.run_until_idle())

    def health(self) -> dict[str, str]:
        """As ``Runfold.health``."""
        return self.call(self._app.health())

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what ``coroutine`` returns, run where the engine is; raises on a loop's thread."""
        try:
            _refuse_on_a_loop()
            loop = self._engine_loop()
        except BaseException:
            coroutine.close()
            raise
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    def iterate(self, events: AsyncIterator[T]) -> Iterator[T]:
        """Yield what ``events`` yields."""

        async def step() -> T:
            return await anext(events)

        try:
            while True:
                try:
                    yield self.call(step())
                except StopAsyncIteration:
                    return
        finally:
            if self._app.entered and isinstance(events, AsyncGenerator):
                self.call(events.aclose())

    def _engine_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None and self._home is not None and self._app.entered:
            return self._home
        with self._beginning:  # Of threads that make the first call at once, one begins.
            if self._loop is None:
                self._begin(client=True)
            assert self._loop is not None
            return self._loop

    def _begin(self, *, client: bool) -> None:
        if self._loop is not None:
            raise RunfoldError("rf.sync is entered already; leave it first")
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="runfold-sync", daemon=True)
        thread.start()
        self._loop, self._thread, self._stack = loop, thread, AsyncExitStack()
        mode = self._app.connect() if client else self._app.serve()
        entering = asyncio.run_coroutine_threadsafe(self._stack.enter_async_context(mode), loop)
        try:
            entering.result()
        except BaseException:
            self.close()
            raise


def _refuse_on_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RunfoldError(
        "rf.sync was called on the thread of a running event loop, which it would block; "
        "await the call on rf itself"
    )


class SyncRun(Generic[Out]):
    """A ``Run`` with blocking calls."""

    def __init__(self, sync: SyncRunfold, run: Run[Out]) -> None:
        self._sync, self._run = sync, run
        self.unblocking = run
        """The same run, with calls that are awaited."""
        self.id: str = run.id

    def __repr__(self) -> str:
        return repr(self._run)

    def result(self, *, timeout: float | None = None) -> Out:
        """As ``Run.result``."""
        return self._sync.call(self._run.result(timeout=timeout))

    def status(self) -> str:
        """As ``Run.status``."""
        return self._sync.call(self._run.status())

    def state(self, **at: Any) -> RunState:
        """As ``Run.state``."""
        return self._sync.call(self._run.state(**at))

    def cancel(self, reason: str | None = None) -> None:
        """As ``Run.cancel``."""
        self._sync.call(self._run.cancel(reason))

    def pause(self) -> None:
        """As ``Run.pause``."""
        self._sync.call(self._run.pause())

    def resume(self) -> None:
        """As ``Run.resume``."""
        self._sync.call(self._run.resume())

    def why(self, step: str | None = None) -> Why:
        """As ``Run.why``."""
        return self._sync.call(self._run.why(step))

    def diff(self, other: SyncRun[Any]) -> Diff:
        """As ``Run.diff``."""
        return self._sync.call(self._run.diff(other._run))

    def export(self, redact: Redact | None = None) -> Capsule:
        """As ``Run.export``."""
        return self._sync.call(self._run.export(redact))

    def erase(self) -> None:
        """As ``Run.erase``."""
        self._sync.call(self._run.erase())

    def restart(self, **options: Any) -> SyncRun[Out]:
        """As ``Run.restart``."""
        return SyncRun(self._sync, self._sync.call(self._run.restart(**options)))

    def retry(self, **options: Any) -> SyncRun[Out]:
        """As ``Run.retry``."""
        return SyncRun(self._sync, self._sync.call(self._run.retry(**options)))

    def fork(self, *, at: int | datetime, **options: Any) -> SyncRun[Out]:
        """As ``Run.fork``."""
        return SyncRun(self._sync, self._sync.call(self._run.fork(at=at, **options)))

    def events(self, **filters: Any) -> Iterator[LogEvent]:
        """As ``Run.events``."""
        return self._sync.iterate(self._run.events(**filters))

    def progress(self) -> Iterator[Progress]:
        """As ``Run.progress``."""
        return self._sync.iterate(self._run.progress())

    def output(self, stream: str = "output") -> Iterator[Chunk]:
        """As ``Run.output``."""
        return self._sync.iterate(self._run.output(stream))

    def sse(self, **options: Any) -> Iterator[bytes]:
        """As ``Run.sse``."""
        return self._sync.iterate(self._run.sse(**options))
