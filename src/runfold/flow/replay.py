"""Replaying a recorded history against the rules and the definition of today.

Facts are taken as they were recorded; each decision of the history must be one that today's
code would take at that point. Activations are compared by name, so another numbering is no
difference. Handlers do not run: what a step would do differently shows only in what its
recorded inputs, emits and results no longer fit.

    Same      every decision and the end come out as recorded
    Diverges  the first decision, end or value that does not
    Unknown   nothing can be said from some point on: a payload that was erased
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from runfold.flow.activation import Activation
from runfold.flow.decide import decide
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import (
    ENDS,
    Emit,
    FlowCompleted,
    FlowDraining,
    FlowFailed,
    FlowInputReplaced,
    FlowStart,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetry,
    StepScheduled,
    StepStarted,
)
from runfold.flow.inputs import resolve
from runfold.flow.run import evolve, new
from runfold.flow.seal import is_erased
from runfold.kernel.event import Draft, Event, Recorded

CANDIDATES_MAX = 10_000
"""How many decisions are compared with a recorded one."""
NAMED_MAX = 5
"""How many of them a divergence names."""

_DECISIONS = (StepScheduled, StepRetry, StepFailed, StepCancelled, FlowDraining)
Key = tuple[str, str]
Check = Callable[[str, str, str, Any], str | None]
"""(``input``, ``emit`` or ``result``; step; name of the emit; value) -> what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Same:
    """Today's code decides as was recorded."""

    def __str__(self) -> str:
        return "same"


@dataclass(frozen=True, slots=True)
class Diverges:
    """The first difference."""

    version: int
    """Of the recorded event, in its stream."""
    type: str
    """Its type."""
    step: str | None
    what: str
    """What was recorded, and what today's code makes of it."""

    @property
    def group(self) -> str:
        """The same for divergences that are probably one: type, step and kind of difference."""
        return f"{self.type} {self.step or ''}".strip() + f": {self.what.partition(':')[0]}"

    def __str__(self) -> str:
        where = f" of step {self.step!r}" if self.step else ""
        return f"diverges at version {self.version}, {self.type}{where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Unknown:
    """From this event on nothing can be said."""

    version: int
    why: str

    def __str__(self) -> str:
        return f"unknown beyond version {self.version}: {self.why}"


Verdict = Same | Diverges | Unknown


def replay(
    history: Iterable[Recorded], definition: FlowDefinition, check: Check | None = None
) -> Verdict:
    """Return what today's ``definition`` makes of ``history``, the events of one run in order.

    ``check`` is asked about every recorded value that a handler of today would be given, or
    would have to have made.
    """
    replaying = _Replay(definition, check)
    for recorded in history:
        verdict = replaying.take(recorded)
        if verdict is not None:
            return verdict
    return Same()


