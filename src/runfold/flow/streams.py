"""What streams are called: each has an id that follows from its first event.

So the names of streams can be rebuilt from the log, and a second stream for the same thing
is refused by its id.
"""

from __future__ import annotations

from runfold.flow.events import (
    FlowDefined,
    FlowErased,
    FlowStart,
    QueueDefined,
    QueueLimited,
    QueuePaused,
    QueueResumed,
)
from runfold.kernel.event import Event
from runfold.kernel.ids import keyed_id, parsed


def definitions_id(log_id: int, flow: str) -> bytes:
    """Return the id of the stream that holds the definitions of ``flow``."""
    return keyed_id(str(log_id), FlowDefined.TOPIC, flow)


def queue_id(log_id: int, queue: str) -> bytes:
    """Return the id of the stream that holds what is said about ``queue``."""
    return keyed_id(str(log_id), QueueDefined.TOPIC, queue)


def erasure_id(log_id: int, run_id: str) -> bytes:
    """Return the id of the stream that says that a run is erased: one for each run."""
    return keyed_id(str(log_id), FlowErased.TOPIC, run_id)


def name_of(log_id: int, first: Event) -> tuple[bytes, str | None]:
    """Return the id of the stream that begins with ``first``, and the flow of which it is a run.

    The flow is None for a stream that is no run. Raises ``LookupError`` for an event with which
    no stream begins.
    """
    match first:
        case FlowStart():
            return parsed(first.run_id), first.flow
        case FlowDefined():
            return definitions_id(log_id, first.name), None
        case QueueDefined() | QueueLimited() | QueuePaused() | QueueResumed():
            return queue_id(log_id, first.queue), None
        case FlowErased():
            return erasure_id(log_id, first.run_id), None
        case _:
            raise LookupError("no stream begins with such an event")
