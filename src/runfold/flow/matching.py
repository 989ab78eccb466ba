"""Matching: what arrives goes to the steps that subscribe to it, and makes activations due.

Arrivals pair within lanes, collects wait for what can still lead to them. Nothing here
depends on the order in which unrelated events were recorded: where that would decide who is
paired with whom, the run gets a fault instead.
"""

from __future__ import annotations

from typing import Any

from runfold.flow import inputs
from runfold.flow.activation import NO_LANES, Activation, Arrival, Bucket, Due, Lanes
from runfold.flow.chain import END_ORDINAL, Link, in_causal_order, is_past
from runfold.flow.events import ErrorInfo
from runfold.flow.graph import Node, Outlet
from runfold.flow.limits import Parts
from runfold.flow.names import activation_name
from runfold.flow.paths import at, canonical
from runfold.flow.state import Run

WHOLE_RUN = ""
"""The lane of joins that pair within the run: there is one instance of the entry."""


def start(run: Run, version: int) -> None:
    """Make the entry due; ``version`` is that of the run's start."""
    run.pressure = {collect.index: 0 for collect in run.graph.collects}
    for collect in run.graph.collects:
        press(run, collect)
    entry = run.graph.entry
    if entry is not None:
        due = Due(entry, entry.name, inputs.one(version), version)
        if entry.admission is not None:
            due.keys = entry.admission.values(run.input)
        _add(run, due)


def link_of(act: Activation, ordinal: int) -> Link:
    """Return the place in the causal order of something that ``act`` gives."""
    return Link(act.past, act.node.index, ordinal)


def arrive(
    run: Run, outlet: Outlet, act: Activation, name: str, item: Any, ordinal: int = END_ORDINAL,
    value: Any = None,
) -> None:  # fmt: skip
    """Hand what ``act`` gave to every step that takes it, in order of steps.

    ``item`` is its place in a plan of inputs, ``value`` what ``by=`` and the keys of limits look
    into.
    """
    lanes = act.lanes
    if outlet.is_lane:
        lanes = {**lanes, outlet.id: name}
    arrival = Arrival(outlet, name, run.version, item, link_of(act, ordinal), lanes)
    if outlet.is_keyed:
        arrival.keys = _keys(outlet, value)
    for node, part in outlet.takers:
        if node.kind == "each":
            _activate(run, node, arrival)
        elif node.kind == "all":
            _join(run, node, part, arrival, value)
        elif node.index in run.pressure:
            run.collected.setdefault(node.index, []).append(arrival)


def _keys(outlet: Outlet, value: Any) -> dict[int, Parts]:
    """Return what ``value`` has of the keys of limits, by the index of the step that takes it."""
    keys: dict[int, Parts] = {}
    for node, part in outlet.takers:
        admission = node.admission
        if admission is None:
            continue
        if node.kind == "each":
            keys[node.index] = admission.values(value)
        elif node.kind == "all":
            keys[node.index] = admission.part(node.labels[part], value)
        else:
            keys[node.index] = admission.item(value)
    return keys


def _activate(run: Run, node: Node, arrival: Arrival) -> None:
    refs = (arrival.name,)
    plan = inputs.one(arrival.item, arrival.outlet.trigger)
    due = Due(node, activation_name(node.name, refs), plan, arrival.version)
    due.refs = refs
    due.trigger = arrival.outlet.trigger
    due.lanes = arrival.lanes
    due.past = arrival.link
    if node.admission is not None:
        due.keys = node.admission.joined([arrival.keys.get(node.index, ())])
    _add(run, due)


def _join(run: Run, node: Node, part: int, arrival: Arrival, value: Any) -> None:
    if node.by is not None:
        lane = canonical(at(value, node.by))
    elif node.lane is None:
        lane = WHOLE_RUN
    else:
        lane = arrival.lanes.get(node.lane, WHOLE_RUN)
    bucket = run.buckets.get((node.index, lane))
    if bucket is None:
        bucket = run.buckets[node.index, lane] = Bucket(len(node.labels))
    previous = bucket.last[part]
    bucket.last[part] = arrival
    if previous is not None and not is_past(previous.link, arrival.link):
        run.fault = run.fault or _ambiguous(node, lane, previous, arrival)
        return
    bucket.waiting[part].append(arrival)
    if all(bucket.waiting):
        run.unpaired[node.index] = run.unpaired.get(node.index, 0) - len(node.labels) + 1
        _activate_join(run, node, [waiting.pop(0) for waiting in bucket.waiting])
    else:
        run.unpaired[node.index] = run.unpaired.get(node.index, 0) + 1


