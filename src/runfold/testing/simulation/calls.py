"""Which handlers were called, with what, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runfold.define.values import Value
from runfold.errors import InvalidInput
from runfold.flow.events import ErrorInfo, StepCompleted, StepErrored
from runfold.kernel.event import Draft
from runfold.runtime.task import Task


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of a handler.

    ``outcome``: ``running`` until it has returned; then ``completed`` or ``errored``; ``left``
    when the worker ended it. What it returned may still not be recorded: its worker may die,
    or may have lost its lease.
    """

    flow: str
    step: str
    run_id: str
    attempt: int
    input: Any = field(init=False)
    """As the handler was given it; plain JSON when it could not be read as annotated."""
    at: datetime
    """The simulated moment."""
    worker: str
    """The name of the simulated process."""
    outcome: str = "running"
    result: Any = None
    """What it returned, plain."""
    error: ErrorInfo | None = None
    emitted: list[str] = field(default_factory=list)
    """The names of what it emitted."""
    _stored: tuple[Value, Any] = field(repr=False, compare=False)
    """How the input is read, and the input as the log has it: of both nobody changes anything."""

    def __getattr__(self, name: str) -> Any:
        if name != "input":
            raise AttributeError(name)
        # Read when somebody asks, which few do: the handler was given a copy of its own.
        value, stored = self._stored
        try:
            self.input = value.load(stored)
        except InvalidInput:
            self.input = deepcopy(stored)
        return self.input

    def end(self, drafts: Sequence[Draft]) -> None:
        """Note how it ended: with ``drafts``, none when it was left."""
        self.outcome = "left"
        for draft in drafts:
            event = draft.event
            if isinstance(event, StepCompleted):
                self.outcome, self.result = "completed", event.result
            elif isinstance(event, StepErrored):
                self.outcome, self.error = "errored", event.error
            elif event.TOPIC == "emit":
                self.emitted.append(getattr(event, "name", ""))


class Spy:
    """Every call in the order in which they began."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.calls: list[Call] = []

    def begin(self, task: Task, worker: str) -> Call:
        """Note that the handler of ``task`` is called."""
        handler = task.handler
        call = Call(
            flow=handler.flow, step=handler.step, run_id=task.run_id, attempt=task.job.attempt,
            _stored=(handler.input, task.input), at=self._now(), worker=worker,
        )  # fmt: skip
        self.calls.append(call)
        return call
