"""What a test says when two schedules disagree."""

from __future__ import annotations

from collections.abc import Sequence

from runfold.testing.determinism.causes import cause_of, orders
from runfold.testing.determinism.outcome import Difference
from runfold.testing.determinism.reads import Read
from runfold.testing.determinism.schedule import Played, Schedule

LINES_MAX = 10
"""How many differences, and how many completions of an order, are shown."""


class NotDeterministic(AssertionError):
    """A flow does not always end in the same way. The message shows two schedules that differ
    in as little as possible, and what differs between their outcomes."""

    def __init__(
        self,
        first: Played,
        second: Played,
        differences: Sequence[Difference],
        reads: Sequence[Read] | None = None,
    ) -> None:
        self.first: Schedule = first.schedule
        """A schedule; play it with ``Simulation(..., seed=, processes=, faults=)``."""
        self.second: Schedule = second.schedule
        """One that leads elsewhere."""
        self.differences = tuple(differences)
        """What differs between their outcomes, the gravest first."""
        self.cause = cause_of(first, second, differences, reads)
        """The likeliest cause and its cure; None when the histories do not tell."""
        super().__init__("\n".join(self._lines(first, second)))

    def _lines(self, first: Played, second: Played) -> list[str]:
        name = first.definition.name
        lines = [f"flow {name!r} is not deterministic; two schedules end differently:"]
        lines += [f"  1: {first.schedule}", f"  2: {second.schedule}", "what differs (1 or 2):"]
        lines += [f"  - {one}" for one in self.differences[:LINES_MAX]]
        if len(self.differences) > LINES_MAX:
            lines.append(f"  - and {len(self.differences) - LINES_MAX} more")
        for number, played in enumerate((first, second), start=1):
            if played.stuck is not None:
                lines += [f"{number} is stuck: {played.stuck}"]
        here, there = orders(first, second)
        if here != there:
            lines.append("completed, from where they part:")
            lines += [f"  1: {_row(here)}", f"  2: {_row(there)}"]
        if self.cause is not None:
            lines.append(f"cause: {self.cause}")
        return lines


def _row(names: Sequence[str]) -> str:
    if not names:
        return "nothing more"
    more = ", ..." if len(names) > LINES_MAX else ""
    return ", ".join(names[:LINES_MAX]) + more
