"""The contexts that handlers are given: thin faces of an attempt, made only where wanted."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any, TypeVar

from runfold.define.context import (
    AttemptEnded,
    Cancelled,
    Context,
    Logger,
    State,
    SyncCancelled,
    SyncContext,
    SyncState,
)
from runfold.runtime.context_attempt import Attempt
from runfold.runtime.context_logging import AttemptLogger
from runfold.runtime.task import CancelSignal
from runfold.settings import Span

T = TypeVar("T")
STATE_TIMEOUT = 60.0
"""Seconds that a thread waits for a value of the state."""


def on_the_loop(attempt: Attempt, asking: Coroutine[Any, Any, T], timeout: float | None) -> T:
    """Return what ``asking`` returns on the loop; called on the handler's thread."""
    return waited_for(attempt.loop, asking, timeout)


def waited_for(
    loop: asyncio.AbstractEventLoop, asking: Coroutine[Any, Any, T], timeout: float | None = None
) -> T:
    """Return what ``asking`` returns on ``loop``; called on another thread."""
    try:
        future = asyncio.run_coroutine_threadsafe(asking, loop)
    except RuntimeError as error:  # The loop is closed: the process stops.
        asking.close()
        raise AttemptEnded("the engine has stopped") from error
    try:
        return future.result(timeout)
    except Exception:
        raise
    except BaseException:  # The thread itself is to end: a loop that is over never began it.
        if inspect.getcoroutinestate(asking) == inspect.CORO_CREATED:
            asking.close()
        raise


class _Face:
    """What both contexts have, from the attempt behind them."""

    __slots__ = ("_attempt",)

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    @property
    def run_id(self) -> str:
        return self._attempt.task.run_id

    @property
    def flow_name(self) -> str:
        return self._attempt.task.job.flow

    @property
    def step_name(self) -> str:
        return self._attempt.task.job.step

    @property
    def queue(self) -> str:
        return self._attempt.task.job.queue

    @property
    def attempt(self) -> int:
        return self._attempt.task.job.attempt

    @property
    def tags(self) -> tuple[str, ...]:
        return self._attempt.task.tags

    @property
    def input(self) -> Any:
        return self._attempt.plain_input

    @property
    def job_id(self) -> str:
        return self._attempt.job_id

    @property
    def step_id(self) -> str:
        return self._attempt.step_id

    @property
    def trigger(self) -> str | None:
        return self._attempt.task.trigger

    @property
    def due_at(self) -> datetime | None:
        return self._attempt.task.due_at

    @property
    def deps(self) -> Any:
        return self._attempt.task.deps

    @property
    def log(self) -> Logger:
        return AttemptLogger(self._attempt)

    def emit(self, topic: Any, payload: Any = None) -> None:
        self._attempt.emit(topic, payload)

    def record(self, type: str, data: Any = None) -> None:  # noqa: A002 - as on the wire
        self._attempt.record(type, data)

    def progress(self, percent: float, message: str | None = None, details: Any = None) -> None:
        self._attempt.progress(percent, message, details)

    def write(self, chunk: str, *, stream: str = "output") -> None:
        self._attempt.write(chunk, stream)


class AttemptContext(_Face, Context):
    """The context of an ``async def``."""

    __slots__ = ()

    @property
    def state(self) -> State:
        """The run's shared state."""
        return _AttemptState(self._attempt)

    @property
    def cancelled(self) -> Cancelled:
        """Whether the work is still wanted."""
        return _AttemptCancelled(self._attempt.task.cancelled)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Any]:
        """Yield a connection whose transaction commits with this attempt."""
        opened = await self._attempt.begin()
        try:
            yield opened.connection
        except BaseException:
            await self._attempt.transaction.undo()
            raise
        self._attempt.transaction.leave()


class _AttemptState(State):
    __slots__ = ("_attempt",)

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    async def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:  # noqa: A002
        return await self._attempt.read(key, default, type)

    async def set(self, key: str, value: Any, ttl: Span | None = None) -> None:
        self._attempt.change("set", key, value, ttl)

    async def delete(self, key: str) -> None:
        self._attempt.change("delete", key)

    async def add(self, key: str, number: float = 1) -> None:
        self._attempt.change("add", key, number)

    async def append(self, key: str, value: Any) -> None:
        self._attempt.change("append", key, value)


class _AttemptCancelled(Cancelled):
    __slots__ = ("_signal",)

    def __init__(self, signal: CancelSignal) -> None:
        self._signal = signal

    @property
    def reason(self) -> str | None:
        return self._signal.reason

    def is_set(self) -> bool:
        return self._signal.reason is not None

    async def wait(self) -> None:
        await self._signal.wait()


class ThreadContext(_Face, SyncContext):
    """The context of a ``def``, used on its thread."""

    __slots__ = ()

    @property
    def state(self) -> SyncState:
        """The run's shared state."""
        return _ThreadState(self._attempt)

    @property
    def cancelled(self) -> SyncCancelled:
        """Whether the work is still wanted."""
        return _ThreadCancelled(self._attempt)

    @contextmanager
    def transaction(self) -> Generator[Any]:
        """Yield a connection whose transaction commits with this attempt."""
        opened = on_the_loop(self._attempt, self._attempt.begin(), None)
        try:
            yield opened.connection
        except BaseException:
            on_the_loop(self._attempt, self._attempt.transaction.undo(), None)
            raise
        self._attempt.transaction.leave()

    def emit_stored(self, name: str, plain: Any) -> None:
        """Emit a payload that another process has written as plain JSON already."""
        self._attempt.emit(name, plain, is_stored=True)


class _ThreadState(SyncState):
    __slots__ = ("_attempt",)

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:  # noqa: A002
        self._attempt.check()
        return on_the_loop(self._attempt, self._attempt.read(key, default, type), STATE_TIMEOUT)

    def set(self, key: str, value: Any, ttl: Span | None = None) -> None:
        self._attempt.change("set", key, value, ttl)

    def delete(self, key: str) -> None:
        self._attempt.change("delete", key)

    def add(self, key: str, number: float = 1) -> None:
        self._attempt.change("add", key, number)

    def append(self, key: str, value: Any) -> None:
        self._attempt.change("append", key, value)


class _ThreadCancelled(SyncCancelled):
    __slots__ = ("_event", "_signal")

    def __init__(self, attempt: Attempt) -> None:
        self._signal = attempt.task.cancelled
        self._event: threading.Event | None = None

    @property
    def reason(self) -> str | None:
        return self._signal.reason

    def is_set(self) -> bool:
        return self._signal.reason is not None

    def wait(self, timeout: float | None = None) -> bool:
        if self._event is None:
            self._event = threading.Event()
            self._signal.event(self._event)
        return self._event.wait(timeout)
