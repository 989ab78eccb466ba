"""Beginning a new run with the past of another: ``run.restart``, ``run.retry``, ``run.fork``.

The origin is read and never touched; the new run is one commit: it is there whole, or not
at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import EllipsisType
from typing import Any, Literal, Self

from runfold.client.handle import Handle
from runfold.client.options import start_fields
from runfold.define.values import ANY
from runfold.errors import InvalidInput, PayloadErased, Unforkable
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowStart, StepCompleted, StepFailed, StepStarted
from runfold.flow.fork import descend, fork
from runfold.flow.seal import is_erased
from runfold.flow.selection import prefix, remainder
from runfold.flow.start import told
from runfold.kernel.event import Recorded
from runfold.kernel.ids import text
from runfold.runtime.decisions import rows
from runfold.settings import Span

Which = Literal["recorded", "served"]
"""Whose graph a new run follows: its origin's, or the one that was served last."""
COPIED_EVENTS_MAX = 20_000
"""How many events a new run may begin with: they are one commit, for which others wait."""
COPIED_BYTES_MAX = 32_000_000
"""How large they may be together, as stored."""


class Travelling(Handle, ABC):
    """The part of a ``Run`` that makes other runs of its past."""

    @abstractmethod
    def _sibling(self, id: bytes, stream: int) -> Self:
        """Return a run of the same flow that was recorded just now."""

    async def restart(
        self,
        *,
        definition: Which = "served",
        deadline: datetime | Span | EllipsisType | None = ...,
    ) -> Self:
        """Record a new run with the input of this one, and return it.

        It follows the ``definition`` that is ``served`` now, or the ``recorded`` one of this
        run. ``deadline``: another than that of this run, None: the flow's own. Raises
        ``Unforkable`` when the deadline has passed.
        """
        past = [await self._first()]
        changes: dict[str, Any] = {"deadline": deadline}
        if definition == "served":
            start = past[0].event
            assert isinstance(start, FlowStart)
            changes["input"] = self._engine.input_of(self._flow).again(start.input, "input")
        return await self._begin("restart", 1, past, definition, **changes)

    async def retry(
        self,
        *,
        from_step: str | None = None,
        definition: Which = "recorded",
        deadline: datetime | Span | EllipsisType | None = ...,
    ) -> Self:
        """Record a new run that begins before what failed in this one, and return it.

        Results of steps that completed are kept, apart from those that have been compensated;
        what failed for good or was cancelled, and what came of it, runs again with all its
        attempts. ``from_step``: every activation of that step and what came of it as well; so
        also a run that completed can be tried again. ``definition``, ``deadline``: as for
        ``restart``. Raises ``Unforkable`` for a run that goes on, or in which nothing is to be
        tried again; ``InvalidInput`` for a step that never ran.
        """
        history = await self._past(None)
        version = history[-1].version
        history = told(history)
        graph = await self._graph(history[0], "recorded")
        past = await self._engine.aside(remainder, history, graph, from_step)
        return await self._begin("retry", version, past, definition, deadline=deadline)

    async def fork(
        self,
        *,
        at: int | datetime,
        input: Any = ...,
        state: Mapping[str, Any] | None = None,
        definition: Which = "recorded",
        deadline: datetime | Span | EllipsisType | None = ...,
    ) -> Self:
        """Record a new run that goes on from a version of this one, or a moment, and return it.

        What was recorded by then is copied and not done again; what was under way starts again,
        not charged. ``input``: another for the run, as long as its first step has not
        completed. ``state``: values to set over those of the run. ``definition``, ``deadline``:
        as for ``restart``. At most 20,000 events and 32 MB are copied. Raises ``InvalidInput``
        for a place outside of the run, ``Unforkable`` for one where it drained or had ended, or
        when what was recorded does not fit the definition.
        """
        history = await self._past(_place(at))
        graph = await self._graph(history[0], "recorded")
        past = await self._engine.aside(prefix, history, graph, at)
        version, past = past[-1].version, told(past)
        changes: dict[str, Any] = {"deadline": deadline, "state": _values(state)}
        if input is not ...:
            _must_be_read(graph, past)
            changes["input"] = self._engine.input_of(self._flow).dump(input, "input")
        return await self._begin("fork", version, past, definition, **changes)

    async def _begin(
        self,
        how: str,
        version: int,
        past: Sequence[Recorded],
        definition: Which,
        *,
        deadline: Any,
        state: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Self:
        engine = self._engine
        graph = await self._graph(past[0], definition)
        if deadline is not ...:
            changes["deadline"] = start_fields(None, deadline=deadline).get("deadline")
        id = engine.node.starter.id_of(self._flow, None)
        changes["origin"] = {
            "runId": self.id, "version": version, "how": how, "copied": len(past),
        }  # fmt: skip
        now = await engine.node.store.now()
        start = descend(past[0], graph, now=now, run_id=text(id), **changes)
        drafts, ready = await engine.aside(fork, past, start, graph, state or {})
        made = rows(self._flow, ready)
        outcome = await engine.submit(drafts, id=id, flow=self._flow, rows=made)
        return self._sibling(id, outcome.stream)

    async def _first(self) -> Recorded:
        """Return its start, with what has replaced its input."""
        history: list[Recorded] = []
        async for recorded, _ in self._engine.sized(await self._number()):
            if isinstance(recorded.event, StepStarted):
                break
            if is_erased(recorded.state):
                raise PayloadErased(self.id, "the past")
            history.append(recorded)
        return told(history)[0]

    async def _past(self, at: int | datetime | None) -> list[Recorded]:
        """Return the events up to ``at``, the first one always; None: all of them."""
        upto = max(at, 1) if isinstance(at, int) else None
        history: list[Recorded] = []
        size = 0
        async for recorded, length in self._engine.sized(await self._number(), upto=upto):
            if history and isinstance(at, datetime) and recorded.ts > at:
                break
            if is_erased(recorded.state):
                raise PayloadErased(self.id, "the past")
            history.append(recorded)
            size += length
            if len(history) > COPIED_EVENTS_MAX or size > COPIED_BYTES_MAX:
                raise Unforkable(
                    f"run {self.id} has more than {COPIED_EVENTS_MAX} events or "
                    f"{COPIED_BYTES_MAX} bytes up to there, too many for one commit; fork it at "
                    "an earlier version, or restart it"
                )
        return history

    async def _graph(self, first: Recorded, which: Which) -> FlowDefinition:
        """Return the definition that a new run follows, or that this one does."""
        definitions, start = self._engine.node.definitions, first.event
        assert isinstance(start, FlowStart)
        if which not in ("recorded", "served"):
            raise _refused(
                "definition", f"definition is {which!r}, expected 'recorded' or 'served'"
            )
        found = (
            await definitions.last(start.flow)
            if which == "served"
            else await definitions.get(start.flow, start.definition)
        )
        if found is None:
            raise Unforkable(f"run {self.id} has no definition in this log")
        return found


def _place(at: Any) -> int | datetime:
    is_version = isinstance(at, int) and not isinstance(at, bool)
    if is_version or (isinstance(at, datetime) and at.utcoffset() is not None):
        return at  # type: ignore[no-any-return]
    raise _refused("at", f"at is {at!r}, expected a version or a moment with a time zone")


def _must_be_read(graph: FlowDefinition, past: Sequence[Recorded]) -> None:
    """Raise ``Unforkable`` when the only step that reads the run's input is over."""
    entry = graph.entry.name
    for recorded in past:
        if recorded.step == entry and isinstance(recorded.event, StepCompleted | StepFailed):
            raise Unforkable(
                f"step {entry!r}, which alone reads the input of the run, was over at version "
                f"{recorded.version}; fork before that version to give another input, or set "
                "state="
            )


def _values(state: Any) -> dict[str, Any]:
    if state is None:
        return {}
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise _refused("state", f"state is {state!r}, expected a dict with names as keys")
    return {key: ANY.dump(value, f"state.{key}") for key, value in state.items()}


def _refused(option: str, message: str) -> InvalidInput:
    return InvalidInput(message, details=[{"loc": option, "msg": message}])
