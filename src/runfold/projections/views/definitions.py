"""Which definitions of which flow there are, and which was served last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runfold.flow.events import FlowDefined
from runfold.projections.logged import Logged
from runfold.projections.projection import Projection
from runfold.projections.rows import Rows


@dataclass(slots=True)
class DefinitionRow:
    """A definition."""

    flow: str
    hash: str
    defined_at: datetime
    """When it was served last after another one."""
    position: int
    """Of the event that says so: the highest of a flow is the one that new runs take."""
    steps: int
    """How many it has."""


DEFINITIONS: Projection[DefinitionRow] = Projection(
    "definitions",
    DefinitionRow,
    key=("flow", "hash"),
    indexes=(("flow", "position"),),
    in_place=True,
)


@DEFINITIONS.on(FlowDefined)
def _defined(rows: Rows[DefinitionRow], at: Logged[FlowDefined]) -> None:
    event, one = at.event, at.recorded
    steps = len(event.definition.get("steps", ()))
    rows.put(DefinitionRow(event.name, event.hash, one.ts, one.position, steps))
