"""Following one run: its events, its progress, its output, and all of it over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from runfold.client.filters import Filter, checked_position, checked_types, last_event_id, refused
from runfold.client.handle import Handle
from runfold.client.reports import Chunk, Progress
from runfold.client.sse import HEARTBEAT_SECONDS, frames
from runfold.flow.events import ENDS, Output, StepProgress
from runfold.kernel.event import Event
from runfold.wire import LogEvent


class Followed(Handle):
    """The part of a ``Run`` that tells what happens in it."""

    def events(
        self, *, types: Sequence[str] = (), after: int = 0, follow: bool = False
    ) -> AsyncGenerator[LogEvent]:
        """Yield its events in order, those with an ``id`` above ``after``.

        ``follow`` goes on until the run has ended, through every loss of the database; else it
        ends with what is recorded. Raises ``InvalidInput`` for a type that no event has.
        """
        wanted = Filter(checked_types(types))
        return self._events(wanted, checked_position(after), follow=follow)

    async def progress(self) -> AsyncGenerator[Progress]:
        """Yield each progress of its attempts, from the first on, until the run has ended."""
        async with aclosing(self._of(StepProgress)) as events:
            async for event in events:
                yield Progress.of(event)

    def output(self, stream: str = "output") -> AsyncGenerator[Chunk]:
        """Yield what its handlers write to ``stream``, from the first chunk on, until its end.

        A chunk is a ``str``; a new attempt writes the stream anew: see ``chunk.attempt``.
        """
        if not isinstance(stream, str):
            raise refused("stream", f"stream is {stream!r}, expected the name of a stream")
        return self._output(stream)

    def sse(
        self, *, types: Sequence[str] = (), after: str | int | None = None
    ) -> AsyncGenerator[bytes]:
        """Yield its events as server-sent events, ready for a streaming response.

        ``after`` takes the ``Last-Event-ID`` header. The event that ends the run comes whatever
        ``types`` say, and ends the stream; a comment is sent every 15 seconds without an event.
        Raises ``InvalidInput`` for a type that no event has, or an ``after`` that is no id.
        """
        checked = checked_types(types)
        wanted = Filter(checked | ENDS if checked else checked)
        return self._sse(wanted, last_event_id(after))

    async def _events(
        self, wanted: Filter, after: int, *, follow: bool
    ) -> AsyncGenerator[LogEvent]:
        following, number = self._engine.following, await self._number()
        found = following.run(number, self._name, wanted, after=after, follow=follow)
        async with aclosing(found):
            async for event in found:
                if event is not None:
                    yield event

    def _of(self, kind: type[Event]) -> AsyncGenerator[LogEvent]:
        return self._events(Filter(frozenset({kind.TOPIC})), 0, follow=True)

    async def _output(self, stream: str) -> AsyncGenerator[Chunk]:
        async with aclosing(self._of(Output)) as events:
            async for event in events:
                if event.data["stream"] == stream:
                    yield Chunk.of(event)

    async def _sse(self, wanted: Filter, after: int) -> AsyncGenerator[bytes]:
        following, number = self._engine.following, await self._number()
        found = following.run(
            number, self._name, wanted, after=after, follow=True, idle=HEARTBEAT_SECONDS
        )
        async with aclosing(frames(found)) as sent:
            async for one in sent:
                yield one
