"""What keeps a run, or one step of it, from going on: read from its folded history.

Each open activation, each join that has something and not everything, and each step that
was asked for and never ran is a *hold*. What only the working tables know (how full a queue
is) is added outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from runfold.flow.activation import Activation
from runfold.flow.definition import Source
from runfold.flow.graph import Node
from runfold.flow.run import Run
from runfold.flow.trace import Deed, Trace
from runfold.flow.work import Gate

Kind = Literal[
    "running", "queued", "paused", "delayed", "retrying", "suspended", "undecided", "draining",
    "join", "collect", "blocked", "skipped", "waiting",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hold:
    """One thing that something of a run waits for, or why it never was."""

    kind: Kind
    step: str
    text: str
    number: int | None = None
    """The activation; None of a step that has none."""
    queue: str | None = None
    worker: str | None = None
    until: datetime | None = None
    """When time alone ends it."""
    lane: str | None = None
    """Of a join: the emit within whose consequences it pairs; None: the whole run."""
    there: tuple[str, ...] = ()
    """Of a join: the parts that have arrived."""
    missing: tuple[str, ...] = ()
    """Of a join: the parts that have not."""
    by: tuple[str, ...] = ()
    """The steps whose failure, cancel or absence is the reason."""
    buckets: tuple[str, ...] = ()
    """Of what waits in a queue: the limits that must admit it, with the values of their keys."""
    key: str | None = None
    """Of what waits in a queue: the value of its limit's key."""
    limit: str | None = None
    """What holds it back there: one of ``buckets``, or the queue as a whole."""
    held_by: tuple[str, ...] = ()
    """The runs whose attempts take up that limit."""

    def __str__(self) -> str:
        number = f" #{self.number}" if self.number and self.number > 1 else ""
        return f"{self.step}{number}: {self.text}"


def holds(trace: Trace) -> Iterator[Hold]:
    """Yield everything that an unended run waits for."""
    run = trace.run
    for act in run.open.values():
        yield held(trace, act)
    for due in run.due.values():
        if run.gate < Gate.CLOSED:
            text = "is due, and no dispatcher has scheduled it yet; one must be running"
            yield Hold("undecided", due.node.name, text)
    yield from joins(trace, run.graph.nodes.values())


def held(trace: Trace, act: Activation) -> Hold:
    """Return what the open activation ``act`` waits for."""
    run, deed = trace.run, trace.of(act.step, act.number)
    assert deed is not None
    where: dict[str, Any] = {"number": act.number, "queue": deed.queue}
    if act.status == "running":
        last = deed.tries[-1]
        text = f"attempt {act.attempt} executes on {last.worker} since {_time(last.started_at)}"
        return Hold("running", act.step, text, worker=last.worker, **where)
    kind, text, until = _turn(run, act, deed)
    admission = act.node.admission
    if kind == "queued" and admission is not None:
        where["buckets"] = admission.buckets(run.id, act.keys)
        where["key"] = admission.key(run.id, act.keys)
    return Hold(kind, act.step, text, until=until, **where)


def _turn(run: Run, act: Activation, deed: Deed) -> tuple[Kind, str, datetime | None]:
    if act.answer is not None:
        text = f"attempt {act.attempt} ended ({act.answer}), and no dispatcher has decided yet"
        return "undecided", f"{text}; one must be running", None
    if run.gate == Gate.CLOSED and not act.compensates:
        return "draining", f"the run is {run.status}; it will be cancelled", None
    if act.status == "suspended":
        return "suspended", "waits inside its handler", None
    if act.waits and act.status == "retrying":
        due = deed.ready_at
        return "retrying", f"attempt {act.attempt} waits until {_time(due)}", due
    if act.waits:
        until = run.due_at
        return "delayed", f"waits for its time, {_time(until)}", until
    if run.gate == Gate.PAUSED:
        return "paused", "the run is paused; resume() lets it go on", None
    return "queued", f"waits in queue {deed.queue!r} since {_time(deed.ready_at)}", None


def joins(trace: Trace, nodes: Iterable[Node]) -> Iterator[Hold]:
    """Yield the joins and collects among ``nodes`` that have something and not everything."""
    run = trace.run
    for node in nodes:
        if node.kind == "all":
            yield from _join(trace, node)
        elif node.index in run.pressure and run.collected.get(node.index):
            leading = [act.step for act in run.open.values() if node.index in act.node.leads]
            leading += [due.node.name for due in run.due.values() if node.index in due.node.leads]
            steps = tuple(dict.fromkeys(leading))
            text = f"has gathered {len(run.collected[node.index])}, and waits for {_names(steps)}"
            yield Hold("collect", node.name, text, by=steps)


