"""What a handler can do beside returning: the surface, which the runtime fills in.

``Context`` is what an ``async def`` is given, ``SyncContext`` what a ``def`` is given: the
same members, blocking. Logs, progress, records and output are written as they happen, also
by attempts that fail; emits and state take effect with the attempt, or not at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from types import UnionType
from typing import Any, TypeVar, overload

from runfold.define.topic import Topic

T = TypeVar("T")
D = TypeVar("D")


class AttemptEnded(RuntimeError):
    """A handler called its context after its attempt had ended; the call did nothing."""


class TransactionMisused(RuntimeError):
    """A handler used ``ctx.transaction()`` in a way that could not commit with its attempt."""


class Logger(ABC):
    """Records lines in the run's history; stdlib ``logging`` inside a handler does so too."""

    __slots__ = ()

    @abstractmethod
    def log(self, level: str, message: str, meta: dict[str, Any]) -> None:
        """Record ``message`` at ``level``: debug, info, warning or error."""

    def debug(self, message: str, **meta: Any) -> None:
        """Record ``message`` at level debug."""
        self.log("debug", message, meta)

    def info(self, message: str, **meta: Any) -> None:
        """Record ``message`` at level info."""
        self.log("info", message, meta)

    def warning(self, message: str, **meta: Any) -> None:
        """Record ``message`` at level warning."""
        self.log("warning", message, meta)

    def error(self, message: str, **meta: Any) -> None:
        """Record ``message`` at level error."""
        self.log("error", message, meta)


class State(ABC):
    """The run's shared state. Changes take effect with the attempt; ``get`` reads own writes,
    else what is committed at the call. None, 0, False and "" are values."""

    __slots__ = ()

    @overload
    async def get(self, key: str, default: Any = None) -> Any: ...
    @overload
    async def get(self, key: str, default: D, *, type: type[T]) -> T | D: ...
    @overload
    async def get(self, key: str, *, type: type[T]) -> T | None: ...
    @overload
    async def get(self, key: str, default: Any = None, *, type: UnionType) -> Any: ...
    @abstractmethod
    async def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:  # noqa: A002
        """Return the value of ``key``, as ``type`` where given; ``default`` where there is none."""

    @abstractmethod
    async def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Set ``key``, for ``ttl`` seconds; None: until the run's state is cleaned up."""

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Remove ``key``, if there."""

    @abstractmethod
    async def add(self, key: str, number: float = 1) -> None:
        """Add ``number`` to what is there (0 where nothing is) when the attempt ends."""

    @abstractmethod
    async def append(self, key: str, value: Any) -> None:
        """Append ``value`` to the list that is there (empty where none is) when it ends."""


class SyncState(ABC):
    """``State``, blocking."""

    __slots__ = ()

    @overload
    def get(self, key: str, default: Any = None) -> Any: ...
    @overload
    def get(self, key: str, default: D, *, type: type[T]) -> T | D: ...
    @overload
    def get(self, key: str, *, type: type[T]) -> T | None: ...
    @overload
    def get(self, key: str, default: Any = None, *, type: UnionType) -> Any: ...
    @abstractmethod
    def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:  # noqa: A002
        """Return the value of ``key``, as ``type`` where given; ``default`` where there is none."""

    @abstractmethod
    def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Set ``key``, for ``ttl`` seconds; None: until the run's state is cleaned up."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove ``key``, if there."""

    @abstractmethod
    def add(self, key: str, number: float = 1) -> None:
        """Add ``number`` to what is there (0 where nothing is) when the attempt ends."""

    @abstractmethod
    def append(self, key: str, value: Any) -> None:
        """Append ``value`` to the list that is there (empty where none is) when it ends."""


class Cancelled(ABC):
    """Whether the work is still wanted. A handler is told, and may finish or stop."""

    __slots__ = ()

    @property
    @abstractmethod
    def reason(self) -> str | None:
        """Why it is not; None while it is."""

    @abstractmethod
    def is_set(self) -> bool:
        """Return whether the work is no longer wanted."""

    @abstractmethod
    async def wait(self) -> None:
        """Wait until the work is no longer wanted."""


