"""Threads of sync handlers: one runs at a time, and while it does the loop waits for it.

A handler that blocks - for a value of the state, an event, a queue: all of these wait in
``threading.Condition`` - gives the turn back to the loop and gets it again when it is woken,
or when its timeout is over by the virtual clock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context, copy_context
from functools import partial
from typing import Any, NamedTuple, TypeVar

from runfold.testing.simulation import hanging
from runfold.testing.simulation.hanging import Over
from runfold.testing.simulation.loop import VirtualLoop

T = TypeVar("T")

LOST_PATIENCE = 1.0
"""Real seconds for which a thread that hangs is waited for at the end."""
SLICE = 0.25
_THREADS: dict[int, _Thread] = {}
"""The threads of all simulations, by ident."""
_WAIT = threading.Condition.wait
_START = threading.Thread.start


class _Job(NamedTuple):
    future: Future[Any]
    call: Callable[[], Any]
    context: Context


class Pool:
    """Runs sync handlers, at most ``size`` of them begun at a time."""

    def __init__(self, loop: VirtualLoop, size: int) -> None:
        self._loop, self._free = loop, size
        self._waiting: deque[_Job] = deque()
        self._idle: list[_Thread] = []
        self._threads: list[_Thread] = []

    def submit(self, call: Callable[..., T], /, *args: Any) -> Future[T]:
        """Have ``call`` run when the loop comes to it; return the future of its result."""
        job = _Job(Future(), partial(call, *args), copy_context())
        self._waiting.append(job)
        self._next()
        return job.future

    def close(self) -> None:
        """Unwind what still runs; the threads end."""
        self._waiting.clear()
        for thread in self._threads:
            thread.give_up()
        for thread in self._threads:
            thread.close()
        self._threads.clear()

    def _next(self) -> None:
        if self._waiting and self._free:
            self._free -= 1
            job = self._waiting.popleft()
            self._loop.call_soon(self._begin, job, context=job.context.copy())

    def _begin(self, job: _Job) -> None:
        if not job.future.set_running_or_notify_cancel():
            self._finished(None)
            return
        if not self._idle:
            self._idle.append(_Thread(self._loop))
            self._threads += self._idle
        self._idle.pop().run(job, self._finished)

    def _finished(self, thread: _Thread | None) -> None:
        if thread is not None:
            self._idle.append(thread)
        self._free += 1
        self._next()


class _Thread:
    """One thread, and the turn that it and the loop hand to each other."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        # Plain locks, which wait in no condition: whoever acquires waits for the other's turn.
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._job: Callable[[], None] | None = None
        self._is_over = self._is_lost = False
        self._thread = threading.Thread(target=self._main, name="runfold-simulated", daemon=True)
        _START(self._thread)

    def run(self, job: _Job, finished: Callable[[_Thread], None]) -> None:
        """Run ``job`` until it ends or blocks."""

        def work() -> None:
            try:
                result = job.call()
            except Over:
                return
            except BaseException as error:  # Whatever it is, whoever waits for it is told.
                job.future.set_exception(error)
            else:
                job.future.set_result(result)
            finished(self)

        # All of it in the context of who asked: what it sends to the loop keeps its order.
        self._job = partial(job.context.run, work)
        self.turn()

    def turn(self) -> None:
        """Let the thread run until it ends what it does, or blocks."""
        self._is_lost = True  # Until it comes back.
        self._go.release()
        began = time.monotonic()
        try:
            # In slices: whoever interrupts a simulation reaches this thread in between.
            while not self._back.acquire(timeout=min(SLICE, hanging.PATIENCE)):
                is_late = time.monotonic() - began >= hanging.PATIENCE
                error = hanging.hung(self._thread) if is_late else None
                if error is not None:
                    self.loop.touched(error)
                    return
        except Over:
            return
        self._is_lost = False

    def block(self, waiter: _Waiter, timeout: float | None) -> bool:
        """Give the turn back until ``waiter`` is released or ``timeout`` virtual seconds pass."""
        if self._is_over:
            raise Over
        alarm = None if timeout is None else self.loop.call_later(timeout, waiter.give_up)
        self._back.release()
        self._go.acquire()
        if self._is_over:
            raise Over
        if alarm is not None:
            alarm.cancel()
        return waiter.is_notified

    def give_up(self) -> None:
        """Have what it does unwound as soon as it runs."""
        self._is_over = True
        if self._is_lost:
            hanging.interrupt(self._thread)

    def close(self) -> None:
        """Let it end."""
        self._go.release()
        self._thread.join(LOST_PATIENCE if self._is_lost else hanging.PATIENCE)

    def _goes_on(self) -> bool:
        return not self._is_over

    def _main(self) -> None:
        ident = threading.get_ident()
        _THREADS[ident] = self
        try:
            while self._go.acquire() and self._goes_on():
                assert self._job is not None
                self._job()
                self._job = None
                if not self._goes_on():
                    return
                self._back.release()
        finally:
            del _THREADS[ident]


class _Waiter:
    """Stands for the lock on which a thread would wait inside a condition."""

    __slots__ = ("_context", "_loop", "_thread", "is_done", "is_notified")

    def __init__(self, thread: _Thread, loop: VirtualLoop) -> None:
        self._thread, self._loop, self._context = thread, loop, copy_context()
        self.is_done = self.is_notified = False

    def release(self) -> None:
        """What ``Condition.notify`` calls."""
        self.is_notified = self.is_notified or not self.is_done
        self.give_up()

    def give_up(self) -> None:
        """Have the thread run again when the loop comes to it."""
        if not self.is_done:
            self.is_done = True
            self._loop.call_soon(self._thread.turn, context=self._context)


def is_simulated_thread() -> bool:
    """Return whether this is the thread of a sync handler."""
    return threading.get_ident() in _THREADS


def monotonic() -> float:
    """Stand for ``time.monotonic`` where it bounds waits: virtual in threads of handlers."""
    thread = _THREADS.get(threading.get_ident())
    return time.monotonic() if thread is None else thread.loop.time()


def wait(condition: Any, timeout: float | None = None) -> bool:
    """Stand for ``threading.Condition.wait`` in the threads of sync handlers."""
    thread = _THREADS.get(threading.get_ident())
    if thread is None or (timeout is not None and timeout <= 0):
        return _WAIT(condition, timeout)
    if not condition._is_owned():  # noqa: SLF001 - as the method that this stands for
        raise RuntimeError("cannot wait on un-acquired lock")
    waiter = _Waiter(thread, thread.loop)
    waiters = condition._waiters  # noqa: SLF001 - as above
    waiters.append(waiter)
    saved = condition._release_save()  # noqa: SLF001 - as above
    try:
        return thread.block(waiter, timeout)
    finally:
        condition._acquire_restore(saved)  # noqa: SLF001 - as above
        if waiter in waiters:
            waiters.remove(waiter)
