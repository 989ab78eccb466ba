"""One way in which things may happen: a seed, how many processes, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runfold.define.flow import Flow
from runfold.flow.definition import FlowDefinition
from runfold.kernel.event import Recorded
from runfold.settings import Settings
from runfold.testing.determinism.effects import Effect, noting
from runfold.testing.determinism.outcome import Outcome, outcome
from runfold.testing.simulation.faults import Fault, Faults
from runfold.testing.simulation.goal import Stuck
from runfold.testing.simulation.simulation import Simulation
from runfold.testing.simulation.stubs import Stub

ENDED = ("completed", "failed", "cancelled")
RUN_SEED = 1
"""What the id of the run follows from, in every schedule and of every test."""
PATIENCE_DAYS = 400
"""How long a run may wait for what it or its caller asked for, in virtual days."""


@dataclass(frozen=True)
class Schedule:
    """What a simulation follows from."""

    seed: int
    processes: int = 1
    faults: Faults | tuple[Fault, ...] = ()

    def __str__(self) -> str:
        many = "one process" if self.processes == 1 else f"{self.processes} processes"
        told = f"seed {self.seed}, {many}"
        if isinstance(self.faults, Faults):
            return f"{told}, a plan of faults"
        if not self.faults:
            return f"{told}, nothing goes wrong"
        return f"{told}, with " + ", ".join(_told(fault) for fault in self.faults)


@dataclass(frozen=True)
class Played:
    """A schedule, and what came of it."""

    schedule: Schedule
    outcome: Outcome
    history: tuple[Recorded, ...]
    definition: FlowDefinition
    effects: tuple[Effect, ...]
    stuck: Stuck | None = None
    """Why the run did not end."""


class _OneRun(Simulation):
    """A simulation whose run has the same id under every schedule: a flow may go by its id."""

    def _ids_seed(self) -> int:
        return RUN_SEED


@dataclass(frozen=True, kw_only=True)
class Play:
    """What is played under every schedule."""

    target: Any
    input: Any
    options: dict[str, Any]
    with_: tuple[Any, ...] = ()
    stubs: Sequence[Stub] = ()
    make_deps: Callable[[], Any]
    settings: Settings | None = None
    tables: Callable[[Any], object] | None = None
    rows: Callable[[Any], Any] | None = None

    def __call__(self, schedule: Schedule) -> Played:
        """Play it; the schedule of what is returned names the faults that happened."""
        flows = (self.target, *self.with_) if isinstance(self.target, Flow) else self.with_
        with noting() as effects, _OneRun(
            *flows, seed=schedule.seed, deps=self.make_deps(),
            stubs=self.stubs, faults=schedule.faults, settings=self.settings,
            processes=schedule.processes, tables=self.tables,
        ) as sim:  # fmt: skip
            run = sim.start(self.target, self.input, **self.options)
            try:
                sim.run_until_idle()
                if run.status not in ENDED:
                    sim.advance(days=PATIENCE_DAYS)
                stuck = None if run.status in ENDED else Stuck(
                    f"the run has not ended within {PATIENCE_DAYS} simulated days; it is "
                    f"{run.status!r}"
                )  # fmt: skip
            except Stuck as error:
                stuck = error
            happened = replace(schedule, faults=tuple(sim.faults))
            history, definition = tuple(run.history), run.definition
            found = None
            if self.rows is not None:
                with sim.connect() as connection:
                    found = self.rows(connection)
        seen = tuple(effects)
        if stuck is not None:
            # Where it stands still is a matter of timing, as of a run that failed.
            return Played(happened, Outcome("stuck"), history, definition, seen, stuck)
        return Played(
            happened, outcome(history, definition, seen, found), history, definition, seen
        )


def _told(fault: Fault) -> str:
    where = f" of {fault.process}" if fault.process else ""
    return f"{fault.kind}{where} at {fault.at:.3f} s"
