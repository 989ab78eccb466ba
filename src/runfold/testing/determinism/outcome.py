"""What must not depend on timing: how a run ended, and everything that it did, by name.

Of a run that failed or was cancelled only the status counts, and the code of the error: how
far its branches came until then is a matter of timing in every flow.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from runfold.flow.definition import FlowDefinition
from runfold.flow.events import Emit, StepScheduled
from runfold.flow.names import emit_name
from runfold.flow.run import fold
from runfold.kernel.event import Recorded
from runfold.testing.determinism.effects import Effect

LABEL_MAX = 60
"""How long a label may be; a longer one is the activation's own name."""
CAUSES_MAX = 3
"""How many of the emits that caused an activation its label names."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same in two outcomes; ``None`` where it is not there."""

    what: str
    """``status error result rows state emit activation effect``."""
    name: str
    """Of the key, emit, activation or effect; "" else."""
    first: Any
    second: Any

    def __str__(self) -> str:
        named = f"{self.what} {self.name}".strip()
        return f"{named}: {_shown(self.first)} or {_shown(self.second)}"


@dataclass(frozen=True)
class Outcome:
    """What one schedule led to."""

    status: str
    error: str | None = None
    """Code and step of the failure."""
    result: Any = None
    rows: Any = None
    """What ``rows=`` found in the tables."""
    state: dict[str, Any] = field(default_factory=dict)
    emits: dict[str, Any] = field(default_factory=dict)
    """Payloads by the name of the emit: activation, ordinal, event."""
    activations: dict[str, str] = field(default_factory=dict)
    """Statuses by the name of the activation."""
    effects: dict[str, int] = field(default_factory=dict)
    """How often, by name and key."""

    @property
    def _ended(self) -> str:
        return self.status if self.error is None else f"{self.status} ({self.error})"

    def differences(self, other: Outcome) -> list[Difference]:
        """Return what is not the same in ``other``, the gravest first."""
        if self.status != other.status:
            return [Difference("status", "", self._ended, other._ended)]
        if self.status != "completed":
            return [] if self.error == other.error else [
                Difference("error", "", self.error, other.error)
            ]  # fmt: skip
        found = []
        if _text(self.result) != _text(other.result):
            found.append(Difference("result", "", self.result, other.result))
        if _text(self.rows) != _text(other.rows):
            found.append(Difference("rows", "", self.rows, other.rows))
        for what, here, there in (
            ("state", self.state, other.state),
            ("effect", self.effects, other.effects),
            ("emit", self.emits, other.emits),
            ("activation", self.activations, other.activations),
        ):
            for name in sorted(here.keys() | there.keys()):
                first, second = here.get(name), there.get(name)
                if _text(first) != _text(second) or (name in here) != (name in there):
                    found.append(Difference(what, name, first, second))
        return found


def outcome(
    history: Sequence[Recorded], definition: FlowDefinition, effects: Sequence[Effect],
    rows: Any = None,
) -> Outcome:  # fmt: skip
    """Return what the recorded events of one run, and what it wrote, amount to."""
    run = fold(definition, history)
    if run.outcome != "completed":
        error = run.error.code if run.error is not None and run.outcome == "failed" else None
        return Outcome(run.status, error)
    labels = labelled(history)
    emits: dict[str, Any] = {}
    ordinals: Counter[tuple[str | None, int | None]] = Counter()
    for recorded in history:
        if isinstance(recorded.event, Emit):
            place = (recorded.step, recorded.activation)
            activation = labels[recorded.step or "", recorded.activation or 0]
            name = emit_name(activation, ordinals[place])
            emits[f"{name} {recorded.event.name}"] = recorded.event.payload
            ordinals[place] += 1
    counted = Counter(f"{one.name}({one.key})" if one.key else one.name for one in effects)
    return Outcome(
        status=run.status,
        result=run.result,
        rows=rows,
        state=run.values(),
        emits=emits,
        activations={labels[act.step, act.number]: act.status for act in run.steps},
        effects=dict(counted),
    )


def labelled(history: Sequence[Recorded]) -> dict[tuple[str, int], str]:
    """Return what each activation is called here: the step's name, and, of a step that ran more
    than once, in brackets the emits that caused it."""
    scheduled = [one for one in history if isinstance(one.event, StepScheduled)]
    counts = Counter(one.step for one in scheduled)
    labels: dict[tuple[str, int], str] = {}
    by_name: dict[str, str] = {}
    for one in scheduled:
        assert isinstance(one.event, StepScheduled)
        label = one.step or ""
        if counts[one.step] > 1:
            causes = [_cause(ref, by_name) for ref in one.event.input_refs[:CAUSES_MAX]]
            more = len(one.event.input_refs) - len(causes)
            label += f"({', '.join(causes)}{f' and {more} more' if more else ''})"
        if len(label) > LABEL_MAX or label in by_name.values():
            label = one.event.name
        by_name[one.event.name] = label
        labels[one.step or "", one.activation or 0] = label
    return labels


def _cause(ref: str, by_name: dict[str, str]) -> str:
    activation, _, ordinal = ref.rpartition("/")
    return f"{by_name.get(activation, activation)}/{ordinal}"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _shown(value: Any) -> str:
    text = "nothing" if value is None else _text(value)
    return text if len(text) <= 300 else text[:300] + "..."
