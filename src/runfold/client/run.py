"""A run in the hands of whoever started it or found it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from runfold.client.run_past import Examined
from runfold.client.run_watch import Followed
from runfold.client.travel import Travelling
from runfold.define.values import Value
from runfold.errors import PayloadErased, RunCancelled, RunFailed
from runfold.flow.events import (
    FlowCancelled,
    FlowCancelRequested,
    FlowCompleted,
    FlowFailed,
    FlowPaused,
    FlowResumed,
)
from runfold.flow.seal import is_erased
from runfold.flow.work import ACCEPTING, Gate
from runfold.kernel.event import Recorded
from runfold.wire import RunState, run_state

if TYPE_CHECKING:
    from runfold.client.engine import Engine

Out_co = TypeVar("Out_co", covariant=True)


class Run(Followed, Examined, Travelling, Generic[Out_co]):
    """One run: its id, what it is doing, its result, and what may be asked of it."""

    def __init__(
        self, engine: Engine, id: bytes, *, flow: str, stream: int, result: Value, fresh: bool
    ) -> None:
        super().__init__(engine, id, flow=flow, stream=stream)
        self._value = result
        self._watched = engine.watch(stream, fresh=fresh) if stream else None

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

        Raises ``RunFailed``, ``RunCancelled``, ``PayloadErased``, or ``TimeoutError`` after
        ``timeout`` seconds; the run goes on then. ``timeout=0`` only looks whether the result is
        there.
        """
        end = await self._end(timeout)
        event = end.event
        if isinstance(event, FlowCompleted):
            if is_erased(end.state):
                raise PayloadErased(self.id, "the result")
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

    def _sibling(self, id: bytes, stream: int) -> Self:
        return type(self)(
            self._engine, id, flow=self._flow, stream=stream, result=self._value, fresh=True
        )

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
