"""What a handler says while it runs, as a client gets it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from runfold.wire import LogEvent


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt said it was, in percent (0-100)."""

    percent: float
    message: str | None
    details: Any
    step_name: str | None
    step_id: str | None
    attempt: int | None
    id: int
    """The position of its event."""
    ts: datetime

    @classmethod
    def of(cls, event: LogEvent) -> Self:
        """Return what a ``step.progress`` says."""
        data = event.data
        return cls(
            data["percent"], data.get("message"), data.get("details"),
            event.step_name, event.step_id, event.attempt, event.id, event.ts,
        )  # fmt: skip


class Chunk(str):
    """Output of an attempt: a string that knows where it comes from.

    A handler that is tried again begins its output anew: ``attempt`` tells.
    """

    step_name: str | None
    step_id: str | None
    attempt: int | None
    id: int
    """The position of its event."""
    ts: datetime

    __slots__ = ("attempt", "id", "step_id", "step_name", "ts")

    @classmethod
    def of(cls, event: LogEvent) -> Self:
        """Return the chunk of an ``output`` event."""
        chunk = cls(event.data["chunk"])
        chunk.step_name, chunk.step_id = event.step_name, event.step_id
        chunk.attempt, chunk.id, chunk.ts = event.attempt, event.id, event.ts
        return chunk
