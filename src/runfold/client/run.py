"""A run in the hands of whoever started it or found it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runfold.define.values import Value
from runfold.errors import InvalidInput, RunCancelled, RunFailed, RunFinished, RunNotFound
from runfold.flow.events import (
    FlowCancelled,
    FlowCancelRequested,
    FlowCompleted,
    FlowFailed,
    FlowPaused,
    FlowResumed,
)
from runfold.flow.run import Run as Folded
from runfold.flow.work import ACCEPTING, Gate
from runfold.kernel.event import Draft, Event, Recorded
from runfold.kernel.ids import text
from runfold.ports import Inbox, Name, Refusal
from runfold.wire import LogEvent, RunState, log_event, run_state

if TYPE_CHECKING:
    from runfold.client.engine import Engine

Out_co = TypeVar("Out_co", covariant=True)


class Run(Generic[Out_co]):
    """One run: its id, what it is doing, its result, and what may be asked of it."""

    def __init__(
        self, engine: Engine, id: bytes, *, flow: str, stream: int, result: Value, fresh: bool
    ) -> None:
        self._engine, self._bytes, self._flow, self._stream = engine, id, flow, stream
        self._value = result
        self._watched = engine.watch(stream, fresh=fresh) if stream else None
        self.id: str = text(id)
        """The run's id, a UUID."""

    def __repr__(self) -> str:
        return f"Run({self._flow!r}, {self.id})"

    async def status(self) -> str:
        """Return its status: ``scheduled running awaiting paused cancelling failing completed
        failed`` or ``cancelled``."""
        return (await self._fold()).status

    async def state(self, *, version: int | None = None, at: datetime | None = None) -> RunState:
        """Return its state now, at ``version`` of its stream, or at the moment ``at`` (aware).

        Raises ``ValueError`` for a version or moment before its first event.
        """
        run = await self._engine.fold(await self._number(), version=version, at=at)
        if at is None:
            at = run.updated_at if version is not None else await self._engine.now()
        return run_state(run, at)

    async def result(self, *, timeout: float | None = None) -> Out_co:
        """Return its result, as annotated, once it has completed.

        Raises ``RunFailed``, ``RunCancelled``, or ``TimeoutError`` after ``timeout`` seconds;
        the run goes on then. ``timeout=0`` only looks whether the result is there.
        """
        end = await self._end(timeout)
        event = end.event
        if isinstance(event, FlowCompleted):
            return self._value.load(event.result, "result")  # type: ignore[no-any-return]
        if isinstance(event, FlowFailed):
            raise RunFailed(self.id, event.failed_step, event.error)
        assert isinstance(event, FlowCancelled)
        raise RunCancelled(self.id, event.reason)

    async def cancel(self, reason: str | None = None) -> None:
        """Cancel it: recorded and in force on return; nothing of it starts any more.

        Raises ``RunFinished`` when it has ended or is on its way to an end.
        """
        await self._request(FlowCancelRequested(reason=reason), ACCEPTING, Gate.CLOSED)

    async def pause(self) -> None:
        """Claim nothing more of it until ``resume``; what runs goes on. Raises ``RunFinished``."""
        await self._request(FlowPaused(), ACCEPTING, Gate.PAUSED)

    async def resume(self) -> None:
        """Let a paused run go on. Raises ``RunFinished``."""
        await self._request(FlowResumed(), ACCEPTING, Gate.OPEN)

    async def events(
        self, *, types: Sequence[str] = (), after: int = 0, follow: bool = False
    ) -> AsyncIterator[LogEvent]:
        """Yield its events in order, those with an ``id`` above ``after``.

        ``follow`` goes on until the run has ended; else it ends with what is recorded.
        """
        name = Name(self._bytes, self._flow)
        async for recorded in self._engine.stream(await self._number(), follow=follow):
            if recorded.position > after and (not types or recorded.event.TOPIC in types):
                yield log_event(recorded, name)

    async def _fold(self) -> Folded:
        return await self._engine.fold(await self._number())

    async def _number(self) -> int:
        """Return its stream's number; of a run that waits in the inbox it is known later."""
        if not self._stream:
            self._stream = await self._engine.number(self._bytes) or 0
            if not self._stream:
                raise RunNotFound(
                    f"run {self.id} is not recorded (yet): it was started inside a transaction "
                    "that has not committed, or was rolled back"
                )
        return self._stream

    async def _end(self, timeout: float | None) -> Recorded:
        try:
            async with asyncio.timeout(timeout or None):
                return await self._wait(look_only=timeout == 0)
        except TimeoutError:
            raise TimeoutError(
                f"run {self.id} has no result after {timeout} seconds; it goes on"
            ) from None

    async def _wait(self, *, look_only: bool) -> Recorded:
        if not self._stream:
            self._stream = await self._engine.number(self._bytes, wait=not look_only)
            if not self._stream:
                raise TimeoutError  # It waits in the inbox, if its caller commits.
        if self._watched is None:
            self._watched = self._engine.watch(self._stream, fresh=False)
        watched = self._watched
        if watched.end is None and (look_only or not watched.looked):
            # Only after it is watched: an end between looking and watching would be missed.
            end = await self._engine.end(self._stream)
            watched.looked = True
            if end is not None:
                watched.ended(end)
            elif look_only:
                raise TimeoutError
        return await watched.wait()

    async def _request(self, event: Event, gates: int, gate: Gate) -> None:
        number = await self._number()
        outcome = await self._engine.submit(
            [Draft(event)], stream=number, gates=gates, gate=int(gate)
        )
        if outcome.refusal in (Refusal.ENDED, Refusal.GATE):
            raise RunFinished(
                f"run {self.id} is {await self.status()!r}: it has ended or is ending; "
                "nothing was recorded"
            )
        if outcome.refusal is not None:
            raise RunNotFound(f"run {self.id} is not in this log")


class Enlisted:
    """Starts that are checked and wait to be written through a caller's connection."""

    def __init__(
        self, store: Inbox, rows: Sequence[tuple[bytes, str]], runs: list[Run[Any]]
    ) -> None:
        self._store, self._rows, self.runs = store, rows, runs

    async def enlist(self, connection: Any) -> None:
        """Write them, in the caller's thread, loop and transaction."""
        waiting = self._store.enlist(connection, self._rows)
        if waiting is not None:
            await waiting

    def enlist_blocking(self, connection: Any) -> None:
        """Write them through a connection that blocks."""
        waiting = self._store.enlist(connection, self._rows)
        if waiting is not None:
            waiting.close()
            raise InvalidInput(
                f"{connection!r} is an async connection: use it with `await rf.start(...)`"
            )