def _activate_join(run: Run, node: Node, arrivals: list[Arrival]) -> None:
    refs = tuple(arrival.name for arrival in arrivals)
    items = {label: arrival.item for label, arrival in zip(node.labels, arrivals, strict=True)}
    due = Due(
        node,
        activation_name(node.name, refs),
        inputs.labelled(items),
        max(arrival.version for arrival in arrivals),
    )
    due.refs = refs
    due.lanes = NO_LANES if node.by is not None else _merged(arrivals)
    due.past = tuple(arrival.link for arrival in arrivals)
    if node.admission is not None:
        due.keys = node.admission.joined([arrival.keys.get(node.index, ()) for arrival in arrivals])
    _add(run, due)


def _merged(arrivals: list[Arrival]) -> Lanes:
    """Return the lanes that the arrivals share; where they differ there is none."""
    first = arrivals[0].lanes
    if all(arrival.lanes is first for arrival in arrivals):
        return first
    merged: Lanes = {}
    for key in {key for arrival in arrivals for key in arrival.lanes}:
        names = {arrival.lanes[key] for arrival in arrivals if key in arrival.lanes}
        if len(names) == 1:
            merged[key] = names.pop()
    return merged


def _ambiguous(node: Node, lane: str, one: Arrival, other: Arrival) -> ErrorInfo:
    first, second = sorted((one, other), key=lambda arrival: arrival.name)
    where = f"with by={node.by!r} equal to {lane}" if node.by is not None else (
        f"in the lane of {lane!r}" if lane else "in the lane of the entry"
    )  # fmt: skip
    cure = "collect() them" if node.by is not None else "pair them by value with by=, or collect()"
    return ErrorInfo(
        type="JoinAmbiguous",
        code="JOIN_AMBIGUOUS",
        message=(
            f"step {node.name!r} joins {first.outlet.trigger!r}, but {where} there are two of "
            f"which neither caused the other: {first.name} and {second.name}; {cure}"
        ),
        retryable=False,
        details={"step": node.name, "emits": [first.name, second.name]},
    )


def _add(run: Run, due: Due) -> None:
    run.due[due.name] = due
    if due.node.leads:
        press(run, due.node)


def press(run: Run, node: Node) -> None:
    """Remember that an activation of ``node`` is due or open: collects behind it wait."""
    for index in node.leads:
        if index in run.pressure:
            run.pressure[index] += 1


def release(run: Run, node: Node) -> None:
    """Remember that an activation of ``node`` is over: collects may wait for nothing more."""
    stack = list(node.leads)
    while stack:
        index = stack.pop()
        if index not in run.pressure:
            continue
        run.pressure[index] -= 1
        if run.pressure[index] == 0:
            stack.extend(_resolve(run, index))


def _resolve(run: Run, index: int) -> tuple[int, ...]:
    """Make a collect due, or skip it; return the collects that wait for it no more."""
    node = next(collect for collect in run.graph.collects if collect.index == index)
    assert node.step.subscription is not None
    del run.pressure[index]
    arrivals = run.collected.get(index, [])
    if len(arrivals) < node.step.subscription.at_least:
        return node.leads
    run.collected.pop(index, None)
    ordered = in_causal_order([(arrival.link, arrival) for arrival in arrivals])
    refs = tuple(arrival.name for arrival in ordered)
    cause = max((arrival.version for arrival in ordered), default=run.version)
    plan = inputs.gathered([arrival.item for arrival in ordered])
    due = Due(node, activation_name(node.name, refs) if refs else f"{node.name}~", plan, cause)
    due.refs = refs
    due.past = tuple(arrival.link for arrival in ordered)
    if node.admission is not None:
        due.keys = node.admission.collected([one.keys.get(node.index, ()) for one in ordered])
    # The collect itself was counted by those behind it: its activation takes that over.
    run.due[due.name] = due
    return ()
