"""Events, projections and tables for tests of the pure layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from runfold import LogEvent, Projection, Rows
from runfold.flow.events import Emit, FlowCompleted, FlowStart
from runfold.kernel.event import Event, Recorded
from runfold.ports import Name
from runfold.projections.fold import fold
from runfold.projections.logged import Logged, run_id_of
from runfold.projections.model import Values
from runfold.projections.rows import Sheet

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(slots=True)
class Total:
    """How many emits of a name, and who was last."""

    name: str
    count: int = 0
    last: str | None = None
    at: datetime | None = None


def totals(**options: Any) -> Projection[Total]:
    """A projection that has one row for each name of an emit."""
    projection = Projection("totals", Total, key="name", **options)

    @projection.on("emit")
    def count(rows: Rows[Total], event: LogEvent) -> None:
        total = rows.get(event.data["name"]) or Total(event.data["name"])
        total.count, total.last, total.at = total.count + 1, event.run_id, event.ts
        rows.put(total)

    return projection


def logged(*events: Event, flow: str | None = "orders", start: int = 1) -> list[Logged[Any]]:
    """``events`` as one run's, at positions from ``start``."""
    name = Name(b"\1" * 16, flow)
    return [
        Logged(
            Recorded(place, 1, place, NOON + timedelta(seconds=place), event, "step", 1, 1),
            name,
            run_id_of(name),
        )
        for place, event in enumerate(events, start)
    ]


def emits(*names: str, start: int = 1) -> list[Logged[Any]]:
    """One event for each name."""
    return logged(*[Emit(name=name) for name in names], start=start)


START = FlowStart(run_id="r", flow="orders", definition="d")
DONE = FlowCompleted(duration=2000, result={"ok": True})


class Table:
    """The rows of a projection as a store has them, and how often it was asked."""

    def __init__(self) -> None:
        self.rows: dict[Values, Values] = {}
        self.asked: list[list[Values]] = []

    def fold(
        self, projection: Projection[Any], sheet: Sheet[Any], page: Sequence[Logged[Any]]
    ) -> None:
        """Fold a page, fetch what is missing, and write."""
        place = 0
        while (place := fold(projection, sheet, page, place)) < len(page):
            keys = list(sheet.missing)
            self.asked.append(keys)
            sheet.learn({key: self.rows.get(key) for key in keys})
        self.write(sheet)

    def write(self, sheet: Sheet[Any]) -> None:
        """Write what is pending."""
        for key, values in sheet.take().items():
            if values is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = values
