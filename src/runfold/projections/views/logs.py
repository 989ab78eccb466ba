"""Where handlers logged: the places of the lines, whose text stays in the log of events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runfold.flow.events import Log
from runfold.projections.logged import Logged
from runfold.projections.projection import Projection
from runfold.projections.rows import Rows

LEVELS = ("debug", "error", "info", "warning")
"""Those that a handler can log at."""


@dataclass(slots=True)
class LogRow:
    """A line."""

    position: int
    stream: int
    version: int
    flow: str
    step: str
    number: int
    attempt: int
    level: str
    ts: datetime


LOGS: Projection[LogRow] = Projection(
    "logs",
    LogRow,
    key="position",
    version=2,
    indexes=(
        ("stream", "level", "position"),
        ("flow", "level", "position"),
        ("flow", "step", "level", "position"),
        ("level", "position"),
    ),
    parallel=True,
    in_place=True,
)


@LOGS.on(Log)
def _logged(rows: Rows[LogRow], at: Logged[Log]) -> None:
    one = at.recorded
    rows.put(
        LogRow(
            position=one.position,
            stream=one.stream,
            version=one.version,
            flow=at.flow or "",
            step=one.step or "",
            number=one.activation or 1,
            attempt=one.attempt or 1,
            level=at.event.level,
            ts=one.ts,
        )
    )
