"""A recorded event together with the run that it belongs to, as typed handlers see it."""

from __future__ import annotations

from typing import Generic, TypeVar

from runfold.flow.events import FlowErased
from runfold.flow.seal import is_erased
from runfold.kernel.event import Event, Recorded
from runfold.kernel.ids import text
from runfold.ports import Name
from runfold.wire import LogEvent, log_event

E = TypeVar("E", bound=Event)


class Logged(Generic[E]):
    """One event of the log. Made once a page, and shared by all projections that want it."""

    __slots__ = ("_shown", "event", "flow", "name", "recorded", "run_id", "topic")

    def __init__(self, recorded: Recorded, name: Name, run_id: str | None) -> None:
        self.recorded = recorded
        """Its place, time, step, activation, attempt and key."""
        self.event: E = recorded.event  # type: ignore[assignment]
        """The event itself, of the class that the handler asked for."""
        self.topic: str = recorded.event.TOPIC
        """The type of the event, as it is stored."""
        self.name, self.flow = name, name.flow
        self.run_id = run_id
        """The run's id as a UUID is written; None for an event of no run."""
        self._shown: LogEvent | None = None

    @property
    def stream(self) -> int:
        """The number of the stream of the run that it is about."""
        about = self.event
        return about.stream if isinstance(about, FlowErased) else self.recorded.stream

    @property
    def erased(self) -> bool:
        """Whether what users wrote in it is gone: values are None, messages ``[erased]``."""
        return is_erased(self.recorded.state)

    def shown(self) -> LogEvent:
        """Return the event as the wire has it."""
        if self._shown is None:
            self._shown = log_event(self.recorded, self.name)
        return self._shown


def run_id_of(name: Name) -> str | None:
    """Return the id of the run that a stream of this name is; None when it is no run."""
    return None if name.flow is None else text(name.id)
