"""What a start can be aimed at, and what it becomes when it is served."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

from typing_extensions import TypeVar

from runfold.define.handler import Handler
from runfold.define.options import StepOptions
from runfold.define.values import ANY, Value
from runfold.flow.definition import FlowDefinition

In = TypeVar("In", default=Any)
Out = TypeVar("Out", default=Any)


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """A flow or job, checked: pure data for the log, handlers for the worker."""

    name: str
    definition: FlowDefinition | None
    """None of a flow without steps: its client only starts runs."""
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    """By name of the step; a step's compensation is ``<step>.compensate``."""
    input: Value = ANY
    """What a start is checked against: ``input=``, else what the entry is annotated with."""
    result: Value = ANY
    """What a caller gets as the run's result."""
    options: Mapping[str, StepOptions] = field(default_factory=dict)
    """By name of the step: what it said itself, and the queue that it was given."""


class Target(ABC, Generic[In, Out]):
    """Something with a name, an input and a result, of which runs are started."""

    name: str

    @abstractmethod
    def compile(self) -> Sealed:
        """Return this as it is now, checked; raises ``InvalidDefinition`` with every fault."""

    @abstractmethod
    def seal(self) -> Sealed:
        """Return ``compile()``, and accept no more from now on: it is being served."""
