"""Why a run, or a step of it, is where it is: the causes that led there, and what it waits for.

The chain leads from the entry to what was asked about, each link the activation that gave
the last thing its successor was waiting for. Of an ended run that is the critical path: the
activations in which the time was spent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from runfold.errors import InvalidInput
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowCancelled, FlowFailed
from runfold.flow.holding import Hold, absent, held, holds, joins
from runfold.flow.trace import Deed, Trace
from runfold.kernel.event import Recorded

CHAIN_MAX = 1000
"""How many links of a chain are listed, those nearest to what was asked about."""
SHOWN_MAX = 30
"""How many of them ``str()`` shows."""


@dataclass(frozen=True, slots=True)
class Link:
    """One activation in a causal chain; spans are seconds."""

    step: str
    number: int
    name: str
    status: str
    attempt: int
    trigger: str | None
    """The emit that caused it, None of the entry and of joins."""
    version: int
    """Of its ``step.scheduled``."""
    position: int
    scheduled_at: datetime
    ended_at: datetime | None
    worker: str | None
    """Of its last attempt."""
    deciding: float
    """From its cause to its scheduling."""
    queued: float
    """In its queue, over all attempts."""
    executing: float
    """In attempts."""
    waited: float
    """For a time: its start's, a retry's."""

    def __str__(self) -> str:
        number = f" #{self.number}" if self.number > 1 else ""
        on = f" on {self.trigger}" if self.trigger else ""
        tries = f", attempt {self.attempt}" if self.attempt > 1 else ""
        parts = [f"queued {self.queued:.3f} s", f"executed {self.executing:.3f} s"]
        if self.waited:
            parts.append(f"waited {self.waited:.3f} s")
        where = f"version {self.version}, position {self.position}"
        return f"{self.step}{number}{on}: {self.status}{tries}; {', '.join(parts)} ({where})"


@dataclass(frozen=True, slots=True)
class Why:
    """The answer of ``run.why``; as text, a line for each link and hold."""

    run_id: str
    status: str
    step: str | None
    """What was asked about; None: the run."""
    summary: str
    chain: tuple[Link, ...]
    """From the entry to what was asked about; at most 1,000 links."""
    earlier: int
    """How many links stand before those."""
    holds: tuple[Hold, ...]
    """What it waits for, or why it never ran."""
    total: float
    """Seconds from when the run was due until its end, or until now."""
    deadline: datetime | None = None
    """When the run, as long as it goes on, is failed."""

    @property
    def queued(self) -> float:
        """Seconds that the links of the chain spent in queues."""
        return sum(link.queued for link in self.chain)

    @property
    def executing(self) -> float:
        """Seconds that the links of the chain spent in attempts."""
        return sum(link.executing for link in self.chain)

    def __str__(self) -> str:
        lines = [self.summary]
        shown = self.chain[-SHOWN_MAX:]
        earlier = self.earlier + len(self.chain) - len(shown)
        if earlier:
            lines.append(f"  ... {earlier} before")
        lines += [f"  {link}" for link in shown]
        lines += [f"  {hold}" for hold in self.holds]
        if self.deadline is not None:
            lines.append(f"  deadline: {self.deadline.isoformat(timespec='milliseconds')}")
        return "\n".join(lines)


def why(
    definition: FlowDefinition,
    history: Iterable[Recorded],
    step: str | None,
    *,
    now: datetime,
) -> Why:
    """Return why the run, or ``step`` of it, is where it is at ``now``.

    ``step`` is the latest activation of a step, or, as ``name#k``, its k-th. Raises
    ``InvalidInput`` for a step that the flow does not have, or an activation there was not.
    """
    trace = Trace(definition, history)
    return _of_run(trace, now) if step is None else _of_step(trace, step, now)


def _of_run(trace: Trace, now: datetime) -> Why:
    run, end = trace.run, trace.end
    last = _last(trace)
    if end is None:
        found = list(holds(trace))
        waits = f"; {len(found)} waiting" if found else ""
        return _answer(trace, None, f"run {run.id} is {trace.status}{waits}", None, found, now)
    nodes = run.graph.nodes.values()
    ran = {act.step for act in run.steps}
    found = [absent(trace, node) for node in nodes if node.name not in ran]
    found += [hold for hold in joins(trace, nodes) if hold.step in ran]
    event, because = end.event, ""
    if isinstance(event, FlowFailed):
        where = f" in {event.failed_step}" if event.failed_step else ""
        because = f"{where}: {event.error.code}: {event.error.message}"
    elif isinstance(event, FlowCancelled):
        because = f": {event.reason}" if event.reason else ""
    return _answer(trace, None, f"run {run.id} {trace.status}{because}", last, found, now)


def _of_step(trace: Trace, asked: str, now: datetime) -> Why:
    step, number = _asked(trace, asked)
    numbers = [act.number for act in trace.run.steps if act.step == step]
    if number is not None and number not in numbers:
        raise _unknown(f"step {step!r} has had {len(numbers)} activations, not number {number}")
    deed = trace.of(step, number or max(numbers, default=0))
    node, _ = trace.run.graph.base(step)
    assert node is not None
    if deed is None:
        hold = absent(trace, node)
        found = [hold, *joins(trace, [node])] if trace.end is None else [hold]
        return _answer(trace, asked, f"{step} {hold.text}", None, found, now)
    found = [held(trace, deed.act)] if deed.act.is_open and trace.end is None else []
    if trace.end is None and number is None:
        found += joins(trace, [node])
    error = deed.act.error if deed.act.status == "failed" else None
    because = f": {error.code}: {error.message}" if error else ""
    return _answer(trace, asked, f"{asked} {deed.act.status}{because}", deed, found, now)


def _asked(trace: Trace, asked: str) -> tuple[str, int | None]:
    graph = trace.run.graph
    if graph.base(asked)[0] is not None:
        return asked, None
    step, _, number = asked.rpartition("#")
    if graph.base(step)[0] is not None and number.isascii() and number.isdecimal():
        return step, int(number)
    raise _unknown(f"{asked!r} is no step of flow {trace.run.flow!r}; it has {[*graph.nodes]!r}")


def _unknown(message: str) -> InvalidInput:
    return InvalidInput(message, details=[{"loc": "step", "msg": message}])


def _last(trace: Trace) -> Deed | None:
    """Return the activation that ended the run: the one that failed it, else the last to end."""
    over = [deed for deed in trace.deeds.values() if deed.act.ended_version]
    failed_step = trace.run.failed_step
    failed = [d for d in over if d.act.step == failed_step and d.act.status == "failed"]
    return max(failed or over, key=lambda deed: deed.act.ended_version, default=None)


def _answer(
    trace: Trace,
    step: str | None,
    summary: str,
    deed: Deed | None,
    found: list[Hold],
    now: datetime,
) -> Why:
    until = now if trace.end is None else trace.end.ts
    began = trace.run.began_at or until
    chain, earlier = _chain(trace, deed, until)
    total = max(0.0, (until - began).total_seconds())
    said = f"{summary} (after {total:.3f} s)" if step is None else summary
    return Why(trace.run.id, trace.status, step, said, chain, earlier, tuple(found), total)


def _chain(trace: Trace, deed: Deed | None, until: datetime) -> tuple[tuple[Link, ...], int]:
    """Return the causes of ``deed`` and itself, from the entry, and how many are left out."""
    deeds: list[Deed] = []
    while deed is not None:
        deeds.append(deed)
        deed = trace.made(deed.cause)
    links = [_link(trace, one, until) for one in reversed(deeds[:CHAIN_MAX])]
    return tuple(links), max(0, len(deeds) - CHAIN_MAX)


def _link(trace: Trace, deed: Deed, until: datetime) -> Link:
    act = deed.act
    queued, executing, waited = deed.spent(until)
    return Link(
        step=act.step,
        number=act.number,
        name=act.name,
        status=act.status,
        attempt=act.attempt,
        trigger=deed.trigger,
        version=deed.version,
        position=deed.position,
        scheduled_at=deed.scheduled_at,
        ended_at=act.ended_at,
        worker=deed.tries[-1].worker if deed.tries else None,
        deciding=(deed.scheduled_at - trace.times[deed.cause]).total_seconds(),
        queued=queued,
        executing=executing,
        waited=waited,
    )
