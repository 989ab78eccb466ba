"""From what was written down to pure data and handlers, with every fault told at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runfold.define.checks import faults_of
from runfold.define.declared import Declared
from runfold.define.faults import Faults
from runfold.define.handler import Handler
from runfold.define.options import Retry
from runfold.define.reading import ReadStep, handler_of, read_step
from runfold.define.resolving import subscription_of
from runfold.define.target import Sealed
from runfold.define.topic import topic_name
from runfold.define.values import ANY, Value, value_of
from runfold.flow.definition import COMPENSATION_SUFFIX, FlowDefinition, StepDefinition
from runfold.flow.graph import validate

if TYPE_CHECKING:
    from runfold.define.flow import Flow


def compile_flow(flow: Flow[Any, Any]) -> Sealed:
    """Return the definition and the handlers of ``flow``."""
    faults = Faults(f"flow {flow.name!r}")
    with faults.of(f"input= of flow {flow.name!r}"):
        value_of(flow.input)
    with faults.of(f"result= of flow {flow.name!r}"):
        value_of(flow.result)
    steps = list(_read(flow.declared, faults))
    faults.tell()
    if not steps:
        return Sealed(
            name=flow.name,
            definition=None,
            input=value_of(flow.input),
            result=value_of(flow.result),
        )
    definition = FlowDefinition(
        name=flow.name,
        steps=tuple(_definitions(steps, faults)),
        failure=flow.failure,
        deadline=flow.deadline,
        keep=flow.keep,
        keep_failed=flow.keep,
        state_cleanup=flow.state_cleanup,
    )
    faults.tell()
    faults.extend(validate(definition))
    faults.extend(faults_of(flow, steps, definition))
    faults.tell()
    return Sealed(
        name=flow.name,
        definition=definition,
        handlers=dict(_handlers(flow, steps)),
        input=_input_of(flow.input, steps),
        result=value_of(flow.result),
        options={step.name: step.declared.options for step in steps},
    )


def compile_job(name: str, declared: Declared) -> Sealed:
    """Return the one-step flow called ``name`` that runs ``declared``."""
    faults = Faults(f"job {name!r}")
    steps = list(_read([declared], faults))
    faults.tell()
    queue = declared.options.queue
    definition = FlowDefinition(
        name=name,
        steps=tuple(_definitions(steps, faults)),
        keep=queue.keep,
        keep_failed=queue.keep_failed,
    )
    faults.extend(validate(definition))
    faults.tell()
    handler = handler_of(steps[0], flow=name, standalone=True)
    return Sealed(
        name=name,
        definition=definition,
        handlers={declared.name: handler},
        input=handler.input,
        result=handler.result,
        options={declared.name: declared.options},
    )


def _read(declared: list[Declared], faults: Faults) -> Iterator[ReadStep]:
    for one in declared:
        with faults.of(f"step {one.name!r}"):
            yield read_step(one)


def _definitions(steps: list[ReadStep], faults: Faults) -> Iterator[StepDefinition]:
    declared = [step.declared for step in steps]
    for one in declared:
        with faults.of(f"step {one.name!r}"):
            options = one.options
            yield StepDefinition(
                name=one.name,
                subscription=(
                    None if one.subscribes is None else subscription_of(one.subscribes, declared)
                ),
                emits=tuple(topic_name(topic) for topic in one.emits),
                returns=one.returns,
                compensated=one.compensate is not None,
                queue=options.queue.name,
                priority=options.priority,
                retry=(options.retry or Retry()).policy,
                timeout=options.timeout,
                formerly=one.formerly,
                limits=options.limits,
            )


def _handlers(flow: Flow[Any, Any], steps: list[ReadStep]) -> Iterator[tuple[str, Handler]]:
    for step in steps:
        yield step.name, handler_of(step, flow=flow.name, flow_result=flow.result)
        if step.compensation is not None:
            name = step.name + COMPENSATION_SUFFIX
            yield name, handler_of(step.compensation, flow=flow.name, step_name=name)


def _input_of(said: Any, steps: list[ReadStep]) -> Value:
    entry = next(step for step in steps if step.declared.subscribes is None)
    if said is not Any:
        return value_of(said)
    return value_of(entry.signature.input) if entry.signature.takes else ANY
