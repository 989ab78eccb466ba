"""What must admit the jobs of a step: buckets, named after limits and values of keys.

A limit counts for itself, or once for each value of its *key*: a dotted path into the input
of the activation, ``@run`` or ``@flow``. Values are taken when what makes the input is
folded, and stay with the activation through all its attempts and its compensation:

    key="user"         each: the payload        all_of: "left.user"     collect: "0.user"
    a missing value and null are one key that they share

The id of a limit is ``<scope>#<name>``, its scope ``queue:<queue>`` or
``step:<flow>/<step>``. The name is the kind of a limit without a key, else ``<n>:<key>`` for
the n-th with that key, so jobs of an older definition still find the limit of their key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from runfold.flow.definition import FlowDefinition, LimitDefinition, StepDefinition
from runfold.flow.paths import at, text_of

RUN, FLOW = "@run", "@flow"
"""Keys that are no paths: the run's id, and the name of its flow."""
MISSING = text_of(None)

Values = tuple[str, ...]
"""The texts at ``Admission.paths``, in their order."""
Parts = tuple[str | None, ...]
"""The same, as far as one arrival has them."""


def queue_scope(queue: str) -> str:
    """Return the scope of the limits of a whole queue."""
    return f"queue:{queue}"


def step_scope(flow: str, step: str) -> str:
    """Return the scope of a step's own limits. What separates the parts of a bucket is escaped."""
    escaped = f"{flow}/{step}".replace("%", "%25").replace("#", "%23").replace("=", "%3D")
    return f"step:{escaped}"


def names_of(limits: Iterable[LimitDefinition]) -> list[str]:
    """Return the name of each of the limits of one scope."""
    counts: dict[str, int] = {}
    names = []
    for limit in limits:
        what = limit.kind if limit.key is None else limit.key
        count = counts[what] = counts.get(what, 0) + 1
        if limit.key is not None:
            names.append(_keyed(count, limit.key))
        else:
            names.append(what if count == 1 else f"{what}{count}")
    return names


def keys_of(limits: Iterable[LimitDefinition]) -> tuple[str, ...]:
    """Return the keys of those limits that have one, as ``StepDefinition.queue_keys``."""
    return tuple(limit.key for limit in limits if limit.key is not None)


def scopes_of(definition: FlowDefinition) -> dict[str, tuple[LimitDefinition, ...]]:
    """Return the own limits of each step that has some, by scope."""
    return {
        step_scope(definition.name, step.name): step.limits
        for step in definition.steps
        if step.limits
    }


def is_path(key: str) -> bool:
    """Return whether ``key`` is looked up in an input."""
    return key not in (RUN, FLOW)


def _keyed(count: int, key: str) -> str:
    return f"{count}:{key}"


class Admission:
    """What admits the jobs of one step; computed once for each graph."""

    __slots__ = ("_flow", "_places", "paths")

    def __init__(self, flow: str, step: StepDefinition) -> None:
        self._flow = flow
        self._places = list(_places(flow, step))
        """(limit id, key) of each limit, those of the queue first."""
        keys = (key for _, key in self._places if key is not None)
        self.paths = tuple(dict.fromkeys(key for key in keys if is_path(key)))
        """What has to be taken from the input."""

    @property
    def varies(self) -> bool:
        """Whether two runs can be admitted by different buckets."""
        return bool(self.paths) or any(key == RUN for _, key in self._places)

    def values(self, payload: Any) -> Values:
        """Return the values of an input that is ``payload``."""
        return tuple(text_of(at(payload, path)) for path in self.paths)

    def part(self, label: str, payload: Any) -> Parts:
        """Return the values that ``payload`` has as the part ``label`` of a join."""
        return tuple(
            text_of(at(payload, path.removeprefix(label).removeprefix(".")))
            if path == label or path.startswith(f"{label}.")
            else None
            for path in self.paths
        )

    def item(self, payload: Any) -> Parts:
        """Return the values that ``payload`` would have at any place of a collected list."""
        return tuple(text_of(at(payload, path.partition(".")[2])) for path in self.paths)

    def joined(self, parts: Sequence[Parts]) -> Values:
        """Return the values of a join of these parts."""
        found = zip(*parts, strict=True)
        return tuple(next((text for text in texts if text is not None), MISSING) for texts in found)

    def collected(self, items: Sequence[Parts]) -> Values:
        """Return the values of a list of these items."""
        return tuple(
            _item(items, index, path.partition(".")[0]) for index, path in enumerate(self.paths)
        )

    def buckets(self, run_id: str, values: Values) -> tuple[str, ...]:
        """Return the buckets of a job with these values."""
        return tuple(
            limit if key is None else f"{limit}={self._text(key, run_id, values)}"
            for limit, key in self._places
        )

    def key(self, run_id: str, values: Values) -> str | None:
        """Return the value of the first key: that of the queue, where its limits have one."""
        for _, key in self._places:
            if key is not None:
                return self._text(key, run_id, values)
        return None

    def _text(self, key: str, run_id: str, values: Values) -> str:
        if key == RUN:
            return run_id
        if key == FLOW:
            return text_of(self._flow)
        # An activation of which the log says less than its definition asks for has no values.
        place = self.paths.index(key)
        return values[place] if place < len(values) else MISSING


def _places(flow: str, step: StepDefinition) -> Iterator[tuple[str, str | None]]:
    counts: dict[str, int] = {}
    for key in step.queue_keys:
        count = counts[key] = counts.get(key, 0) + 1
        yield f"{queue_scope(step.queue)}#{_keyed(count, key)}", key
    scope = step_scope(flow, step.name)
    for name, limit in zip(names_of(step.limits), step.limits, strict=True):
        yield f"{scope}#{name}", limit.key


def _item(items: Sequence[Parts], index: int, place: str) -> str:
    number = int(place) if place.isdecimal() and place.isascii() else len(items)
    text = items[number][index] if number < len(items) else None
    return MISSING if text is None else text
