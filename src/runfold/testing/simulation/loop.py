"""An event loop whose time is virtual and whose order of callbacks is drawn from a seed.

Nothing here waits: when nothing is ready, whoever drives the loop moves its time to the next
timer. What may change places is what no guarantee of asyncio orders: the turns of strands.
Nothing else decides: no clock, no thread, no address of an object, and no garbage collector.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import heapq
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from itertools import count
from typing import Any, TypeVar, TypeVarTuple, Unpack

from runfold.testing.simulation.strands import STRAND, Host, Runnable, Strand

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Timer = tuple[float, int, asyncio.TimerHandle, Strand]

TICK = 1e-6
"""The least that time moves, in seconds."""
UNWIND_MAX = 100_000
"""How many callbacks may run to unwind what is left at the end."""
_PURGE_MIN = 1000
"""How many timers are cancelled before the heaps are cleaned."""


class _Numbered:
    """Hashes by number, so that the order of a set is the same in every process."""

    _number = 0

    def __hash__(self) -> int:
        return self._number or self._numbered()

    def _numbered(self) -> int:
        loop: Any = self.get_loop()  # type: ignore[attr-defined]
        self._number = loop.number()
        return self._number


class _Future(_Numbered, asyncio.Future[Any]):
    pass


class VirtualTask(_Numbered, asyncio.Task[Any]):
    """A task that knows its strand."""

    strand: Strand
    context: contextvars.Context


class Collector:
    """Knows whether the garbage collector is at work in this very moment."""

    def __init__(self) -> None:
        self.is_at_work = False
        gc.callbacks.append(self._told)

    def close(self) -> None:
        """Look no longer."""
        if self._told in gc.callbacks:
            gc.callbacks.remove(self._told)
        self.is_at_work = False

    def _told(self, phase: str, info: dict[str, int]) -> None:
        del info
        self.is_at_work = phase == "start"


class VirtualLoop(asyncio.BaseEventLoop):
    """``outside``: the host of what belongs to no other. ``rest`` is asked whenever nothing is
    ready: it moves time and returns True, or returns False to stop."""

    touched: Callable[[RuntimeError], None]
    """Told of what ends the simulation, before it is raised or instead."""

    def __init__(self, outside: Host) -> None:
        super().__init__()
        self.set_debug(False)
        self._stopping = False
        self.rest: Callable[[], bool] = lambda: False
        self.left = 0
        """After so many callbacks the loop stops, whatever is ready."""
        self._runnable = Runnable()
        self._outside = Strand(outside, "outside")
        self._collector = Collector()
        self._abandoned: list[AsyncGenerator[Any, Any]] = []
        self._time = self._skipped = 0.0
        self._timers: list[Timer] = []
        self._idling: list[Timer] = []
        self._cancelled = 0
        self._is_earnest = False
        self.number: Callable[[], int] = count(1).__next__
        """Returns 1, 2, 3 ..."""

    # Time.

    def time(self) -> float:
        """Return the virtual seconds since the beginning."""
        return self._time

    def awake(self) -> float:
        """Return the virtual seconds without those that were skipped: what hosts measure by."""
        return self._time - self._skipped

    @property
    def is_ready(self) -> bool:
        """Whether something can run at this very moment."""
        return bool(self._runnable)

    def next_timer(self) -> float | None:
        """Return when the next timer fires that is not of an idling strand."""
        return self._peek(self._timers)

    def next_idling(self) -> float | None:
        """Return when the next idling strand looks for work."""
        when = self._peek(self._idling)
        return None if when is None else when + self._skipped

    def leap(self, when: float) -> None:
        """Make it ``when`` and fire what is due by then."""
        self._time = max(self._time, when)
        self._fire(self._timers, self._time)
        # What a skip adds and takes away again may differ by a rounding.
        self._fire(self._idling, self.awake() + 1e-9)

    def skip(self, when: float) -> None:
        """Make it ``when`` as if idling strands had looked for work all the time, in vain."""
        self._skipped += max(0.0, when - self._time)
        self.leap(when)

    def _peek(self, heap: list[Timer]) -> float | None:
        while heap and (heap[0][2].cancelled() or heap[0][3].host.is_dead):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def _fire(self, heap: list[Timer], now: float) -> None:
        while heap and heap[0][0] <= now:
            _, _, handle, strand = heapq.heappop(heap)
            if not handle.cancelled():
                self._add(strand, handle)

    # Hosts.

    def kill(self, host: Host) -> None:
        """Never run anything of ``host`` again."""
        host.is_dead, host.parked = True, None
        for strand in self._runnable.take(host):
            strand.queue.clear()

    def freeze(self, host: Host) -> None:
        """Run nothing of ``host`` until it thaws."""
        host.parked = self._runnable.take(host)

    def thaw(self, host: Host) -> None:
        """Go on with a frozen host."""
        if host.parked is not None:
            for strand in host.parked:
                self._runnable.add(strand)
            host.parked = None

    def tasks_of(self, host: Host) -> list[VirtualTask]:
        """Return the tasks of ``host`` that have not ended, oldest first."""
        tasks = [task for task in asyncio.all_tasks(self) if isinstance(task, VirtualTask)]
        return sorted((task for task in tasks if task.strand.host is host), key=hash)

    def unwind(self) -> None:
        """Cancel whatever is left, of dead hosts too, and let it end; nothing counts any more."""
        self.set_exception_handler(lambda *_: None)
        tasks = [task for task in asyncio.all_tasks(self) if isinstance(task, VirtualTask)]
        tasks.sort(key=hash)
        for task in tasks:
            task.strand.host.is_dead, task.strand.host.parked = False, None
            task.cancel()
        self._collector.close()
        abandoned, self._abandoned = self._abandoned, []
        for generator in abandoned:
            self._outside.context().run(self._finalize, generator)
        self.rest, self.left = lambda: False, UNWIND_MAX
        self.run_forever()
        for task in tasks:
            if not task.done():  # It never began, or swallows its cancellation.
                task.context.run(task.get_coro().close)
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
            elif not task.cancelled():
                task.exception()

    # What asyncio calls.

    get_debug = staticmethod(bool)
    """False, whatever the environment says: asked with every future and every callback."""

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Put a callback behind those of its strand."""
        if context is None:
            context = contextvars.copy_context()
        handle = asyncio.Handle(callback, args, self, context)
        strand = context.get(STRAND) or self._outside
        if strand.queue:
            strand.queue.append(handle)
        else:
            self._add(strand, handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Put a callback behind those of its strand in ``delay`` seconds."""
        # However little is asked for, time moves: as on every real clock.
        when = self._time + (max(delay, TICK) if delay > 0 else 0.0)
        return self.call_at(when, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Put a callback behind those of its strand when it is ``when``."""
        if context is None:
            context = contextvars.copy_context()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        strand = context.get(STRAND) or self._outside
        if when <= self._time:
            self._add(strand, handle)
        elif strand.is_idling and not self._is_earnest:
            entry = (when - self._skipped, self.number(), handle, strand)
            heapq.heappush(self._idling, entry)
        else:
            heapq.heappush(self._timers, (when, self.number(), handle, strand))
        return handle

    async def delay(self, span: float) -> None:
        """Return after ``span`` seconds, which are not skipped in any strand."""
        self._is_earnest, pause = True, self.create_future()
        try:
            self.call_later(span, _resolve, pause)
        finally:
            self._is_earnest = False
        await pause

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return _Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """Return a task; it belongs to the strand of ``context``, else to the one that runs."""
        return self.begun(coro, name, context)

    def begun(
        self, coro: Any, name: object = None, context: contextvars.Context | None = None
    ) -> VirtualTask:
        """Return what ``create_task`` does, for those who stand for a function of asyncio."""
        name = str(name) if name is not None else f"Task-{self.number()}"
        given = contextvars.copy_context() if context is None else context
        task = VirtualTask(coro, loop=self, name=name, context=given)
        task.strand, task.context = given.get(STRAND) or self._outside, given
        return task

    def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        if self._collector.is_at_work:
            # When that is depends on everything else in this process. Some time after it was
            # left, says asyncio; here that is at the end.
            self._abandoned.append(agen)
        else:
            self._finalize(agen)

    @property
    def _finalize(self) -> Callable[[AsyncGenerator[Any, Any]], None]:
        return super()._asyncgen_finalizer_hook  # type: ignore[misc,no-any-return]

    def _add(self, strand: Strand, handle: asyncio.Handle) -> None:
        host, queue = strand.host, strand.queue
        if host.is_dead:
            return
        if not queue:
            if host.parked is None:
                self._runnable.add(strand)
            else:
                host.parked.append(strand)
        queue.append(handle)

    def _run_once(self) -> None:
        """Run until ``stop``, until ``rest`` says so, or until nothing is ``left``."""
        next_of_all = self._runnable.next
        while not self._stopping and self.left > 0:
            handle: Any = next_of_all()
            if handle is None:
                if not self.rest():
                    break
                continue
            self.left -= 1
            if handle._cancelled:  # noqa: SLF001 - what every event loop looks at
                continue
            try:  # What ``Handle._run`` does.
                handle._context.run(handle._callback, *handle._args)  # noqa: SLF001
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # The loop's handler is told, whatever it is.
                what = f"Exception in callback {handle._callback!r}"  # noqa: SLF001
                told = {"message": what, "exception": error, "handle": handle}
                self.call_exception_handler(told)
        self._stopping = True

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        del handle
        self._cancelled += 1
        if self._cancelled > max(_PURGE_MIN, (len(self._timers) + len(self._idling)) // 2):
            self._cancelled = 0
            for heap in (self._timers, self._idling):
                heap[:] = [entry for entry in heap if not entry[2].cancelled()]
                heapq.heapify(heap)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