def _join(trace: Trace, node: Node) -> Iterator[Hold]:
    for (index, lane), bucket in trace.run.buckets.items():
        if index != node.index or not any(bucket.waiting):
            continue
        parts = list(zip(node.labels, bucket.waiting, strict=True))
        there = tuple(label for label, arrivals in parts if arrivals)
        missing = tuple(label for label, arrivals in parts if not arrivals)
        of = f" with {node.by} = {lane}" if node.by else f" in the lane of {lane}" if lane else ""
        because, by = _because(trace, node, set(missing))
        text = f"has {_names(there)} and lacks {_names(missing)}{of}: {because}"
        yield Hold("join", node.name, text, lane=lane or None, there=there, missing=missing, by=by)


def absent(trace: Trace, node: Node) -> Hold:
    """Return why ``node`` has never been activated."""
    text, by = _because(trace, node, None)
    ran_badly = any(_bad(trace, step) for step in by)
    kind: Kind = "blocked" if ran_badly else "waiting" if trace.end is None else "skipped"
    if kind == "blocked":
        return Hold(kind, node.name, f"never ran, {text}", by=by)
    verb = "has not run yet" if kind == "waiting" else "was skipped"
    return Hold(kind, node.name, f"{verb}: {text}", by=by)


def _bad(trace: Trace, step: str) -> bool:
    return any(
        act.step == step and act.status in {"failed", "cancelled"} for act in trace.run.steps
    )


def _because(
    trace: Trace, node: Node, labels: set[str] | None, seen: frozenset[str] = frozenset()
) -> tuple[str, tuple[str, ...]]:
    """Return why what ``node`` takes is missing, and the steps that it is about."""
    subscription = node.step.subscription
    if subscription is None:
        return "the run has not begun", ()
    parts = [part for part in subscription.parts if labels is None or part.label in labels]
    sources = [source for part in parts for source in part.sources]
    said: dict[str, tuple[str, ...]] = {}
    for source, giver in _giving(trace, sources):
        if giver.name not in seen:
            text, by = _given(trace, source, giver, seen | {node.name})
            if text:
                said[text] = by
    by = tuple(dict.fromkeys(step for steps in said.values() for step in steps))
    bad = [step for step in by if _bad(trace, step)]
    if bad:
        return "blocked by " + "; ".join(_failing(trace, step) for step in bad), tuple(bad)
    return "; ".join(said) or "everything that it takes has gone elsewhere", by


def _giving(trace: Trace, sources: Iterable[Source]) -> Iterator[tuple[Source, Node]]:
    """Yield each of ``sources`` with every step that can give it."""
    nodes = trace.run.graph.nodes
    for source in sources:
        if source.kind != "emit" and source.name in nodes:
            yield source, nodes[source.name]
        elif source.kind == "emit":
            yield from ((source, node) for node in nodes.values() if source.name in node.step.emits)


def _given(
    trace: Trace, source: Source, giver: Node, seen: frozenset[str]
) -> tuple[str, tuple[str, ...]]:
    """Return why ``giver`` has not given ``source``; empty when it has."""
    deeds = [deed for deed in trace.deeds.values() if deed.act.step == giver.name]
    if not deeds:
        if giver.name in {due.node.name for due in trace.run.due.values()}:
            return f"{giver.name} is due", (giver.name,)
        text, by = _because(trace, giver, None, seen)
        return f"{giver.name} never ran: {text}" if not by else text, by or (giver.name,)
    statuses = {deed.act.status for deed in deeds}
    if statuses & {"failed", "cancelled"} and source.kind != "failed":
        return _failing(trace, giver.name), (giver.name,)
    if any(deed.act.is_open for deed in deeds):
        return f"{giver.name} is still under way", (giver.name,)
    if source.kind == "failed":
        return ("" if "failed" in statuses else f"{giver.name} did not fail"), (giver.name,)
    if source.kind == "emit" and not any(
        emit["name"] == source.name for deed in deeds for emit in deed.emits
    ):
        return f"{giver.name} completed without emitting {source.name}", (giver.name,)
    return "", (giver.name,)


def _failing(trace: Trace, step: str) -> str:
    for act in trace.run.steps:
        if act.step == step and act.status in {"failed", "cancelled"}:
            error = act.error
            why = f" ({error.code}: {error.message})" if error and act.status == "failed" else ""
            verb = "failed for good" if act.status == "failed" else "was cancelled"
            return f"{step}, which {verb}{why}"
    return step


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _time(moment: datetime | None) -> str:
    return "an unknown time" if moment is None else moment.isoformat(timespec="milliseconds")
