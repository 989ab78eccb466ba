"""Definitions in few words."""

from __future__ import annotations

from typing import Any

from runfold.flow.definition import (
    FlowDefinition,
    Part,
    RetryPolicy,
    Source,
    StepDefinition,
    Subscription,
)


def on(name: str) -> Source:
    return Source(kind="emit", name=name)


def after(step: str) -> Source:
    return Source(kind="after", name=step)


def failed(step: str) -> Source:
    return Source(kind="failed", name=step)


def _part(label: str, sources: Any) -> Part:
    listed = sources if isinstance(sources, tuple) else (sources,)
    return Part(
        label=label, sources=tuple(on(item) if isinstance(item, str) else item for item in listed)
    )


def each(*sources: Any) -> Subscription:
    return Subscription(kind="each", parts=(_part("", sources),))


def join(*names: str, by: str | None = None, **parts: Any) -> Subscription:
    listed = {**{name: name for name in names}, **parts}
    return Subscription(
        kind="all", parts=tuple(_part(label, taken) for label, taken in listed.items()), by=by
    )


def collect(*sources: Any, at_least: int = 1) -> Subscription:
    return Subscription(kind="collect", parts=(_part("", sources),), at_least=at_least)


def step(name: str, taken: Any = None, *, emits: str = "", retry: Any = None, **more: Any) -> Any:
    subscription = each(taken) if isinstance(taken, str | Source) else taken
    policy = RetryPolicy(max_attempts=retry) if isinstance(retry, int) else retry or RetryPolicy()
    return StepDefinition(
        name=name,
        subscription=subscription,
        emits=tuple(emits.split()),
        retry=policy,
        **more,
    )


def flow(*steps: StepDefinition, **more: Any) -> FlowDefinition:
    return FlowDefinition(name=more.pop("name", "flow"), steps=steps, **more)
