"""Recorded runs against the code of today: one verdict for each, and a report of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runfold.define.target import Sealed
from runfold.define.values import Value
from runfold.errors import InvalidInput
from runfold.flow.replay import Diverges, Same, Unknown, Verdict, replay
from runfold.kernel.event import Recorded

EXAMPLES_MAX = 5
"""How many runs a report names for each kind of divergence."""


def replayed(sealed: Sealed | None, history: Sequence[Recorded], *, values: bool = True) -> Verdict:
    """Return what the flow or job ``sealed`` makes of a recorded history; no handler runs.

    ``values``: also whether recorded inputs, emits and results fit today's annotations.
    """
    if sealed is None:
        return Unknown(1, "no flow or job of this name is here")
    if sealed.definition is None:
        return Unknown(1, f"flow {sealed.name!r} has no steps here; import the module with them")
    return replay(history, sealed.definition, _Values(sealed).check if values else None)


class _Values:
    """Today's annotations."""

    def __init__(self, sealed: Sealed) -> None:
        self._sealed = sealed

    def check(self, kind: str, step: str, name: str, value: Any) -> str | None:
        """Return what is wrong with a recorded value, None if it fits."""
        handler = self._sealed.handlers.get(step)
        if handler is None:
            return None
        if kind == "emit":
            topic = handler.topics.get(name)
            if topic is None:
                return f"step {step!r} no longer declares it"
            return _wrong(topic, value)
        return _wrong(handler.input if kind == "input" else handler.result, value)


def _wrong(value: Value, stored: Any) -> str | None:
    try:
        value.load(stored, "it")
    except InvalidInput as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True)
class Replayed:
    """One recorded run."""

    run_id: str
    """Or the name of the file that it came from."""
    flow: str
    verdict: Verdict


class ReplayReport:
    """What today's code makes of many recorded runs; ``str()`` is for people."""

    def __init__(self, replayed: Sequence[Replayed]) -> None:
        self.replayed = tuple(replayed)
        """One for each run, in the order in which they were looked at."""

    @property
    def same(self) -> int:
        """How many come out as recorded."""
        return sum(isinstance(one.verdict, Same) for one in self.replayed)

    @property
    def diverged(self) -> int:
        """How many do not."""
        return sum(isinstance(one.verdict, Diverges) for one in self.replayed)

    @property
    def unknown(self) -> int:
        """Of how many there is no telling."""
        return sum(isinstance(one.verdict, Unknown) for one in self.replayed)

    def groups(self) -> list[tuple[str, list[Replayed]]]:
        """Return those that are not the same, by flow and first divergence, the largest first."""
        found: dict[str, list[Replayed]] = {}
        for one in self.replayed:
            match one.verdict:
                case Diverges():
                    found.setdefault(f"{one.flow}: {one.verdict.group}", []).append(one)
                case Unknown(why=why):
                    found.setdefault(f"{one.flow}: unknown, {why}", []).append(one)
        return sorted(found.items(), key=lambda group: (-len(group[1]), group[0]))

    def json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "runs": len(self.replayed),
            "same": self.same,
            "diverged": self.diverged,
            "unknown": self.unknown,
            "groups": [
                {
                    "what": what,
                    "count": len(ones),
                    "examples": [
                        {"run": one.run_id, "verdict": str(one.verdict)}
                        for one in ones[:EXAMPLES_MAX]
                    ],
                }
                for what, ones in self.groups()
            ],
        }

    def markdown(self) -> str:
        """Return it as Markdown, for a pull request."""
        lines = [f"## Replay of {len(self.replayed)} recorded runs", ""]
        lines += ["| same | diverge | unknown |", "|---|---|---|"]
        lines += [f"| {self.same} | {self.diverged} | {self.unknown} |", ""]
        for what, ones in self.groups():
            lines += [f"### {len(ones)} x {what}", ""]
            lines += [f"- `{one.run_id}` {one.verdict}" for one in ones[:EXAMPLES_MAX]]
            lines += [""]
        return "\n".join(lines)

    def __str__(self) -> str:
        counts = f"{self.same} same, {self.diverged} diverge, {self.unknown} unknown"
        lines = [f"{len(self.replayed)} runs: {counts}"]
        for what, ones in self.groups():
            lines.append(f"{len(ones)} x {what}")
            lines += [f"  {one.run_id}: {one.verdict}" for one in ones[:EXAMPLES_MAX]]
        return "\n".join(lines)
