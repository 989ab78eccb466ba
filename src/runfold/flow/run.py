"""A run: one execution of a flow, the fold of one stream of events.

    none --flow.start--> scheduled --timer.due--> running <---> awaiting
                              |                    |  ^
                              |          flow.paused  flow.resumed
                              |                    v  |
                              |                   paused
                              v
      running/paused --cancel_requested--> cancelling --drained--> cancelled
                     --step.failed, deadline, fault--> failing --drained--> failed
                     --quiet--> completed

and each of its activations:

    due --step.scheduled--> queued --step.started--> running --step.completed--> completed
                              ^                        |
                              |        step.errored / stalled / released
                              |                        v
                              +------step.retry---- retrying --step.failed--> failed
                                                       +----step.cancelled--> cancelled

``evolve`` only remembers, whatever comes; ``decide`` (``flow/decide.py``) says what is next
and is level-triggered: it reads nothing but this state.
"""

from __future__ import annotations

from collections.abc import Iterable

from runfold.flow.activation import Activation
from runfold.flow.definition import FlowDefinition
from runfold.flow.evolve import evolve
from runfold.flow.graph import graph_of
from runfold.flow.state import Entry, Progress, Run
from runfold.kernel.event import Recorded

__all__ = ["Activation", "Entry", "Progress", "Run", "evolve", "fold", "new"]


def new(definition: FlowDefinition) -> Run:
    """Return a run of ``definition`` of which nothing is known yet: version 0."""
    return Run(definition, graph_of(definition))


def fold(definition: FlowDefinition, events: Iterable[Recorded]) -> Run:
    """Return the state of a run after ``events`` of its stream, in order of version."""
    run = new(definition)
    for recorded in events:
        evolve(run, recorded)
    return run
