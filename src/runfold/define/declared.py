"""A step or job as it was written down, before anything of it is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runfold.define.limits import limits_of
from runfold.define.options import (
    Options,
    QueueDefaults,
    StepOptions,
    priority_of,
    retry_of,
    span_of,
)
from runfold.define.topic import Source, Topic
from runfold.errors import InvalidDefinition

_KNOWN = frozenset(Options.__annotations__)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One use of a function as a step."""

    fn: Callable[..., Any]
    name: str
    subscribes: Source[Any] | str | None = None
    """None of the entry."""
    emits: tuple[Topic[Any] | str, ...] = ()
    returns: bool = False
    compensate: Callable[..., Any] | None = None
    formerly: tuple[str, ...] = ()
    options: StepOptions = field(default_factory=StepOptions)
    scope: Mapping[str, Any] = field(default_factory=dict)
    """Local names where it was decorated."""


def checked_options(options: Options) -> StepOptions:
    """Return what a decorator was given, checked; what it was not given comes from the queue."""
    unknown = sorted(set(options) - _KNOWN)
    if unknown:
        raise InvalidDefinition(
            f"unknown option {unknown[0]!r}; the options are {', '.join(sorted(_KNOWN))}"
        )
    queue = options.get("queue", "default")
    defaults = queue if isinstance(queue, QueueDefaults) else QueueDefaults(queue)
    timeout = span_of(options.get("timeout"), "timeout")
    retry = options.get("retry")
    return StepOptions(
        queue=defaults,
        priority=priority_of(options.get("priority")),
        retry=defaults.retry if retry is None else retry_of(retry),
        timeout=defaults.timeout if timeout is None else timeout,
        process=bool(options.get("process", False)),
        limits=limits_of(options.get("limits", ())),
    )


def name_of(name: str | None, fn: Callable[..., Any]) -> str:
    """Return ``name``, else the name of the function."""
    found = name if name is not None else getattr(fn, "__name__", None)
    if not isinstance(found, str) or not found or found == "<lambda>":
        raise InvalidDefinition(f"{fn!r} has no name to call its step by; give name=")
    return found


def many(items: Iterable[Any] | Topic[Any] | str) -> tuple[Any, ...]:
    """Return ``items`` as a tuple; a lone topic or name counts as one."""
    return (items,) if isinstance(items, str | Topic) else tuple(items)
