"""Definitions as pure data, in few words: no handlers, no types, nothing is checked."""

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
    """Return an emit of ``name`` as a source."""
    return Source(kind="emit", name=name)


def after(step: str) -> Source:
    """Return the completion of ``step`` as a source."""
    return Source(kind="after", name=step)


def failed(step: str) -> Source:
    """Return the failure for good of ``step`` as a source."""
    return Source(kind="failed", name=step)


def _part(label: str, sources: Any) -> Part:
    listed = sources if isinstance(sources, tuple) else (sources,)
    return Part(
        label=label, sources=tuple(on(item) if isinstance(item, str) else item for item in listed)
    )


def each(*sources: Any) -> Subscription:
    """Return a subscription to each of ``sources``, or of the names of emits."""
    return Subscription(kind="each", parts=(_part("", sources),))


def join(*names: str, by: str | None = None, **parts: Any) -> Subscription:
    """Return a subscription to one of each: of emits by name, of other ``parts`` by label."""
    listed = {**{name: name for name in names}, **parts}
    return Subscription(
        kind="all", parts=tuple(_part(label, taken) for label, taken in listed.items()), by=by
    )


def collect(*sources: Any, at_least: int = 1) -> Subscription:
    """Return a subscription to everything of ``sources`` at once."""
    return Subscription(kind="collect", parts=(_part("", sources),), at_least=at_least)


def step(
    name: str, taken: Any = None, *, emits: str = "", retry: Any = None, **more: Any
) -> StepDefinition:
    """Return a step that takes ``taken``; ``emits``: names, with spaces in between; ``retry``: how
    often it is tried, or a ``RetryPolicy``."""
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
    """Return a definition of ``steps``, called ``flow`` unless ``name`` is given."""
    return FlowDefinition(name=more.pop("name", "flow"), steps=steps, **more)
