"""Two runs side by side: by the names of activations, then field by field.

Names do not depend on time, so two runs of one flow with the same values are the same,
whatever happened when. The first difference is the one with the fewest causes before it:
those behind it mostly follow from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runfold.flow.trace import Deed, Trace

DIFFERENCES_MAX = 1000
"""How many differences are listed; those behind are not looked for."""
SHOWN_MAX = 40
"""How many of them ``str()`` shows."""
TEXT_MAX = 60


class _Absent:
    """There is no such field on that side."""

    def __repr__(self) -> str:
        return "-"


ABSENT = _Absent()
"""Stands in a difference for a value that one side does not have."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which two runs differ, or an activation that only one of them has."""

    step: str | None
    """None: of the run itself."""
    number: int | None
    """Which activation of the step, in the run that has it; in the first when both do."""
    name: str | None
    """The activation's name, by which the two were compared."""
    field: str
    """``input``, ``result.total``, ``emits.0.payload``, ``state``, ``status``, ``attempts``,
    ``error.code`` ...; ``activation`` when only one run has it."""
    one: Any
    other: Any

    def __str__(self) -> str:
        where = "run" if self.step is None else self.step
        if self.number is not None and self.number > 1:
            where += f" #{self.number}"
        if self.field == "activation":
            return f"{where}: only in the {'second' if self.one is ABSENT else 'first'} run"
        return f"{where} {self.field}: {_text(self.one)} | {_text(self.other)}"


@dataclass(frozen=True, slots=True)
class Diff:
    """How two runs differ; as text, a line for each difference."""

    one: str
    other: str
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    @property
    def first(self) -> Difference | None:
        """The difference with the fewest causes before it."""
        return self.differences[0] if self.differences else None

    def __str__(self) -> str:
        if self.same:
            return f"run {self.one} and run {self.other} are the same"
        count = len(self.differences)
        more = " at least" if count == DIFFERENCES_MAX else ""
        lines = [f"run {self.one} | run {self.other}:{more} {count} differences, the first first"]
        lines += [f"  {difference}" for difference in self.differences[:SHOWN_MAX]]
        if count > SHOWN_MAX:
            lines.append(f"  ... and {count - SHOWN_MAX} more")
        return "\n".join(lines)


_SHAPE = frozenset({"flow", "activation", "status", "attempts", "error.code"})
"""What is compared of runs that were erased."""


def diff(one: Trace, other: Trace) -> Diff:
    """Return how two runs differ, of whatever flows and definitions."""
    found: list[Difference] = []
    is_erased = one.run.erased or other.run.erased
    for difference in _differences(one, other):
        if is_erased and difference.field not in _SHAPE:
            continue  # What it was is gone on one side: that is no difference of the runs.
        found.append(difference)
        if len(found) == DIFFERENCES_MAX:
            break
    return Diff(one.run.id, other.run.id, tuple(found))


def _differences(one: Trace, other: Trace) -> Iterator[Difference]:
    yield from _of_run(one, other, ("flow", "input"))
    names = sorted(
        one.deeds.keys() | other.deeds.keys(),
        key=lambda name: _order(one.deeds.get(name) or other.deeds[name]),
    )
    for name in names:
        first, second = one.deeds.get(name), other.deeds.get(name)
        act = (first or other.deeds[name]).act
        if first is None or second is None:
            sides = (ABSENT if first is None else name, ABSENT if second is None else name)
            yield Difference(act.step, act.number, name, "activation", *sides)
            continue
        left, right = _fields(one, first), _fields(other, second)
        for field, value in left.items():
            for path, a, b in _leaves(value, right[field], field):
                yield Difference(act.step, act.number, name, path, a, b)
    yield from _of_run(one, other, ("status", "error", "result", "state"))


def _order(deed: Deed) -> tuple[int, int, str]:
    return deed.depth, deed.act.node.index, deed.act.name


def _fields(trace: Trace, deed: Deed) -> dict[str, Any]:
    """Return what is compared of an activation, causes before what follows from them."""
    error = deed.act.error if deed.act.status == "failed" else None
    return {
        "input": trace.input_of(deed),
        "status": deed.act.status,
        "attempts": deed.act.attempt,
        "error": None if error is None else {"code": error.code, "message": error.message},
        "state": deed.states,
        "emits": deed.emits,
        "result": deed.result,
    }


def _of_run(one: Trace, other: Trace, fields: tuple[str, ...]) -> Iterator[Difference]:
    left, right = _run_fields(one), _run_fields(other)
    for field in fields:
        for path, a, b in _leaves(left[field], right[field], field):
            yield Difference(None, None, None, path, a, b)


def _run_fields(trace: Trace) -> dict[str, Any]:
    run, end = trace.run, None if trace.end is None else trace.end.event
    error = getattr(end, "error", None)
    return {
        "flow": run.flow,
        "input": run.input,
        "status": trace.status,
        "error": None if error is None else {"code": error.code, "message": error.message},
        "result": getattr(end, "result", None),
        "state": run.values(),
    }


def _leaves(one: Any, other: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield the innermost places in which two values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            pair = one.get(key, ABSENT), other.get(key, ABSENT)
            yield from _leaves(*pair, f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list):
        for place in range(max(len(one), len(other))):
            pair = (
                one[place] if place < len(one) else ABSENT,
                other[place] if place < len(other) else ABSENT,
            )
            yield from _leaves(*pair, f"{path}.{place}")
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield path, one, other


def _text(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"
