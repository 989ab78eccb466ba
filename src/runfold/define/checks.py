"""Whether what is given fits what is taken: topics, results and inputs against annotations."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from typing_extensions import is_typeddict

from runfold.define.failure import Failure
from runfold.define.fits import fits, show
from runfold.define.reading import ReadStep
from runfold.define.topic import Topic
from runfold.define.typed_dicts import fields_of
from runfold.flow.definition import FlowDefinition, Part, Source, StepDefinition

if TYPE_CHECKING:
    from runfold.define.flow import Flow


def faults_of(
    flow: Flow[Any, Any], steps: Sequence[ReadStep], definition: FlowDefinition
) -> Iterator[str]:
    """Yield what does not fit, naming both places."""
    given = _Given(steps)
    yield from given.faults
    for step, defined in zip(steps, definition.steps, strict=True):
        yield from _input_faults(flow, step, defined, given)
        yield from _compensation_faults(step)
    yield from _result_faults(flow, steps)


class _Given:
    """The type of what each source gives, and where it is said."""

    def __init__(self, steps: Sequence[ReadStep]) -> None:
        self._steps = {step.name: step for step in steps}
        self._topics: dict[str, tuple[Topic[Any], ReadStep]] = {}
        self.faults: list[str] = []
        for step in steps:
            for topic in step.declared.emits:
                if isinstance(topic, Topic):
                    self._add(topic, step)

    def _add(self, topic: Topic[Any], step: ReadStep) -> None:
        known, other = self._topics.setdefault(topic.name, (topic, step))
        if known.type != topic.type:
            self.faults.append(
                f"topic {topic.name!r} carries {show(known.type)} in emits= of step "
                f"{other.name!r} ({other.signature.place}) and {show(topic.type)} in that of step "
                f"{step.name!r} ({step.signature.place}); one name, one type"
            )

    def of(self, source: Source) -> tuple[Any, str]:
        """Return (annotation, where it is said)."""
        if source.kind == "emit":
            if source.name not in self._topics:
                return Any, f"{source.name!r}"
            topic, step = self._topics[source.name]
            where = f"emitted by step {step.name!r}, {step.signature.place}"
            return topic.type, f"topic {source.name!r} carries {show(topic.type)} ({where})"
        if source.name not in self._steps:
            return Any, source.name
        signature = self._steps[source.name].signature
        if source.kind == "after":
            said = f"step {source.name!r} returns {show(signature.result)} ({signature.place})"
            return signature.result, said
        said = f"failed({source.name!r}) gives Failure[{show(signature.input)}]"
        return Failure.__class_getitem__(signature.input), f"{said} ({signature.place})"


def _input_faults(
    flow: Flow[Any, Any], step: ReadStep, defined: StepDefinition, given: _Given
) -> Iterator[str]:
    wanted = step.signature.input
    if step.signature.takes == 0 or wanted is Any:
        return
    takes = f"step {step.name!r} takes {show(wanted)} ({step.signature.place})"
    subscription = defined.subscription
    if subscription is None:
        if not fits(flow.input, wanted):
            yield f"{takes}, but input= of flow {flow.name!r} is {show(flow.input)}"
    elif subscription.kind == "all":
        yield from _join_faults(takes, wanted, subscription.parts, given)
    else:
        for source in subscription.parts[0].sources:
            found, said = given.of(source)
            if subscription.kind == "collect":
                found = types.GenericAlias(list, (found,))
            if not fits(found, wanted):
                yield f"{takes}, but {said}{_hint(subscription.kind)}"


def _hint(kind: str) -> str:
    return ", and collect() gives a list of it" if kind == "collect" else ""


def _join_faults(takes: str, wanted: Any, parts: Sequence[Part], given: _Given) -> Iterator[str]:
    labels = [part.label for part in parts]
    if not fits(dict[str, Any], wanted):
        yield f"{takes}, but all_of() gives a dict with {', '.join(map(repr, labels))}"
        return
    taken = _fields(wanted)
    if taken is None:
        args: list[Any] = list(get_args(wanted))
        taken = dict.fromkeys(labels, (args[1], False)) if len(args) == 2 else {}
    for name, (_, needed) in taken.items():
        if needed and name not in labels:
            yield (
                f"{takes}, which needs {name!r}, but all_of() gives a dict with "
                f"{', '.join(map(repr, labels))}; name the part by keyword: {name}=..."
            )
    for part in parts:
        if part.label not in taken:
            continue
        for source in part.sources:
            found, said = given.of(source)
            if not fits(found, taken[part.label][0]):
                yield f"{takes} with {part.label}: {show(taken[part.label][0])}, but {said}"


def _fields(wanted: Any) -> dict[str, tuple[Any, bool]] | None:
    """Return (annotation, whether it is needed) of each field of a record, None of others."""
    cls = get_origin(wanted) or wanted
    if not isinstance(cls, type):
        return None
    if issubclass(cls, BaseModel):
        return {
            name: (field.annotation, field.is_required() and field.validation_alias is None)
            for name, field in cls.model_fields.items()
        }
    if is_typeddict(cls):
        return fields_of(cls)
    if is_dataclass(cls):
        hints = get_type_hints(cls)
        return {
            item.name: (
                hints[item.name],
                item.default is MISSING and item.default_factory is MISSING and item.init,
            )
            for item in fields(cls)
        }
    return None


def _compensation_faults(step: ReadStep) -> Iterator[str]:
    undo = step.compensation
    if undo is None or undo.signature.takes == 0:
        return
    if not fits(step.signature.result, undo.signature.input):
        yield (
            f"compensate= of step {step.name!r} takes {show(undo.signature.input)} "
            f"({undo.signature.place}), but the step returns {show(step.signature.result)} "
            f"({step.signature.place})"
        )


def _result_faults(flow: Flow[Any, Any], steps: Sequence[ReadStep]) -> Iterator[str]:
    returning = [step for step in steps if step.declared.returns]
    if flow.result is not Any and not returning:
        yield (
            f"flow {flow.name!r} has result={show(flow.result)} and no step with returns=True; "
            "mark the step whose result is the run's"
        )
    for step in returning:
        if not fits(step.signature.result, flow.result):
            yield (
                f"step {step.name!r} returns {show(step.signature.result)} "
                f"({step.signature.place}), but result= of flow {flow.name!r} is "
                f"{show(flow.result)}"
            )
