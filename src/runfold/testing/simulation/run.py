"""A run in the hands of a test: what it is now, as plain values."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar
from uuid import UUID

from runfold.client.capsule import Capsule
from runfold.client.run import Run
from runfold.define.values import Value
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowCompleted
from runfold.kernel.event import Recorded
from runfold.testing.simulation.desk import Desk, at_once, listed
from runfold.wire import ErrorState, LogEvent, RunState

Out = TypeVar("Out")


class SimulatedRun(Generic[Out]):
    """One run of a simulation. Reading it makes nothing happen."""

    def __init__(self, desk: Desk, run: Run[Out], result: Value) -> None:
        self._desk, self._run, self._value = desk, run, result
        self.id: str = run.id
        """The run's id, a UUID; the same for the same seed."""

    def __repr__(self) -> str:
        return f"SimulatedRun({self.id}, {self.status!r})"

    @property
    def state(self) -> RunState:
        """The run as a fold of its events so far; ``state.data`` is its shared state."""
        return at_once(self._run.state())

    @property
    def status(self) -> str:
        """As ``Run.status()``."""
        return at_once(self._run.status())

    @property
    def result(self) -> Out | None:
        """Its result, read as annotated; None while it has none."""
        end = at_once(self._desk.engine.end(self._stream))
        if end is None or not isinstance(end.event, FlowCompleted):
            return None
        return self._value.load(end.event.result, "result")  # type: ignore[no-any-return]

    @property
    def error(self) -> ErrorState | None:
        """Why it failed; None of a run that has not."""
        return self.state.error

    @property
    def events(self) -> list[LogEvent]:
        """Its events so far, in order."""
        return at_once(listed(self._run.events()))

    @property
    def history(self) -> list[Recorded]:
        """Its events so far as they are folded: what ``replay`` takes."""
        sized = at_once(listed(self._desk.engine.sized(self._stream)))
        return [recorded for recorded, _ in sized]

    @property
    def definition(self) -> FlowDefinition:
        """The definition that it follows."""
        return at_once(self._desk.engine.fold(self._stream)).definition

    def export(self) -> Capsule:
        """Return it as a capsule, as ``Run.export``: saved, it is one of ``histories``."""
        return at_once(self._run.export())

    @property
    def _stream(self) -> int:
        return at_once(self._desk.engine.number(UUID(self.id).bytes))

    def cancel(self, reason: str | None = None) -> None:
        """Cancel it, as ``Run.cancel``: in force on return."""
        at_once(self._run.cancel(reason))

    def retry(self, **options: Any) -> SimulatedRun[Out]:
        """Record a new run that begins before what failed, as ``Run.retry``."""
        return self._sibling(self._run.retry(**options))

    def restart(self, **options: Any) -> SimulatedRun[Out]:
        """Record a new run with the input of this one, as ``Run.restart``."""
        return self._sibling(self._run.restart(**options))

    def fork(self, **options: Any) -> SimulatedRun[Out]:
        """Record a new run that goes on from ``at=``, as ``Run.fork``."""
        return self._sibling(self._run.fork(**options))

    def _sibling(self, begun: Coroutine[Any, Any, Run[Out]]) -> SimulatedRun[Out]:
        return SimulatedRun(self._desk, at_once(begun), self._value)

    def pause(self) -> None:
        """Pause it, as ``Run.pause``."""
        at_once(self._run.pause())

    def resume(self) -> None:
        """Resume it, as ``Run.resume``."""
        at_once(self._run.resume())
