"""The one end of a run: what it says, and what its result is made of.

An end expects the version that was folded: a request accepted in the meantime is seen first.
"""

from __future__ import annotations

from typing import Any

from runfold.flow.chain import in_causal_order
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import ErrorInfo, FlowCancelled, FlowCompleted, FlowFailed
from runfold.flow.graph import Node
from runfold.flow.state import Run
from runfold.flow.work import Decision, Ready
from runfold.kernel.event import Draft, Event, maker

_flow_completed = maker(FlowCompleted)


def completion(run: Run) -> Decision:
    """Return the end of a run in which nothing failed that mattered."""
    event = _flow_completed({
        "duration": duration(run),
        "result": result(run),
        "untaken": tuple(sorted(run.untaken)),
        "unfired": unfired(run),
        "chain": _root(run),
    })  # fmt: skip
    return _end(run, event)


def failing_end(run: Run) -> Decision:
    """Return the end of a run that failed, with its original error."""
    error = run.error
    if error is None:
        error = ErrorInfo(type="Error", code="EXECUTION_ERROR", message="the run failed")
    event = FlowFailed(
        duration=duration(run), error=error, failed_step=run.failed_step, chain=_root(run)
    )
    return _end(run, event)


def cancelled_end(run: Run) -> Decision:
    """Return the end of a run whose cancel was accepted."""
    return _end(run, FlowCancelled(reason=run.reason, duration=duration(run), chain=_root(run)))


def _root(run: Run) -> str | None:
    return None if run.chain is None else run.chain.root()


def _end(run: Run, event: Event) -> Decision:
    row = archive_row(run.definition, event.TOPIC)
    return Decision(
        drafts=[Draft(event, cause=run.version)],
        ready=[] if row is None else [row],
        expected_version=run.version,
    )


def archive_row(definition: FlowDefinition, end: str) -> Ready | None:
    """Return the timer of a run that has ended so: when it leaves for the archive, if ever."""
    keep = definition.keep if end == FlowCompleted.TOPIC else definition.keep_failed
    return None if keep is None else Ready(draft=0, kind="archive", delay=keep)


def duration(run: Run) -> float:
    """Return the milliseconds from when the run was due to its last event."""
    if run.began_at is None or run.updated_at is None:
        return 0.0
    return max(0.0, (run.updated_at - run.began_at).total_seconds() * 1000)


def result(run: Run) -> Any:
    """Return the run's result: of its step with ``returns``, else of its only leaf.

    A list in causal order where that ran more than once, None where it never ran; with
    several leaves a dict of those that ran, by name.
    """
    nodes = run.graph.results
    if len(nodes) == 1:
        return _result_of(run, nodes[0])
    return {node.name: _result_of(run, node) for node in nodes if node.name in run.results}


def _result_of(run: Run, node: Node) -> Any:
    results = run.results.get(node.name, [])
    if len(results) > 1:
        return in_causal_order(results)
    return results[0][1] if results else None


def unfired(run: Run) -> tuple[str, ...]:
    """Return the names of joins and collects that had something and never enough."""
    waiting = {index for index, count in run.unpaired.items() if count}
    waiting.update(index for index, arrivals in run.collected.items() if arrivals)
    if not waiting:
        return ()
    return tuple(node.name for node in run.graph.nodes.values() if node.index in waiting)