class _Replay:
    def __init__(self, definition: FlowDefinition, check: Check | None) -> None:
        self._definition, self._check = definition, check
        self._run = new(definition)
        self._events: dict[int, Event] = {}
        self._names: dict[tuple[str, int], str] = {}
        """Recorded (step, number) -> the activation's name."""
        self._here: dict[str, Activation] = {}
        """The activations of today's run, by name."""
        self._candidates: dict[Key, Draft] | None = None

    def take(self, recorded: Recorded) -> Verdict | None:
        """Take the next event; return a verdict that is no ``Same``."""
        event = recorded.event
        if isinstance(event, FlowStart):
            return self._start(recorded, event)
        if isinstance(event, _DECISIONS) or event.TOPIC in ENDS:
            return self._decision(recorded)
        return self._fact(recorded)

    def _start(self, recorded: Recorded, event: FlowStart) -> Verdict | None:
        if is_erased(recorded.state):
            return Unknown(recorded.version, "its payloads were erased")
        self._fold(recorded, Draft(event))
        return self._fits(recorded, "input", self._definition.entry.name, "", event.input)

    # Facts.

    def _fact(self, recorded: Recorded) -> Verdict | None:
        place: tuple[str | None, int | None] = (recorded.step, recorded.activation)
        if recorded.step is not None and recorded.activation is not None:
            act = self._here.get(self._names.get((recorded.step, recorded.activation), ""))
            if act is None:
                return Unknown(recorded.version, f"step {recorded.step!r} was never scheduled")
            place = (act.step, act.number)
        wrong = self._fitting(recorded)
        if wrong is None:
            draft = Draft(recorded.event, *place, recorded.attempt)
            self._fold(recorded, draft)
            self._candidates = None
        return wrong

    def _fitting(self, recorded: Recorded) -> Verdict | None:
        step, event = recorded.step or "", recorded.event
        match event:
            case StepStarted():
                act = self._act(recorded)
                if act is None or act.plan is None:
                    return None
                value = resolve(act.plan, self._events)
                return self._fits(recorded, "input", step, "", value)
            case FlowInputReplaced():
                return self._fits(recorded, "input", self._definition.entry.name, "", event.input)
            case Emit():
                return self._fits(recorded, "emit", step, event.name, event.payload)
            case StepCompleted():
                return self._fits(recorded, "result", step, "", event.result)
        return None

    def _fits(
        self, recorded: Recorded, kind: str, step: str, name: str, value: Any
    ) -> Verdict | None:
        wrong = self._check(kind, step, name, value) if self._check is not None else None
        if wrong is None:
            return None
        called = f"emit {name!r}" if kind == "emit" else kind
        return self._diverges(recorded, step, f"the recorded {called} does not fit: {wrong}")

    # Decisions.

    def _decision(self, recorded: Recorded) -> Verdict | None:
        key = self._key(recorded.event, recorded.step, recorded.activation, self._named)
        draft = self._candidate(key)
        if draft is None:
            return self._diverges(recorded, recorded.step, self._instead())
        wrong = _differs(recorded.event, draft.event)
        if wrong is not None:
            return self._diverges(recorded, recorded.step, wrong)
        if isinstance(recorded.event, StepScheduled):
            self._names[recorded.step or "", recorded.activation or 0] = recorded.event.name
        self._fold(recorded, draft)
        if isinstance(draft.event, StepScheduled):
            self._here[draft.event.name] = self._run.steps[-1]
        return None

    def _candidate(self, key: Key) -> Draft | None:
        if self._candidates is None or key not in self._candidates:
            self._candidates = {
                self._key(draft.event, draft.step, draft.activation, self._name_here): draft
                for draft in decide(self._run, limit=CANDIDATES_MAX).drafts
            }
        return self._candidates.pop(key, None)

    def _instead(self) -> str:
        names = [" ".join(key).strip() for key in self._candidates or ()]
        more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
        would = ", ".join(names[:NAMED_MAX]) + more if names else "nothing"
        return f"today's code does not decide this: it would decide {would}"

    def _key(
        self,
        event: Event,
        step: str | None,
        number: int | None,
        named: Callable[[str, int], str],
    ) -> Key:
        if event.TOPIC in ENDS:
            return ("the end", "")
        if isinstance(event, StepScheduled):
            return (event.TOPIC, event.name)
        # What follows from the end of an attempt is one decision, whichever it is.
        answers = isinstance(event, StepRetry | StepFailed)
        kind = "step.retry or step.failed" if answers else event.TOPIC
        return (kind, "" if step is None else named(step, number or 0))

    def _named(self, step: str, number: int) -> str:
        return self._names.get((step, number), f"{step}#{number}")

    def _name_here(self, step: str, number: int) -> str:
        act = self._run.open.get((step, number))
        return act.name if act is not None else f"{step}#{number}"

    def _act(self, recorded: Recorded) -> Activation | None:
        name = self._named(recorded.step or "", recorded.activation or 0)
        return self._here.get(name)

    def _fold(self, recorded: Recorded, draft: Draft) -> None:
        version = self._run.version + 1
        self._events[version] = draft.event
        evolve(
            self._run, Recorded(recorded.position, recorded.stream, version, recorded.ts, *draft)
        )

    @staticmethod
    def _diverges(recorded: Recorded, step: str | None, what: str) -> Diverges:
        return Diverges(recorded.version, recorded.event.TOPIC, step or None, what)


def _differs(then: Event, now: Event) -> str | None:
    """Return how two decisions about one thing differ in what matters, None if they do not."""
    if then.TOPIC != now.TOPIC:
        return f"recorded was {then.TOPIC}, today's code decides {now.TOPIC}"
    match then, now:
        case StepRetry(), StepRetry():
            return _unlike("attempt", then.next_attempt, now.next_attempt)
        case StepFailed(), StepFailed():
            return _unlike("error", then.error.code, now.error.code)
        case FlowCompleted(), FlowCompleted():
            return _unlike("result", then.result, now.result)
        case FlowFailed(), FlowFailed():
            failed = _unlike("failed step", then.failed_step, now.failed_step)
            return failed or _unlike("error", then.error.code, now.error.code)
    return None


def _unlike(what: str, then: Any, now: Any) -> str | None:
    return None if then == now else f"another {what}: recorded {then!r}, today {now!r}"
