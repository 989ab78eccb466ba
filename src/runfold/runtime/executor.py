"""Runs handlers, each in the way it was written, and says how their attempts ended.

An ``async def`` is awaited on the loop, a ``def`` runs in a thread, ``process=True`` in a
process of its own. Whatever a handler does - raise anything, return what cannot be stored,
swallow its cancellation, go on after its end - the outcome is one of three:

    execute --> [emits, state changes, step.completed]     it returned
            --> [step.errored]                             it raised, or its time is over
            --> []                                         the worker aborted it

A handler that does not stop when its time is over is left behind: ``execute`` answers, its
context does nothing any more, and ``task.gone`` says when it has left.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from runfold.define.context import TransactionMisused
from runfold.errors import InvalidInput
from runfold.kernel.event import Draft
from runfold.ports import Clock
from runfold.runtime.context import AttemptContext, ThreadContext
from runfold.runtime.context_attempt import Attempt
from runfold.runtime.context_facts import Spawn
from runfold.runtime.context_logging import BRIDGE, CURRENT
from runfold.runtime.executor_endings import Raised, completed, errored, raised, timed_out
from runfold.runtime.process import Processes
from runfold.runtime.task import Task

T = TypeVar("T")
Outcome = tuple[bool, Any]
"""(True, plain result), or (False, ``Raised``)."""


class Pool(Protocol):
    """Where sync handlers run."""

    def submit(self, call: Callable[..., T], /, *args: Any) -> Future[T]:
        """Have ``call`` run beside the loop; return the future of its result."""
        ...


class _Run(NamedTuple):
    """A handler that runs beside ``execute``."""

    gone: asyncio.Future[None]
    outcome: Callable[[], Outcome]
    stop: Callable[[], object]


class Executor:
    """Runs handlers. ``threads`` bounds the sync ones, ``processes`` (default: one for each
    core) those in processes; more wait, their timeouts not yet running."""

    def __init__(
        self, *, spawn: Spawn, clock: Clock, threads: int = 32, processes: int | None = None
    ) -> None:
        self._spawn, self._monotonic = spawn, clock.monotonic
        self._thread_count, self._process_count = threads, processes or os.cpu_count() or 1
        self._threads: ThreadPoolExecutor | None = None
        self._processes: Processes | None = None
        BRIDGE.install()

    def close(self) -> None:
        """End idle threads and all processes; wait for nothing."""
        BRIDGE.remove()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        if self._processes is not None:
            self._processes.close()

    async def execute(self, task: Task) -> list[Draft]:
        """Run the handler of ``task``; return the events that end the attempt, none if aborted."""
        if task.grip.aborted is not None:
            return []
        attempt = Attempt(task, self._spawn, asyncio.get_running_loop())
        transaction, started = attempt.transaction, self._monotonic()
        try:
            if task.timeout is None and task.handler.kind == "async":
                is_done, value = await _awaited(attempt, is_inline=True)
            else:
                is_done, value = await self._beside(attempt)
            duration = (self._monotonic() - started) * 1000
            attempt.ended = attempt.ended or "it has returned"
            is_fenced = task.grip.aborted is not None
            if attempt.fault is not None:
                is_done, value = False, raised(attempt.fault, refused=True)
            if is_done and not is_fenced and transaction.state in ("open", "ready"):
                try:
                    task.grip.transaction = transaction.hand_over()
                except TransactionMisused as error:
                    is_done, value = False, raised(error)
                else:
                    return [*attempt.held(), *completed(attempt, value, duration)]
            if transaction.state != "none":
                await transaction.undo()
            if attempt.has_facts:
                await attempt.flush()
            if is_fenced:
                return []
            if is_done:
                return completed(attempt, value, duration)
            return errored(attempt, _with_pause(task, value), duration)
        finally:
            if transaction.state != "none":
                await transaction.undo()  # Unless it was handed over.

    # Everything else runs beside, so that its end can be told before it has left.

    async def _beside(self, attempt: Attempt) -> Outcome:
        task, loop = attempt.task, asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        timers: list[asyncio.TimerHandle] = []

        def settle(how: str) -> None:
            if not answer.done():
                answer.set_result(how)

        def begin() -> None:
            if task.timeout is not None and not answer.done():
                timers.append(loop.call_later(task.timeout, settle, "timeout"))

        run = self._start(attempt, begin)
        run.gone.add_done_callback(lambda _: settle("done"))
        task.grip.abort = partial(settle, "aborted")
        try:
            how = await answer
        except asyncio.CancelledError:
            self._leave(attempt, run, "the worker stops")
            raise
        finally:
            task.grip.abort = None
            for timer in timers:
                timer.cancel()
        if how == "done":
            return run.outcome()
        if how == "timeout" and task.timeout is not None:
            self._leave(attempt, run, f"its timeout of {task.timeout:g} s is over")
            return False, timed_out(attempt, task.timeout)
        self._leave(attempt, run, task.grip.aborted or how)
        return False, None

    def _leave(self, attempt: Attempt, run: _Run, reason: str) -> None:
        """Leave a handler behind: told, stopped as far as it can be, its context dead."""
        attempt.ended = reason
        attempt.task.cancelled.set(reason)
        attempt.task.grip.gone = run.gone
        run.stop()

    def _start(self, attempt: Attempt, begin: Callable[[], None]) -> _Run:
        gone: asyncio.Future[None] = attempt.loop.create_future()
        if attempt.task.handler.kind == "async":
            begin()
            inner = self._spawn(_awaited(attempt, is_inline=False))
            inner.add_done_callback(lambda _: _resolve(gone))
            return _Run(gone, inner.result, inner.cancel)
        attempt.thread = True
        begin_soon = partial(attempt.loop.call_soon_threadsafe, begin)
        if attempt.task.handler.kind == "thread":
            pool: Pool = self._thread_pool()
            stop = None
            work: Callable[[], Outcome] = partial(_called, attempt, begin_soon)
        else:
            processes = self._process_pool()
            pool, stop = processes.threads, partial(processes.kill, attempt)
            work = partial(processes.run, attempt, ThreadContext(attempt), begin_soon)
        context = contextvars.copy_context()
        context.run(CURRENT.set, attempt)
        future: Future[Outcome] = pool.submit(context.run, work)
        future.add_done_callback(lambda _: _soon(attempt.loop, _resolve, gone))
        return _Run(gone, future.result, stop or future.cancel)

    def _thread_pool(self) -> Pool:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._thread_count, "runfold")
        return self._threads

    def _process_pool(self) -> Processes:
        if self._processes is None:
            self._processes = Processes(self._process_count)
        return self._processes


async def _awaited(attempt: Attempt, *, is_inline: bool) -> Outcome:
    """Await the handler; whatever it raises is an outcome, but for what is meant for us.

    ``is_inline``: in the task that executes the attempt, which an abort cancels then.
    """
    handler, grip = attempt.task.handler, attempt.task.grip
    runner = asyncio.current_task(attempt.loop)
    assert runner is not None
    if is_inline:
        grip.abort = runner.cancel
    token = CURRENT.set(attempt)
    try:
        if handler.takes == 0:
            result = await handler.fn()
        else:
            given = _given(attempt)
            if handler.takes == 1:
                result = await handler.fn(given)
            else:
                result = await handler.fn(given, AttemptContext(attempt))
        return True, _result(attempt, result)
    except BaseException as error:  # A handler may raise anything at all.
        if _is_for_us(error, attempt, runner):
            raise
        return False, caught(attempt, error)
    finally:
        CURRENT.reset(token)
        if is_inline:
            grip.abort = None
            if grip.aborted is not None:  # The cancel was ours, whatever the handler made of it.
                runner.uncancel()


def _called(attempt: Attempt, begin: Callable[[], object]) -> Outcome:
    """Call the handler, in its thread; whatever it raises is an outcome."""
    handler = attempt.task.handler
    try:
        if attempt.ended is not None:  # Its time was over before a thread was free.
            return False, None
        begin()
        given = _given(attempt) if handler.takes else None
        arguments = (given, ThreadContext(attempt))[: handler.takes]
        return True, _result(attempt, handler.fn(*arguments))
    except BaseException as error:  # A handler may raise anything at all.
        return False, caught(attempt, error)


def _with_pause(task: Task, found: Raised) -> Raised:
    """Return ``found`` with the time that a handler waits which was told to slow down."""
    if found.charged or found.retry_at is not None or found.retry_after is not None:
        return found
    return replace(found, retry_after=None if task.pause is None else task.pause())


def caught(attempt: Attempt, error: BaseException) -> Raised:
    """Return what the handler of ``attempt`` raised."""
    refused = isinstance(error, InvalidInput) and error is attempt.refused
    task = attempt.task
    return raised(error, never=task.handler.never, names=task.never, refused=refused)


def guarded(call: Callable[[], Any]) -> tuple[bool, Any]:
    """Return (True, result) or (False, whatever ``call`` raised): for another process."""
    try:
        return True, call()
    except BaseException as error:  # A handler may raise anything at all.
        return False, error


def _given(attempt: Attempt) -> Any:
    task = attempt.task
    try:
        return task.handler.input.load(task.input, f"the input of step {task.handler.step!r}")
    except InvalidInput as error:
        attempt.refused = error
        raise


def _result(attempt: Attempt, result: Any) -> Any:
    handler = attempt.task.handler
    return attempt.dump(handler.result, result, f"the result of step {handler.step!r}")


def _is_for_us(error: BaseException, attempt: Attempt, runner: asyncio.Task[Any]) -> bool:
    """Return whether ``error`` came to the handler from outside and must go on.

    A cancel of the task itself, unless the worker aborted or the time was over; Ctrl-C on the
    loop's thread; and the closing of a coroutine that nobody runs any more.
    """
    if isinstance(error, asyncio.CancelledError):
        is_left = attempt.task.aborted or attempt.ended is not None
        return not is_left and runner.cancelling() > 0
    if isinstance(error, GeneratorExit):
        try:
            return asyncio.current_task() is not runner
        except RuntimeError:  # No loop runs: it is being collected.
            return True
    return isinstance(error, KeyboardInterrupt)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, *args)
