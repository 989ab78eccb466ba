"""What a run's activations were given and did, by name: the ground of ``diff`` and ``why``.

A trace is a fold that keeps what the state of a run drops: inputs, emits, changes of the
state, and when each attempt began and ended. The end of the run is not folded, so that joins
which never fired can still be seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from runfold.flow import events as ev
from runfold.flow.activation import Activation
from runfold.flow.definition import FlowDefinition
from runfold.flow.inputs import Plan, resolve
from runfold.flow.matching import link_of
from runfold.flow.run import Run, evolve, new
from runfold.flow.values import later
from runfold.kernel.event import Event, Recorded

_ENDS_TRY = {
    ev.StepCompleted: "completed", ev.StepErrored: "errored", ev.StepStalled: "stalled",
    ev.StepReleased: "released", ev.StepFailed: "failed", ev.StepCancelled: "cancelled",
}  # fmt: skip
_INPUTS = (ev.FlowStart, ev.FlowInputReplaced, ev.Emit, ev.StepCompleted, ev.StepFailed)


class Try:
    """One attempt: when it began, where, and how it ended; None while it goes on."""

    __slots__ = ("outcome", "started_at", "worker")

    def __init__(self, started_at: datetime, worker: str) -> None:
        self.started_at, self.worker = started_at, worker
        self.outcome: str | None = None


class Deed:
    """One activation: what caused it, what it was given, what it did."""

    __slots__ = (
        "act", "cause", "depth", "emits", "executing", "idle_since", "plan", "position", "queue",
        "queued", "ready_at", "refs", "result", "scheduled_at", "states", "tries", "trigger",
        "version", "waited",
    )  # fmt: skip

    def __init__(self, act: Activation, event: ev.StepScheduled, recorded: Recorded) -> None:
        self.act = act
        self.plan: Plan | None = act.plan
        self.depth = link_of(act, 0).depth
        """How many activations came before it because they caused it."""
        self.cause = recorded.cause or 1
        """The version of the last event that caused it."""
        self.refs, self.trigger, self.queue = event.input_refs, event.trigger, event.queue
        self.version, self.position = recorded.version, recorded.position
        self.scheduled_at = self.idle_since = recorded.ts
        self.ready_at: datetime = event.run_at or recorded.ts
        """When it could last be claimed, or can be, while it waits for a time."""
        self.queued = self.executing = self.waited = 0.0
        """Seconds in its queue, in attempts, and until a time: a delay, a retry."""
        self.tries: list[Try] = []
        self.emits: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = []
        self.result: Any = None

    def started(self, at: datetime, worker: str) -> None:
        """Remember that an attempt was claimed."""
        ready_at = min(max(self.ready_at, self.idle_since), at)
        self.waited += (ready_at - self.idle_since).total_seconds()
        self.queued += (at - ready_at).total_seconds()
        self.tries.append(Try(at, worker))

    def spent(self, until: datetime) -> tuple[float, float, float]:
        """Return seconds queued, executing and waiting for a time, as of ``until``."""
        queued, executing, waited = self.queued, self.executing, self.waited
        if self.act.is_open and self.tries and self.tries[-1].outcome is None:
            executing += max(0.0, (until - self.tries[-1].started_at).total_seconds())
        elif self.act.is_open:
            ready_at = min(max(self.ready_at, self.idle_since), until)
            waited += max(0.0, (ready_at - self.idle_since).total_seconds())
            queued += max(0.0, (until - ready_at).total_seconds())
        return queued, executing, waited

    def ended(self, outcome: str, at: datetime) -> None:
        """Remember how the attempt that was under way ended."""
        if self.tries and self.tries[-1].outcome is None:
            last = self.tries[-1]
            last.outcome = outcome
            self.executing += (at - last.started_at).total_seconds()
            self.idle_since = self.ready_at = at


class Trace:
    """A run, folded up to its end, with all that its activations did."""

    def __init__(self, definition: FlowDefinition, history: Iterable[Recorded]) -> None:
        self.run: Run = new(definition)
        self.deeds: dict[str, Deed] = {}
        """By name, in order of scheduling."""
        self.end: Recorded | None = None
        self.times: dict[int, datetime] = {}
        """When each event was recorded, by version."""
        self._given: dict[int, Event] = {}
        self._by_place: dict[tuple[str | None, int | None], Deed] = {}
        self._makers: dict[int, Deed] = {}
        for recorded in history:
            self._take(recorded)

    @property
    def status(self) -> str:
        """What the run is doing, or how it ended."""
        return self.run.status if self.end is None else self.end.event.TOPIC.rpartition(".")[2]

    def input_of(self, deed: Deed) -> Any:
        """Return what the activation was given, as stored."""
        return resolve(deed.plan, self._given)

    def of(self, step: str | None, number: int | None) -> Deed | None:
        """Return activation ``number`` of ``step``."""
        return self._by_place.get((step, number))

    def made(self, version: int) -> Deed | None:
        """Return the activation that an event is about."""
        return self._makers.get(version)

    def _take(self, recorded: Recorded) -> None:
        event = recorded.event
        self.times[recorded.version] = recorded.ts
        if event.TOPIC in ev.ENDS:
            self.end = recorded
            return
        evolve(self.run, recorded)
        if isinstance(event, _INPUTS):
            self._given[recorded.version] = event
        place = (recorded.step, recorded.activation)
        if isinstance(event, ev.StepScheduled) and place in self.run.open:
            deed = Deed(self.run.open[place], event, recorded)
            self.deeds[event.name] = self._by_place[place] = deed
        elif place in self._by_place:
            deed = self._makers[recorded.version] = self._by_place[place]
            _remember(deed, recorded)


def _remember(deed: Deed, recorded: Recorded) -> None:
    event, at = recorded.event, recorded.ts
    match event:
        case ev.StepStarted(worker=worker):
            deed.started(at, worker)
        case ev.Emit(name=name, payload=payload):
            deed.emits.append({"name": name, "payload": payload})
        case ev.State(operation=operation, key=key, value=value):
            deed.states.append({"operation": operation, "key": key, "value": value})
        case ev.StepRetry(delay=delay, retry_at=retry_at):
            deed.ready_at = retry_at or later(at, delay / 1000) or at
        case ev.TimerDue():
            deed.ready_at = at
        case _ if type(event) in _ENDS_TRY:
            deed.result = getattr(event, "result", None)
            deed.ended(_ENDS_TRY[type(event)], at)
