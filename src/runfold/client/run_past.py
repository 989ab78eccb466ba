"""What is done with the past of a run: ``why``, ``diff``, ``export``, ``erase``."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from runfold.client.capsule import Capsule
from runfold.client.handle import Handle
from runfold.client.obstacles import Obstacles
from runfold.client.redaction import Redact, redacted
from runfold.client.run_query import ENDED
from runfold.errors import InvalidInput, RunNotFound, RunUnfinished
from runfold.flow.definition import FlowDefinition
from runfold.flow.diff import Diff, diff
from runfold.flow.erasure import erasures
from runfold.flow.events import ENDS, FlowStart
from runfold.flow.holding import Hold
from runfold.flow.seal import is_erased
from runfold.flow.start import told
from runfold.flow.streams import erasure_id
from runfold.flow.trace import Trace
from runfold.flow.why import Why, why
from runfold.kernel.event import Draft, Recorded
from runfold.runtime.erasure import Erasure, timer
from runfold.wire import deadline_of


class Examined(Handle):
    """The part of a ``Run`` that explains what is recorded of it."""

    async def why(self, step: str | None = None) -> Why:
        """Return why it, or ``step`` of it, is where it is: its causes, and what it waits for.

        What waits is told by what stands in its way now: a limit, with its key and who takes it
        up, a pause, a lease, a time, a process that is missing, a dispatcher that is behind.
        ``step``: the latest activation of a step, or, as ``name#2``, its second. Of an ended
        run the causes are its critical path. Raises ``InvalidInput`` for a step that its flow
        does not have.
        """
        definition, history = await self._recorded()
        now = await self._engine.node.store.now()
        answer = await asyncio.to_thread(why, definition, history, step, now=now)
        obstacles = Obstacles(self._engine.node.store, now)
        holds = await obstacles.told(answer.holds, position=history[-1].position)
        start = told(history)[0].event
        assert isinstance(start, FlowStart)
        due_at = start.due_at or history[0].ts + timedelta(seconds=start.delay or 0)
        deadline = deadline_of(start.deadline, definition.deadline, due_at)
        is_open = deadline is not None and answer.status not in ENDED
        holds = [self._known_here(hold) for hold in holds]
        return replace(answer, holds=tuple(holds), deadline=deadline if is_open else None)

    def _known_here(self, hold: Hold) -> Hold:
        """Return ``hold`` with the news that the worker of this process cannot take it."""
        worker = self._engine.node.worker
        if hold.kind != "queued" or worker is None or (self._flow, hold.step) in worker.targets:
            return hold
        said = "this process has no handler for it: it waits for a worker that has one"
        return replace(hold, text=f"{hold.text}; {said}")

    async def diff(self, other: Examined) -> Diff:
        """Return how it differs from ``other``, a run of any flow, version or database.

        Both are compared by the names of activations, which do not depend on time, as far as
        they have come. Each history is read whole.
        """
        if not isinstance(other, Examined):
            raise InvalidInput(f"diff() takes a run, as rf.get() returns it, got {other!r}")
        mine, theirs = await self._recorded(), await other._recorded()
        one = await asyncio.to_thread(Trace, *mine)
        another = await asyncio.to_thread(Trace, *theirs)
        return await asyncio.to_thread(diff, one, another)

    async def export(self, redact: Redact | None = None) -> Capsule:
        """Return it as a capsule: its definition and its events so far, to save as one file.

        ``redact``: paths to values that are replaced by ``"[redacted]"`` (``input.email``,
        ``payload.*.card``), or a function of an event's type and values that returns what to
        keep. Raises ``InvalidInput`` for what cannot be replaced.
        """
        definition, history = await self._recorded()
        if redact is not None:
            history = await asyncio.to_thread(redacted, history, definition, redact)
        is_redacted = redact is not None or is_erased(history[0].state)
        return Capsule(self.id, self._flow, definition, tuple(history), redacted=is_redacted)

    async def erase(self) -> None:
        """Erase what users wrote in it from log and archive, for good; it has ended.

        Inputs, results, payloads, state, logs, progress, records, output, messages of errors,
        reasons, tags, its key and the keys of limits go; its shape, times and numbers stay, so it
        folds and its chain is whole. Only this run: forks, retries and capsules of it are not
        touched. What is interrupted is finished by a timekeeper; again: does nothing. Raises
        ``RunUnfinished``.
        """
        number, node = await self._number(), self._engine.node
        history = [recorded async for recorded, _ in self._engine.sized(number)]
        if history[-1].event.TOPIC not in ENDS:
            raise RunUnfinished(
                f"run {self.id} goes on; cancel it, wait for its end, then erase it"
            )
        drafts = [Draft(event) for event in erasures(self.id, number, history)]
        id = erasure_id(node.store.identity.log_id, self.id)
        outcome = await self._engine.submit(drafts, id=id, flow=None, rows=[timer()])
        erasure = Erasure(node.store, node.store, node.codec)
        await erasure.erase(number, timer=outcome.stream)
        if node.hub is not None:
            node.hub.forget(number)

    async def _recorded(self) -> tuple[FlowDefinition, list[Recorded]]:
        """Return the definition that the run follows and all its events."""
        number = await self._number()
        history = [recorded async for recorded, _ in self._engine.sized(number)]
        start = history[0].event
        assert isinstance(start, FlowStart)
        definition = await self._engine.node.definitions.get(start.flow, start.definition)
        if definition is None:
            raise RunNotFound(f"run {self.id} has no definition in this log")
        return definition, history
