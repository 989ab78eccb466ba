"""Flows out of definitions that were drawn: handlers that do what a script says.

A handler does not know the name of its activation, so scripts go by what it does know: its
step and its input, without what depends on how often something was tried.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import Counter
from dataclasses import replace
from typing import Any

from runfold import (
    Context,
    Flow,
    PermanentError,
    Retry,
    SyncContext,
    after,
    all_of,
    any_of,
    collect,
    failed,
)
from runfold.flow.definition import FlowDefinition, RetryPolicy, Source, Subscription
from runfold.flow.events import Emit
from runfold.testing import SimulatedRun
from runfold.testing.driver import Driver, Outcome, Script, Work, play

Told = dict[str, Any]


def by_input(script: Script) -> Script:
    """Return a script that does the same for the same step and input."""

    def run(work: Work) -> Outcome:
        text = json.dumps(_lasting(work.input), sort_keys=True)
        name = f"{work.step} {zlib.crc32(text.encode()):08x}"
        return script(replace(work, name=name, number=0))

    return run


def _lasting(value: Any) -> Any:
    """Return ``value`` without what a failure says of its attempts."""
    if isinstance(value, dict):
        left = {"error", "attempts"} if {"step", "error"} <= value.keys() else set()
        return {key: _lasting(inner) for key, inner in value.items() if key not in left}
    return [_lasting(inner) for inner in value] if isinstance(value, list) else value


def patient(definition: FlowDefinition) -> FlowDefinition:
    """Return ``definition`` with so many attempts that no fault can take the last of a step.

    A script fails once, or for good: more attempts change nothing of what it does.
    """
    retry = RetryPolicy(max_attempts=50, base=0)
    steps = tuple(step.model_copy(update={"retry": retry}) for step in definition.steps)
    return definition.model_copy(update={"steps": steps})


def flow_of(definition: FlowDefinition, script: Script) -> Flow[Any, Any]:
    """Return a flow that is ``definition``, through what users write."""
    flow: Flow[Any, Any] = Flow(definition.name, failure=definition.failure)
    for index, step in enumerate(definition.steps):
        handler = _handler(script, index)
        options: Any = {
            "emits": step.emits,
            "retry": Retry(step.retry.max_attempts, base=step.retry.base),
        }
        if step.subscription is None:
            flow.entry(step.name, **options)(handler)
            continue
        if step.compensated:
            options["compensate"] = _handler(script, index + 1)
        flow.step(step.name, subscribes=_subscribes(step.subscription), **options)(handler)
    sealed = flow.compile()
    assert sealed.definition is not None
    assert [step.emits for step in sealed.definition.steps] == [
        step.emits for step in definition.steps
    ]
    # Labels and bounds cannot be written down as they were drawn; the rest is the same.
    flow._sealed = replace(sealed, definition=definition)
    return flow


def _handler(script: Script, index: int) -> Any:
    def begin(given: Any, ctx: Context | SyncContext) -> Outcome:
        work = Work(ctx.step_name, "", 0, ctx.attempt, given)
        outcome = script(work)
        if outcome.error is not None:
            raise (ValueError if outcome.error.retryable else PermanentError)("as scripted")
        for name, payload in outcome.emits:
            ctx.emit(name, payload)
        return outcome

    async def waits(given: Any, ctx: Context) -> Any:
        await asyncio.sleep(index % 3)
        outcome = begin(given, ctx)
        for state in outcome.states:
            await ctx.state.add(state.key, state.value)
        return outcome.result

    def blocks(given: Any, ctx: SyncContext) -> Any:
        outcome = begin(given, ctx)
        for state in outcome.states:
            ctx.state.add(state.key, state.value)
        return outcome.result

    return blocks if index % 4 == 3 else waits


def _subscribes(subscription: Subscription) -> Any:
    parts = {part.label: any_of(*map(_source, part.sources)) for part in subscription.parts}
    if subscription.kind == "all":
        return all_of(by=subscription.by, **parts)
    (part,) = parts.values()
    if subscription.kind == "collect":
        return collect(part, at_least=subscription.at_least)
    return part


def _source(source: Source) -> Any:
    if source.kind == "emit":
        return source.name
    return (after if source.kind == "after" else failed)(source.name)


def expected(definition: FlowDefinition, script: Script) -> Told:
    """Return how a run ends when nothing goes wrong, as the pure driver says."""
    driver: Driver = play(definition, script)
    run = driver.run
    emits = [
        (recorded.step, recorded.event.name, recorded.event.payload)
        for recorded in driver.history
        if isinstance(recorded.event, Emit)
    ]
    return _told(run.status, run.result, run.values(), driver.names(), emits)


def outcome(run: SimulatedRun[Any]) -> Told:
    """Return how a simulated run ended."""
    events = run.events
    names = {event.data["name"] for event in events if event.type == "step.scheduled"}
    emits = [
        (event.step_name, event.data["name"], event.data["payload"])
        for event in events
        if event.type == "emit"
    ]
    return _told(run.status, run.result, run.state.data, names, emits)


def _told(status: str, result: Any, data: Any, names: set[str], emits: list[Any]) -> Told:
    if status != "completed":
        return {"status": status}  # What else had happened until then is a matter of order.
    counted = Counter(json.dumps(emit, sort_keys=True) for emit in emits)
    return {"status": status, "result": result, "data": data, "names": names, "emits": counted}
