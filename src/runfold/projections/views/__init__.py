"""The views that Runfold itself keeps: read models of runs, steps, waits, logs and rates.

They are projections like any other: thrown away and rebuilt from the log at any time. A row
names its run by the number of the run's stream, which is the position of its start, so the
order of these numbers is the order of starting; inputs, results and messages stay in the log.
"""

from typing import Any

from runfold.projections.projection import Projection
from runfold.projections.views.definitions import DEFINITIONS
from runfold.projections.views.logs import LOGS
from runfold.projections.views.rates import FLOW_RATES, QUEUE_RATES
from runfold.projections.views.runs import RUNS
from runfold.projections.views.steps import STEPS
from runfold.projections.views.waits import WAITS

BUILT_IN: tuple[Projection[Any], ...] = (
    RUNS, STEPS, WAITS, LOGS, FLOW_RATES, QUEUE_RATES, DEFINITIONS,
)  # fmt: skip
"""Every view that is kept without being asked for."""

__all__ = [
    "BUILT_IN",
    "DEFINITIONS",
    "FLOW_RATES",
    "LOGS",
    "QUEUE_RATES",
    "RUNS",
    "STEPS",
    "WAITS",
]
