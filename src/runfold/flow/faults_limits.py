"""What is wrong with the limits of a step or a queue, as sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator

from runfold.flow.definition import LimitDefinition, StepDefinition
from runfold.flow.limits import FLOW, RUN, is_path


def faults_of_limit(limit: LimitDefinition, here: str) -> Iterator[str]:
    """Yield what is wrong with ``limit`` itself, which ``here`` has."""
    if limit.max < 1:
        yield f"{here} has a limit of {limit.max}; admit at least 1"
    if limit.kind == "rate" and not (limit.per is not None and 0 < limit.per < math.inf):
        yield f"{here} has a rate per {limit.per} seconds; it must be above 0"
    if limit.key is not None:
        yield from faults_of_key(limit.key, here)


def faults_of_key(key: str, here: str) -> Iterator[str]:
    """Yield what is wrong with the key of a limit."""
    is_known = key in (RUN, FLOW) or not key.startswith("@")
    if not (is_known and key.isprintable() and all(key.split("."))) or set("=#") & set(key):
        yield (
            f"{here} has a limit with key={key!r}; it is {RUN!r}, {FLOW!r} or a dotted path into "
            "the input, without '=' and '#'"
        )


def faults_of_limits(step: StepDefinition) -> Iterator[str]:
    """Yield what is wrong with the limits of ``step`` and the keys of its queue's."""
    here = f"step {step.name!r}"
    for limit in step.limits:
        yield from faults_of_limit(limit, here)
    for key in step.queue_keys:
        yield from faults_of_key(key, f"queue {step.queue!r} of {here}")
    keys = [*step.queue_keys, *(limit.key for limit in step.limits if limit.key is not None)]
    for key in dict.fromkeys(key for key in keys if is_path(key)):
        yield from _faults_of_path(step, key)


def _faults_of_path(step: StepDefinition, key: str) -> Iterator[str]:
    """Yield why there can be no value at ``key`` in any input of ``step``."""
    subscription = step.subscription
    if subscription is None:
        return
    here = f"step {step.name!r} has a limit with key={key!r}"
    parts, inner = subscription.parts, key
    if subscription.kind == "collect":
        place, _, inner = key.partition(".")
        if not (place.isascii() and place.isdecimal()):
            yield f"{here}, but takes a list; begin the path with a place in it, such as '0.'"
    elif subscription.kind == "all":
        # A label is an identifier or the name of an event, which may have dots as well.
        labels = [part.label for part in parts]
        parts = tuple(
            part for part in parts if key == part.label or key.startswith(f"{part.label}.")
        )
        if not parts:
            yield (
                f"{here}, but takes a dict with {', '.join(map(repr, labels))}; begin the path "
                "with one of these"
            )
            return
        inner = key.removeprefix(parts[0].label).removeprefix(".")
    failures = any(source.kind == "failed" for part in parts for source in part.sources)
    if failures and inner.partition(".")[0] == "input":
        yield (
            f"{here}, but subscribes to a failure, whose input is not known when the job is made; "
            "take the key from 'step' or 'error', or use '@run'"
        )
