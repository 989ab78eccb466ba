"""One attempt, as the worker hands it to the executor, and the strings by which it is held."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runfold.define.handler import Handler
from runfold.kernel.event import Draft
from runfold.ports import Job, Transaction


class CancelSignal:
    """Tells a handler that its work is no longer wanted; set once, from the loop's thread.

    The handler is only told. It may finish what it does, and what it did is recorded if its
    run still takes it; the worker fences it when it takes too long.
    """

    __slots__ = ("_events", "_waiters", "reason")

    def __init__(self) -> None:
        self.reason: str | None = None
        """Why; None while not set."""
        self._waiters: list[asyncio.Future[None]] = []
        self._events: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        """Return whether the work is no longer wanted."""
        return self.reason is not None

    def set(self, reason: str) -> None:
        """Tell it; only the first reason counts."""
        if self.reason is not None:
            return
        self.reason = reason
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        for notify in self._events:
            notify()
        self._waiters.clear()
        self._events.clear()

    async def wait(self) -> None:
        """Wait until it is set."""
        if self.reason is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    def event(self, event: Any) -> Callable[[], None]:
        """Set ``event``, of a thread or a process, when this is set; ``forget`` what it returns."""
        notify: Callable[[], None] = event.set
        self._events.append(notify)
        if self.reason is not None:  # Set in between, by the loop.
            notify()
        return notify

    def forget(self, notify: Callable[[], None]) -> None:
        """Set that event no longer."""
        if notify in self._events:
            self._events.remove(notify)


class Grip:
    """What the executor and the worker share about one attempt while it runs."""

    __slots__ = ("abort", "aborted", "gone", "transaction")

    def __init__(self) -> None:
        self.aborted: str | None = None
        self.gone: asyncio.Future[None] | None = None
        self.abort: Callable[[], object] | None = None
        """Ends the handler as far as it can be ended; set by the executor."""
        self.transaction: Transaction | None = None
        """The handler's own, in which its completion is to be recorded."""


@dataclass(slots=True, eq=False)
class Task:
    """An attempt to be executed; nobody changes one, but for what its ``grip`` says."""

    job: Job
    handler: Handler
    run_id: str
    record: Callable[[Job, Sequence[Draft]], Awaitable[None]]
    """Writes facts at once, in order; answers when they are in the log, or never will be."""
    read_state: Callable[[int, str], Awaitable[tuple[bool, Any]]]
    """Answers whether the state of a stream's run has the key now, and its plain value."""
    transaction: Callable[..., Transaction]
    """Makes a transaction for the handler: ``Transactions.handler_transaction``."""
    tags: tuple[str, ...] = ()
    input: Any = None
    """The input of the step, plain."""
    trigger: str | None = None
    due_at: datetime | None = None
    timeout: float | None = None
    """Seconds; None: no limit."""
    never: tuple[str, ...] = ()
    """Names of exceptions after which the run's start wants no further attempt."""
    pause: Callable[[], float] | None = None
    """How long a handler that was told to slow down waits, in seconds, if it does not say."""
    deps: Any = None
    cancelled: CancelSignal = field(default_factory=CancelSignal)
    grip: Grip = field(default_factory=Grip)

    @property
    def aborted(self) -> bool:
        """True after ``abort``: nothing that this attempt did is to be recorded."""
        return self.grip.aborted is not None

    @property
    def gone(self) -> asyncio.Future[None] | None:
        """Done when the handler has left; None when it left before ``execute`` returned."""
        return self.grip.gone

    def abort(self, reason: str) -> None:
        """End the handler as far as it can be ended: the attempt is fenced, or given back.

        An async handler is cancelled, a process killed; a thread is told, and every call of
        its context raises. ``execute`` then returns no drafts: at once, or, of an async
        handler without a timeout, when it has left.
        """
        if self.grip.aborted is None:
            self.grip.aborted = reason
            self.cancelled.set(reason)
            if self.grip.abort is not None:
                self.grip.abort()