class SyncCancelled(ABC):
    """``Cancelled``, blocking."""

    __slots__ = ()

    @property
    @abstractmethod
    def reason(self) -> str | None:
        """Why it is not; None while it is."""

    @abstractmethod
    def is_set(self) -> bool:
        """Return whether the work is no longer wanted."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the work is no longer wanted, at most ``timeout`` seconds; return if so."""


class _Shared(ABC):
    __slots__ = ()

    @property
    @abstractmethod
    def run_id(self) -> str:
        """The id of the run."""

    @property
    @abstractmethod
    def flow_name(self) -> str:
        """The name of its flow, or of the job."""

    @property
    @abstractmethod
    def step_name(self) -> str:
        """The name of the step."""

    @property
    @abstractmethod
    def queue(self) -> str:
        """The queue that the job waited in."""

    @property
    @abstractmethod
    def attempt(self) -> int:
        """1 for the first try of this activation."""

    @property
    @abstractmethod
    def tags(self) -> tuple[str, ...]:
        """Those of the run."""

    @property
    @abstractmethod
    def input(self) -> Any:
        """The step's input before validation: plain JSON."""

    @property
    @abstractmethod
    def job_id(self) -> str:
        """Of the activation, the same for all its attempts: an idempotency key for others."""

    @property
    @abstractmethod
    def step_id(self) -> str:
        """Of this attempt."""

    @property
    @abstractmethod
    def trigger(self) -> str | None:
        """The name of the emit that caused the activation; None of the entry and of joins."""

    @property
    @abstractmethod
    def due_at(self) -> datetime | None:
        """When this was due: ``run_at``, the end of its ``delay``, else the start."""

    @property
    @abstractmethod
    def deps(self) -> Any:
        """What ``lifespan`` yielded."""

    @property
    @abstractmethod
    def log(self) -> Logger:
        """Records lines in the run's history."""

    @overload
    def emit(self, topic: Topic[None]) -> None: ...
    @overload
    def emit(self, topic: Topic[T], payload: T) -> None: ...
    @overload
    def emit(self, topic: str, payload: Any = None) -> None: ...
    @abstractmethod
    def emit(self, topic: Any, payload: Any = None) -> None:
        """Emit ``topic`` when the attempt completes; the step must have declared it."""

    @abstractmethod
    def record(self, type: str, data: Any = None) -> None:  # noqa: A002 - as on the wire
        """Record an event of your own in the run's history."""

    @abstractmethod
    def progress(self, percent: float, message: str | None = None, details: Any = None) -> None:
        """Tell how far the attempt is: ``percent`` from 0 to 100."""

    @abstractmethod
    def write(self, chunk: str, *, stream: str = "output") -> None:
        """Append ``chunk`` to an output stream; gathered, at most one event per 50 ms."""


class Context(_Shared):
    """What an ``async def`` handler can do."""

    __slots__ = ()

    @property
    @abstractmethod
    def state(self) -> State:
        """The run's shared state."""

    @property
    @abstractmethod
    def cancelled(self) -> Cancelled:
        """Whether the work is still wanted."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Return a block that yields SQLAlchemy's ``AsyncConnection`` to the engine's database.

        What is written through it and the completion of this attempt commit together, once, or
        not at all: not at the block's end, and not when the attempt fails or lost its lease.
        Once per attempt; raises ``TransactionMisused`` for a second one.
        """


class SyncContext(_Shared):
    """What a ``def`` handler can do, from its thread or process."""

    __slots__ = ()

    @property
    @abstractmethod
    def state(self) -> SyncState:
        """The run's shared state."""

    @property
    @abstractmethod
    def cancelled(self) -> SyncCancelled:
        """Whether the work is still wanted."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Any]:
        """Return a block that yields SQLAlchemy's ``Connection`` to the engine's database.

        As ``Context.transaction``; not in a process of its own.
        """
