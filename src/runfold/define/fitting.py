"""What a step takes from where it is served: its queue's keys, and defaults of the settings.

Options hold by precedence: those of a start over those of the step or job, over those of its
queue, over the settings. The first is a matter of the run; the last is done here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runfold.define.options import QueueDefaults, Retry, StepOptions
from runfold.define.target import Sealed
from runfold.errors import InvalidDefinition
from runfold.flow.definition import COMPENSATION_SUFFIX, LimitDefinition, StepDefinition
from runfold.flow.faults_limits import faults_of_limits
from runfold.flow.limits import keys_of


@dataclass(frozen=True)
class Surroundings:
    """What is said for many steps at once."""

    limits: Mapping[str, tuple[LimitDefinition, ...]] = field(default_factory=dict)
    """By name of the queue."""
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None


def limits_by_queue(
    queues: Iterable[QueueDefaults], sealed: Iterable[Sealed]
) -> dict[str, tuple[LimitDefinition, ...]]:
    """Return the limits of each queue that has some: of ``queues`` and those given to steps.

    Raises ``InvalidDefinition`` where two objects of one name say different limits.
    """
    given = (options.queue for one in sealed for options in one.options.values())
    said: dict[str, QueueDefaults] = {}
    for queue in (*queues, *given):
        known = said.get(queue.name)
        if known is None or type(known) is QueueDefaults:  # Named only: it says nothing.
            said[queue.name] = queue
        elif type(queue) is not QueueDefaults and known.limits != queue.limits:
            raise InvalidDefinition(
                f"two Queue objects are called {queue.name!r} and have different limits; make it "
                "once and import it, or give one another name"
            )
    return {name: queue.limits for name, queue in said.items() if queue.limits}


def fit(sealed: Sealed, around: Surroundings) -> Sealed:
    """Return ``sealed`` as it is served within ``around``; itself where nothing changes.

    Raises ``InvalidDefinition`` when a key of its queue cannot be found in a step's input.
    """
    definition = sealed.definition
    if definition is None:
        return sealed
    steps = tuple(_fit(step, sealed.options.get(step.name), around) for step in definition.steps)
    if steps == definition.steps and not around.retry.never:
        return sealed
    for step in steps:
        for fault in faults_of_limits(step):
            raise InvalidDefinition(f"{definition.name!r} cannot be served: {fault}")
    handlers = {
        name: replace(handler, never=(*handler.never, *_never(name, sealed.options, around)))
        for name, handler in sealed.handlers.items()
    }
    fitted = definition.model_copy(update={"steps": steps})
    return replace(sealed, definition=fitted, handlers=handlers)


def _fit(step: StepDefinition, options: StepOptions | None, around: Surroundings) -> StepDefinition:
    changes: dict[str, Any] = {}
    keys = keys_of(around.limits.get(step.queue, ()))
    if keys != step.queue_keys:
        changes["queue_keys"] = keys
    if options is not None and options.retry is None and around.retry.policy != step.retry:
        changes["retry"] = around.retry.policy
    if options is not None and options.timeout is None and around.timeout is not None:
        changes["timeout"] = around.timeout
    return step.model_copy(update=changes) if changes else step


def _never(
    name: str, options: Mapping[str, StepOptions], around: Surroundings
) -> tuple[type[BaseException], ...]:
    said = options.get(name.removesuffix(COMPENSATION_SUFFIX))
    return tuple(around.retry.never) if said is not None and said.retry is None else ()
