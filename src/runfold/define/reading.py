"""A declared step, read: what its function takes and gives, and how it will be run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runfold.define.context import Context, SyncContext
from runfold.define.declared import Declared
from runfold.define.fits import show
from runfold.define.handler import Handler
from runfold.define.importable import check_importable
from runfold.define.signature import Signature, signature_of
from runfold.define.topic import Topic, topic_name
from runfold.define.values import ANY, Value, value_of
from runfold.errors import InvalidDefinition

_CONTEXTS = (Context, SyncContext)


@dataclass(frozen=True)
class ReadStep:
    """A step, or the compensation of one, and its signature."""

    declared: Declared
    signature: Signature
    input: Value
    result: Value
    compensation: ReadStep | None = None

    @property
    def name(self) -> str:
        """The name of the step."""
        return self.declared.name


def read_step(declared: Declared) -> ReadStep:
    """Return what ``declared`` says; raise ``InvalidDefinition`` where it cannot work."""
    undo = declared.compensate
    compensation = None if undo is None else _read(undo, declared)
    read = _read(declared.fn, declared)
    return ReadStep(declared, read.signature, read.input, read.result, compensation)


def handler_of(
    step: ReadStep,
    *,
    flow: str,
    flow_result: Any = Any,
    step_name: str | None = None,
    standalone: bool = False,
) -> Handler:
    """Return how ``step`` is run; a step that returns is checked against ``flow_result``."""
    declared, signature = step.declared, step.signature
    returns = declared.returns and step_name is None and step.result is ANY
    return Handler(
        flow=flow,
        step=step_name or declared.name,
        fn=signature.fn,
        kind="async" if signature.is_async else "process" if declared.options.process else "thread",
        takes=signature.takes,
        input=step.input,
        result=value_of(flow_result) if returns else step.result,
        topics={} if step_name else _topics(declared),
        never=tuple(declared.options.retry.never) if declared.options.retry else (),
        timeout=declared.options.timeout,
        standalone=standalone,
    )


def _topics(declared: Declared) -> dict[str, Value]:
    return {
        topic_name(topic): topic.value if isinstance(topic, Topic) else ANY
        for topic in declared.emits
    }


def _read(fn: Callable[..., Any], declared: Declared) -> ReadStep:
    signature = signature_of(fn, declared.scope)
    _check_context(signature)
    if declared.options.process:
        if signature.is_async:
            raise InvalidDefinition(
                f"{signature.place} is an `async def`, which runs on the loop; leave out "
                "process=True or make it a `def`"
            )
        check_importable(fn, signature.place)
    for topic in declared.emits:
        if isinstance(topic, Topic):
            _value(topic.type, f"the type of topic {topic.name!r}")
    return ReadStep(
        declared,
        signature,
        _value(signature.input, f"the input of {signature.place}"),
        _value(signature.result, f"the result of {signature.place}"),
    )


def _value(annotation: Any, what: str) -> Value:
    try:
        return value_of(annotation)
    except InvalidDefinition as error:
        raise InvalidDefinition(f"{what}: {error}") from error


def _check_context(signature: Signature) -> None:
    kind, wanted = ("async def", Context) if signature.is_async else ("def", SyncContext)
    if isinstance(signature.input, type) and issubclass(signature.input, _CONTEXTS):
        raise InvalidDefinition(
            f"{signature.place} takes ctx where its input comes; a handler takes (), (input) or "
            "(input, ctx)"
        )
    given = signature.context
    if given is not Any and isinstance(given, type) and not issubclass(wanted, given):
        raise InvalidDefinition(
            f"{signature.place} is `{kind}` and takes ctx: {show(given)}; `{kind}` is given "
            f"a {wanted.__name__}"
        )
