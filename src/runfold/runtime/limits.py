"""From limits as data to what a store enforces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runfold.flow.definition import FlowDefinition, LimitDefinition
from runfold.flow.limits import names_of, queue_scope, scopes_of, step_scope
from runfold.ports import Limit

Replaced = tuple[str, list[Limit]]
"""A scope, and all of its limits: see ``Item.limits``."""


def replaced(scope: str, limits: Sequence[LimitDefinition]) -> Replaced:
    """Return what replaces the limits of ``scope``."""
    return scope, [
        Limit(f"{scope}#{name}", limit.kind, limit.max, limit.per, limit.key is not None)
        for name, limit in zip(names_of(limits), limits, strict=True)
    ]


def closed(queue: str, key: str | None) -> str:
    """Return what is closed by pausing ``queue``, or this value of its key."""
    return queue_scope(queue) if key is None else f"{queue_scope(queue)}={key}"


def limits_of_steps(
    definition: FlowDefinition, earlier: Iterable[FlowDefinition]
) -> list[Replaced]:
    """Return what replaces the limits of the steps of ``definition``.

    Of a step without limits only where an earlier definition of the flow gave it some. Those of
    steps that are there no more stay: runs of earlier definitions go on.
    """
    now = scopes_of(definition)
    before = {scope for one in earlier for scope in scopes_of(one)}
    scopes = [step_scope(definition.name, step.name) for step in definition.steps]
    return [
        replaced(scope, now.get(scope, ())) for scope in scopes if scope in now or scope in before
    ]
