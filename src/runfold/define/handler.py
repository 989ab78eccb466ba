"""A handler, ready to be run: the function, and how its values are written and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from runfold.define.values import ANY, Value

Kind = Literal["async", "thread", "process"]


@dataclass(frozen=True, kw_only=True)
class Handler:
    """What a worker needs to run one step of one flow."""

    flow: str
    step: str
    fn: Callable[..., Any]
    kind: Kind
    """``async``: awaited on the loop; ``thread``: a ``def``; ``process``: a ``def`` that asked
    for a process of its own."""
    takes: int
    """How many of (input, ctx) the function takes: 0, 1 or 2."""
    input: Value = ANY
    result: Value = ANY
    topics: Mapping[str, Value] = field(default_factory=dict)
    """The events that the step declares to emit, and the values they carry."""
    never: tuple[type[BaseException], ...] = ()
    """Exceptions that fail the step for good."""
    timeout: float | None = None
    """Seconds that one attempt may take; None: as long as it likes."""
    standalone: bool = False
    """It is a queue's job: its activation is known by the id of its run."""
