"""What is wrong with a definition, each fault one sentence that names the steps and the cure.

A definition without faults cannot stall by itself: every step can be reached, every event
that a step waits for can be emitted, no collect waits for what it causes itself.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from runfold.flow.definition import (
    COMPENSATION_SUFFIX,
    FlowDefinition,
    Source,
    StepDefinition,
    Subscription,
)
from runfold.flow.faults_limits import faults_of_limits


def validate(definition: FlowDefinition) -> list[str]:
    """Return every fault of ``definition``; empty when it can be served."""
    faults = [*_of_flow(definition), *_of_names(definition)]
    for step in definition.steps:
        faults.extend(_of_step(step))
        faults.extend(faults_of_limits(step))
        if step.subscription is not None:
            faults.extend(_of_subscription(step, step.subscription))
    faults.extend(_of_sources(definition))
    # The shape of a graph says nothing while its parts do not fit.
    return faults or [*_of_reach(definition), *_of_collects(definition)]


def _of_flow(flow: FlowDefinition) -> Iterator[str]:
    if _is_bad(flow.name):
        yield f"flow name {flow.name!r} is empty or has control characters; give it another"
    entries = [step.name for step in flow.steps if step.subscription is None]
    if not entries:
        yield f"flow {flow.name!r} has no entry; declare one step with @flow.entry"
    if len(entries) > 1:
        yield (
            f"flow {flow.name!r} has {len(entries)} entries: {_list(entries)}; "
            "keep one and let the others subscribe to what it emits"
        )
    returning = [step.name for step in flow.steps if step.returns]
    if len(returning) > 1:
        yield (
            f"steps {_list(returning)} all have returns=True; "
            "a run has one result, keep it on one of them"
        )
    if flow.deadline is not None and not flow.deadline > 0:
        yield f"flow {flow.name!r} has deadline={flow.deadline}; it must be above 0 seconds"
    for name, keep in (("keep", flow.keep), ("keep_failed", flow.keep_failed)):
        if keep is not None and not keep >= 0:
            yield f"flow {flow.name!r} has {name}={keep}; it must be 0 seconds or more"
    if isinstance(flow.state_cleanup, float) and not flow.state_cleanup >= 0:
        yield f"flow {flow.name!r} has state_cleanup={flow.state_cleanup}; it must be 0 or more"
    if flow.activations_max < 1:
        yield f"flow {flow.name!r} has activations_max={flow.activations_max}; allow at least 1"


def _of_names(flow: FlowDefinition) -> Iterator[str]:
    counts = Counter(step.name for step in flow.steps)
    for name, count in counts.items():
        if count > 1:
            yield f"{count} steps are called {name!r}; give each a name of its own"
        if _is_bad(name) or "__" in name or "#" in name:
            yield (
                f"step name {name!r} is empty or has '__', '#' or control characters, "
                "which the ids of its attempts could not hold; rename it"
            )
        if name.endswith(COMPENSATION_SUFFIX):
            yield f"step name {name!r} is that of a compensation; rename the step"
    former = Counter(name for step in flow.steps for name in step.formerly)
    for name, count in former.items():
        if count > 1 or name in counts:
            yield f"{name!r} is a former name of one step and names another; take it out"


def _of_step(step: StepDefinition) -> Iterator[str]:
    here = f"step {step.name!r}"
    for event in step.emits:
        if _is_bad(event):
            yield f"{here} emits {event!r}; an event needs a name without control characters"
    if _is_bad(step.queue):
        yield f"{here} has queue {step.queue!r}; a queue needs a name without control characters"
    if step.priority is not None and not 1 <= step.priority <= 10:
        yield f"{here} has priority {step.priority}; it must be from 1 to 10, 10 first"
    if step.timeout is not None and not step.timeout > 0:
        yield f"{here} has timeout={step.timeout}; it must be above 0 seconds, or None"
    retry = step.retry
    if retry.max_attempts < 1:
        yield f"{here} has max_attempts={retry.max_attempts}; the first execution counts, allow 1"
    for name in ("base", "cap"):
        value = getattr(retry, name)
        if not 0 <= value < math.inf:
            yield f"{here} has retry {name}={value}; it must be 0 seconds or more"
    if not 0 < retry.factor < math.inf:
        yield f"{here} has retry factor={retry.factor}; it must be above 0, 1 to wait evenly"
    if not 0 <= retry.jitter <= 1:
        yield f"{here} has retry jitter={retry.jitter}; it is a share, from 0 to 1"


def _of_subscription(step: StepDefinition, taken: Subscription) -> Iterator[str]:
    here = f"step {step.name!r}"
    count = len(taken.parts)
    if taken.kind == "all" and count < 2:
        yield f"{here} joins {count} part with all_of; name two or more, or subscribe to it alone"
    if taken.kind != "all" and count != 1:
        yield f"{here} subscribes with {count} parts; join several with any_of or all_of"
    for label, repeated in Counter(part.label for part in taken.parts).items():
        if repeated > 1:
            yield f"{here} has {repeated} parts called {label!r}; give each a keyword of its own"
    for part in taken.parts:
        if not part.sources:
            yield f"{here} has a part {part.label!r} that nothing fills; name an event for it"
    times = Counter(source for part in taken.parts for source in set(part.sources))
    for source, repeated in times.items():
        if repeated > 1:
            yield f"{here} joins {_name(source)} with itself; take it out of one part"
    if taken.by is not None and (taken.kind != "all" or not all(taken.by.split("."))):
        yield f"{here} has by={taken.by!r}; it is a dotted path and goes with all_of"
    if taken.by is not None and any(source.kind == "failed" for source in times):
        yield f"{here} pairs a failure by={taken.by!r}; failures have no payload, use collect"
    if taken.at_least < 0:
        yield f"{here} collects with at_least={taken.at_least}; it must be 0 or more"


def _of_sources(flow: FlowDefinition) -> Iterator[str]:
    emitted = {name for step in flow.steps for name in step.emits}
    names = {step.name for step in flow.steps}
    for step in flow.steps:
        for source in _sources(step):
            if source.kind == "emit":
                if source.name not in emitted:
                    yield (
                        f"step {step.name!r} subscribes to {source.name!r}, an unknown event; "
                        "declare it in the emits= of the step that emits it"
                    )
            elif source.name not in names:
                yield (
                    f"step {step.name!r} subscribes to {_name(source)}, an unknown step; "
                    f"the steps are {_list(sorted(names))}"
                )
            elif source.name == step.name:
                yield (
                    f"step {step.name!r} subscribes to its own end, {_name(source)}; "
                    "emit an event to loop, use retry= to try again"
                )


def _of_reach(flow: FlowDefinition) -> Iterator[str]:
    """Steps that no path from the entry activates; a join needs a path to each part."""
    reached: set[str] = set()
    given: set[Source] = set()
    for _ in flow.steps:
        for step in flow.steps:
            if step.name not in reached and _can_run(step, given):
                reached.add(step.name)
                given.update(_gives(step))
    for step in flow.steps:
        if step.name not in reached:
            yield (
                f"step {step.name!r} is unreachable: nothing that can run leads to "
                f"{_list([source.name for source in _sources(step)])}; "
                "emit that from a step that runs, or take the step out"
            )


def _can_run(step: StepDefinition, given: set[Source]) -> bool:
    if step.subscription is None:
        return True
    parts = [any(source in given for source in part.sources) for part in step.subscription.parts]
    return all(parts)


def _of_collects(flow: FlowDefinition) -> Iterator[str]:
    for step in flow.steps:
        if step.subscription is None or step.subscription.kind != "collect":
            continue
        wanted = set(_sources(step))
        for source in _sources(step):
            if source in wanted & _led_to(flow, step):
                yield (
                    f"step {step.name!r} collects {_name(source)}, which it can lead to itself: "
                    "it would wait for its own end; collect another event, or break the loop"
                )


def _led_to(flow: FlowDefinition, start: StepDefinition) -> set[Source]:
    found: set[Source] = set()
    stack = [start]
    while stack:
        fresh = set(_gives(stack.pop())) - found
        found |= fresh
        stack.extend(step for step in flow.steps if fresh & set(_sources(step)))
    return found


def _gives(step: StepDefinition) -> Iterator[Source]:
    yield from (Source(kind="emit", name=name) for name in step.emits)
    yield Source(kind="after", name=step.name)
    yield Source(kind="failed", name=step.name)


def _sources(step: StepDefinition) -> list[Source]:
    parts = step.subscription.parts if step.subscription else ()
    return list(dict.fromkeys(source for part in parts for source in part.sources))


def _is_bad(name: str) -> bool:
    return not name.strip() or not name.isprintable()


def _name(source: Source) -> str:
    return repr(source.name) if source.kind == "emit" else f"{source.kind}({source.name!r})"


def _list(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
