"""Hypothesis strategies: flows as data, what their handlers do, their inputs and histories.

A generated definition is always valid and its runs always end: what loops does so by a depth
that payloads carry. A script is a pure function of the activation's name, so it does the same
in every interleaving. What is drawn shrinks to small flows with little in them.
"""

from __future__ import annotations

import zlib
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from runfold.define.target import Target
from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition, RetryPolicy, Source, Subscription
from runfold.flow.graph import validate
from runfold.kernel.event import Recorded
from runfold.testing.building import after, collect, each, failed, flow, join, on, step
from runfold.testing.driver import BROKEN, NOON, OOPS, Outcome, Script, Work, play
from runfold.testing.schemas import json_values, values_of
from runfold.testing.simulation.faults import KINDS as FAULT_KINDS
from runfold.testing.simulation.faults import Faults

DEPTH_MAX = 3
ACTIVATIONS_MAX = 60
QUICK = RetryPolicy(base=0)


@st.composite
def _subscriptions(draw: st.DrawFn, sources: list[Source]) -> Subscription:
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
    """Draw a valid flow: any graph in which every step can be reached, loops too.

    ``steps_max``: how many steps it has beside its entry, at most. ``failures``: the failure
    policies that it may have.
    """
    count = draw(st.integers(1, steps_max))
    steps = [step("s0", emits="e0 e1", retry=QUICK)]
    sources = [on("e0"), on("e1"), after("s0")]
    for index in range(1, count + 1):
        name = f"s{index}"
        emits = draw(st.sampled_from(["", f"e{index + 1}", f"e{index + 1} e0", "e1"]))
        added = step(
            name,
            draw(_subscriptions(sources)),
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
    """Return handlers of all steps, whose doings depend on ``seed`` and the activation's name.

    Each emits what its step declares, not, once or twice, with payloads that have a ``depth``,
    a ``key`` and a ``copy``. ``failing``: some raise at their first attempt, a few for good.
    """

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


def inputs(target: Any) -> st.SearchStrategy[Any]:
    """Draw inputs that a start of ``target`` accepts.

    ``target``: a flow or a job, whose ``input=`` or entry is annotated, or such an annotation
    itself: a pydantic model, a dataclass, a TypedDict, any type that a handler can take. Raises
    ``InvalidDefinition`` for what cannot be stored, or has no JSON Schema.
    """
    return values_of(target.compile().input.annotation if isinstance(target, Target) else target)


@st.composite
def scripts(draw: st.DrawFn, definition: FlowDefinition, *, failing: bool | None = None) -> Script:
    """Draw what the handlers of ``definition`` do; ``failing``: see ``script``; None: either."""
    may_fail = draw(st.booleans()) if failing is None else failing
    return script(definition, draw(st.integers(0, 2**32 - 1)), failing=may_fail)


@st.composite
def histories(draw: st.DrawFn, definition: FlowDefinition | None = None) -> list[Recorded]:
    """Draw the history of one run that could have happened: whole, or up to one of its commits.

    ``definition``: what it follows; None draws a small one. Attempts fail, stall and are
    given back, and callers pause, resume and cancel.
    """
    followed = draw(definitions(steps_max=3)) if definition is None else definition
    player = play(
        followed,
        draw(scripts(followed)),
        draw(st.integers(0, 2**32 - 1)),
        chaos=draw(st.sampled_from([0.0, 0.2])),
        meddling=draw(st.sampled_from([0.0, 0.02])),
    )
    end = player.commits[-1] if draw(st.booleans()) else draw(st.sampled_from(player.commits))
    return player.history[:end]


def faults(*, most: float = 0.05) -> st.SearchStrategy[Faults]:
    """Draw plans of what goes wrong in a simulation: some kinds of fault, few of them or none.

    ``most``: how likely a fault is at each of its opportunities, at most; above 0, up to 1.
    """
    if not 0 < most <= 1:
        raise ValueError(f"most is {most!r}, expected a probability above 0, up to 1")
    chances: st.SearchStrategy[Any] = st.floats(0, most, exclude_min=True)
    some = st.fixed_dictionaries({}, optional=dict.fromkeys(FAULT_KINDS, chances))
    return some.map(lambda drawn: Faults(**drawn))


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        own: int = value.get("depth", 0)
        return max([own, *(_depth(inner) for inner in value.values())])
    if isinstance(value, list):
        return max(map(_depth, value), default=0)
    return 0


_NAMES = st.sampled_from(["s0", "s1", "s2", "s1.compensate", "s9", "", "e0", "e1"])
_ERRORS = st.sampled_from([OOPS, BROKEN])
_SPANS = st.none() | st.floats(allow_nan=False)
_QUEUE = st.just("q")

_EVENTS = st.one_of(
    st.builds(
        ev.FlowStart, run_id=_NAMES, flow=_NAMES, definition=_NAMES, input=json_values(),
        delay=_SPANS, retry=st.none() | st.dictionaries(st.text(), json_values()),
    ),
    st.builds(
        ev.FlowInputReplaced, input=json_values(), delay=_SPANS, requeued=st.booleans(),
        due_at=st.none() | st.just(NOON),
    ),
    st.builds(ev.FlowCompleted, duration=st.just(1.0), result=json_values()),
    st.builds(ev.FlowFailed, duration=st.just(1.0), error=_ERRORS),
    st.builds(ev.FlowCancelled),
    st.builds(ev.FlowCancelRequested),
    st.builds(ev.FlowDraining, error=st.none() | _ERRORS),
    st.builds(ev.FlowPaused),
    st.builds(ev.FlowResumed),
    st.builds(ev.StepScheduled, queue=_QUEUE, name=_NAMES),
    st.builds(ev.StepStarted, queue=_QUEUE, worker=_NAMES),
    st.builds(ev.StepCompleted, queue=_QUEUE, duration=st.just(1.0), result=json_values()),
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
    st.builds(ev.Emit, name=_NAMES, payload=json_values()),
    st.builds(
        ev.State, operation=st.sampled_from(["set", "delete", "add", "append"]), key=_NAMES,
        value=json_values(), ttl=_SPANS,
    ),
    st.builds(ev.TimerDue, kind=st.sampled_from(["start", "retry", "deadline", "grace"])),
)  # fmt: skip


@st.composite
def broken_histories(draw: st.DrawFn, *, size_max: int = 30) -> list[Recorded]:
    """Draw a history that could not have happened: any events about anything in any order.

    Most are after a start. What folds and decides must take it without raising.
    """
    drawn = draw(st.lists(_EVENTS, max_size=size_max))
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
