"""Which handlers were called, with what, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any

from runfold.errors import InvalidInput
from runfold.flow.events import Emit, ErrorInfo, StepCompleted, StepErrored
from runfold.kernel.event import Draft
from runfold.runtime.task import Task


class Call:
    """One call of a handler.

    ``outcome``: ``running`` until it has returned; then ``completed`` or ``errored``; ``left``
    when the worker ended it. What it returned may still not be recorded: its worker may die,
    or may have lost its lease.
    """

    __slots__ = (
        "_stored", "_value", "at", "attempt", "emitted", "error", "flow", "input", "outcome",
        "result", "run_id", "step", "worker",
    )  # fmt: skip

    input: Any
    """As the handler was given it; plain JSON when it could not be read as annotated."""

    def __init__(self, task: Task, at: datetime, worker: str) -> None:
        handler = task.handler
        # How the input is read, and the input as the log has it: of both nobody changes anything.
        self._value, self._stored = handler.input, task.input
        self.flow, self.step = handler.flow, handler.step
        self.run_id, self.attempt = task.run_id, task.job.attempt
        self.at = at
        """The simulated moment."""
        self.worker = worker
        """The name of the simulated process."""
        self.outcome = "running"
        self.result: Any = None
        """What it returned, plain."""
        self.error: ErrorInfo | None = None
        self.emitted: list[str] = []
        """The names of what it emitted."""

    def __repr__(self) -> str:
        return f"Call({self.flow}/{self.step}, attempt {self.attempt}, {self.outcome})"

    def __getattr__(self, name: str) -> Any:
        if name != "input":
            raise AttributeError(name)
        # Read when somebody asks, which few do: the handler was given a copy of its own.
        try:
            self.input = self._value.load(self._stored)
        except InvalidInput:
            self.input = deepcopy(self._stored)
        return self.input

    def end(self, drafts: Sequence[Draft]) -> None:
        """Note how it ended: with ``drafts``, none when it was left."""
        if not drafts:
            self.outcome = "left"
            return
        event = drafts[-1].event
        if isinstance(event, StepCompleted):
            self.outcome, self.result = "completed", event.result
        elif isinstance(event, StepErrored):
            self.outcome, self.error = "errored", event.error
        if len(drafts) > 1:
            self.emitted = [draft.event.name for draft in drafts if isinstance(draft.event, Emit)]


class Spy:
    """Every call in the order in which they began."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.calls: list[Call] = []

    def begin(self, task: Task, worker: str) -> Call:
        """Note that the handler of ``task`` is called."""
        call = Call(task, self._now(), worker)
        self.calls.append(call)
        return call
