"""Flows, scripts and histories for properties.

A generated definition is always valid and its runs always end: what loops does so by a depth
that payloads carry. A script is a pure function of the activation's name, so it does the same
in every interleaving.
"""

from __future__ import annotations

import zlib
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from flow.building import after, collect, each, failed, flow, join, on, step
from flow.driver import BROKEN, NOON, OOPS, Outcome, Script, Work
from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition, RetryPolicy, Source, Subscription
from runfold.flow.graph import validate
from runfold.kernel.event import Recorded

DEPTH_MAX = 3
ACTIVATIONS_MAX = 60
QUICK = RetryPolicy(base=0)


@st.composite
def subscriptions(draw: st.DrawFn, sources: list[Source]) -> Subscription:
    """A subscription to some of ``sources``."""
    kind = draw(st.sampled_from(["each", "each", "each", "join", "join", "by", "collect"]))
    picked = draw(st.lists(st.sampled_from(sources), min_size=1, max_size=3, unique=True))
    if kind in {"join", "by"} and len(picked) > 1:
        by = "key" if kind == "by" and all(one.kind == "emit" for one in picked) else None
        return join(by=by, **{f"p{index}": source for index, source in enumerate(picked)})
    if kind == "collect":
        return collect(*picked, at_least=draw(st.integers(0, 2)))
    return each(*picked)


@st.composite
def definitions(
    draw: st.DrawFn, *, steps_max: int = 6, failures: tuple[str, ...] = ("stop", "finish", "ignore")
) -> FlowDefinition:
    """A valid flow: any graph in which every step can be reached, loops too."""
    count = draw(st.integers(1, steps_max))
    steps = [step("s0", emits="e0 e1", retry=QUICK)]
    sources = [on("e0"), on("e1"), after("s0")]
    for index in range(1, count + 1):
        name = f"s{index}"
        emits = draw(st.sampled_from(["", f"e{index + 1}", f"e{index + 1} e0", "e1"]))
        added = step(
            name,
            draw(subscriptions(sources)),
            emits=emits,
            retry=QUICK,
            compensated=draw(st.booleans()) and draw(st.booleans()),
        )
        if validate(flow(*steps, added)):
            continue
        steps.append(added)
        fresh = [*(on(event) for event in emits.split()), after(name), failed(name)]
        sources.extend(source for source in fresh if source not in sources)
    return flow(*steps, failure=draw(st.sampled_from(failures)), activations_max=ACTIVATIONS_MAX)


def script(definition: FlowDefinition, seed: int, *, failing: bool = True) -> Script:
    """A handler for every step whose doings depend on ``seed`` and the activation's name."""

    def run(work: Work) -> Outcome:
        def chance(what: str, one_in: int) -> bool:
            return zlib.crc32(f"{seed}/{work.name}/{what}".encode()) % one_in == 0

        if failing and chance("broken", 12):
            return Outcome(error=BROKEN)
        if failing and work.attempt == 1 and chance("flaky", 4):
            return Outcome(error=OOPS)
        depth = _depth(work.input) + 1
        emits: list[tuple[str, Any]] = []
        base = definition.by_name.get(work.step)
        for event in base.emits if base is not None and depth <= DEPTH_MAX else ():
            copies = 2 if chance(f"{event} twice", 5) else 0 if chance(f"{event} not", 5) else 1
            key = zlib.crc32(f"{seed}/{work.name}/{event}".encode()) % 4
            emits += [(event, {"depth": depth, "key": key, "copy": n}) for n in range(copies)]
        states = [ev.State(operation="add", key=work.step, value=1)]
        return Outcome(emits=emits, result={"depth": depth, "of": work.name}, states=states)

    return run


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        own = value.get("depth", 0)
        return max([own, *(_depth(inner) for inner in value.values())])
    if isinstance(value, list):
        return max(map(_depth, value), default=0)
    return 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
_NAMES = st.sampled_from(["s0", "s1", "s2", "s1.compensate", "s9", "", "e0", "e1"])
_ERRORS = st.sampled_from([OOPS, BROKEN])
_SPANS = st.none() | st.floats(allow_nan=False)
_QUEUE = st.just("q")

EVENTS = st.one_of(
    st.builds(
        ev.FlowStart, run_id=_NAMES, flow=_NAMES, definition=_NAMES, input=_JSON,
        delay=_SPANS, retry=st.none() | st.dictionaries(st.text(), _JSON),
    ),
    st.builds(ev.FlowCompleted, duration=st.just(1.0), result=_JSON),
    st.builds(ev.FlowFailed, duration=st.just(1.0), error=_ERRORS),
    st.builds(ev.FlowCancelled),
    st.builds(ev.FlowCancelRequested),
    st.builds(ev.FlowDraining, error=st.none() | _ERRORS),
    st.builds(ev.FlowPaused),
    st.builds(ev.FlowResumed),
    st.builds(ev.StepScheduled, queue=_QUEUE, name=_NAMES),
    st.builds(ev.StepStarted, queue=_QUEUE, worker=_NAMES),
    st.builds(ev.StepCompleted, queue=_QUEUE, duration=st.just(1.0), result=_JSON),
    st.builds(
        ev.StepErrored, queue=_QUEUE, error=_ERRORS, charged=st.booleans(), retry_after=_SPANS,
        retry_at=st.none() | st.just(NOON),
    ),
    st.builds(ev.StepStalled, queue=_QUEUE),
    st.builds(ev.StepReleased, queue=_QUEUE),
    st.builds(
        ev.StepRetry, queue=_QUEUE, next_attempt=st.integers(1, 3), delay=st.just(0.0),
        reason=st.just("errored"),
    ),
    st.builds(ev.StepFailed, queue=_QUEUE, error=_ERRORS, attempts=st.just(1)),
    st.builds(ev.StepCancelled, queue=_QUEUE),
    st.builds(ev.StepProgress, queue=_QUEUE, percent=st.just(1.0)),
    st.builds(ev.Log, level=_NAMES, message=_NAMES),
    st.builds(ev.Emit, name=_NAMES, payload=_JSON),
    st.builds(
        ev.State, operation=st.sampled_from(["set", "delete", "add", "append"]), key=_NAMES,
        value=_JSON, ttl=_SPANS,
    ),
    st.builds(ev.TimerDue, kind=st.sampled_from(["start", "retry", "deadline", "grace"])),
)  # fmt: skip


@st.composite
def histories(draw: st.DrawFn, *, size_max: int = 30) -> list[Recorded]:
    """Any events about anything in any order, most after a start."""
    drawn = draw(st.lists(EVENTS, max_size=size_max))
    if draw(st.integers(0, 4)):
        drawn.insert(0, ev.FlowStart(run_id="r", flow="flow", definition="h"))
    return [
        Recorded(
            version, 1, version, NOON + timedelta(seconds=version), event,
            draw(st.none() | _NAMES), draw(st.sampled_from([None, 1, 1, 1, 2])),
            draw(st.sampled_from([None, 1, 1, 1, 2])),
        )
        for version, event in enumerate(drawn, start=1)
    ]  # fmt: skip
