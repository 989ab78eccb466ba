"""What is said of a definition that cannot work, word for word, and what is just allowed."""

from __future__ import annotations

import math

import pytest

from runfold.flow.definition import FlowDefinition, LimitDefinition, Part, RetryPolicy, Subscription
from runfold.flow.graph import validate
from runfold.testing.building import after, collect, each, failed, flow, join, on, step

START = step("start", emits="x y")


def twice(label: str) -> Subscription:
    parts = tuple(Part(label=label, sources=(on(name),)) for name in "xy")
    return Subscription(kind="all", parts=parts)


def limited(key: str, **more: object) -> FlowDefinition:
    limit = LimitDefinition(kind="concurrency", max=1, key=key)
    taken = more.pop("taken", "x")
    return flow(START, step("a", taken, limits=(limit,), **more))


@pytest.mark.parametrize(
    ("definition", "fault"),
    [
        (flow(name="f"), "flow 'f' has no entry; declare one step with @flow.entry"),
        (flow(step("a"), step("b")),
         ("flow 'flow' has 2 entries: 'a', 'b'; keep one and let the others subscribe to what it "
         "emits")),
        (flow(step("a", returns=True, emits="x"), step("b", "x", returns=True)),
         "steps 'a', 'b' all have returns=True; a run has one result, keep it on one of them"),
        (flow(step("a"), name=""),
         "flow name '' is empty or has control characters; give it another"),
        (flow(step("a"), deadline=0.0),
         "flow 'flow' has deadline=0.0; it must be above 0 seconds"),
        (flow(step("a"), keep=-1.0), "flow 'flow' has keep=-1.0; it must be 0 seconds or more"),
        (flow(step("a"), keep_failed=-1.0),
         "flow 'flow' has keep_failed=-1.0; it must be 0 seconds or more"),
        (flow(step("a"), state_cleanup=-0.5),
         "flow 'flow' has state_cleanup=-0.5; it must be 0 or more"),
        (flow(step("a"), activations_max=0),
         "flow 'flow' has activations_max=0; allow at least 1"),
        (flow(START, step("a", "x"), step("a", "y")),
         "2 steps are called 'a'; give each a name of its own"),
        (flow(step("a#2")),
         ("step name 'a#2' is empty or has '__', '#' or control characters, which the ids of its "
         "attempts could not hold; rename it")),
        (flow(step("a.compensate")),
         "step name 'a.compensate' is that of a compensation; rename the step"),
        (flow(START, step("a", "x", formerly=("old",)), step("b", "x", formerly=("old",))),
         "'old' is a former name of one step and names another; take it out"),
        (flow(step("a").model_copy(update={"emits": (" ",)})),
         "step 'a' emits ' '; an event needs a name without control characters"),
        (flow(step("a", queue="\n")),
         "step 'a' has queue '\\n'; a queue needs a name without control characters"),
        (flow(step("a", priority=0)),
         "step 'a' has priority 0; it must be from 1 to 10, 10 first"),
        (flow(step("a", timeout=0.0)),
         "step 'a' has timeout=0.0; it must be above 0 seconds, or None"),
        (flow(step("a", retry=0)),
         "step 'a' has max_attempts=0; the first execution counts, allow 1"),
        (flow(step("a", retry=RetryPolicy(cap=math.inf))),
         "step 'a' has retry cap=inf; it must be 0 seconds or more"),
        (flow(step("a", retry=RetryPolicy(factor=math.inf))),
         "step 'a' has retry factor=inf; it must be above 0, 1 to wait evenly"),
        (flow(step("a", retry=RetryPolicy(jitter=1.5))),
         "step 'a' has retry jitter=1.5; it is a share, from 0 to 1"),
        (flow(START, step("a", join("x"))),
         "step 'a' joins 1 part with all_of; name two or more, or subscribe to it alone"),
        (flow(START, step("a", Subscription(kind="each", parts=()))),
         "step 'a' subscribes with 0 parts; join several with any_of or all_of"),
        (flow(START, step("a", twice("both"))),
         "step 'a' has 2 parts called 'both'; give each a keyword of its own"),
        (flow(START, step("a", each())),
         "step 'a' has a part '' that nothing fills; name an event for it"),
        (flow(START, step("a", join("x", other="x"))),
         "step 'a' joins 'x' with itself; take it out of one part"),
        (flow(START, step("a", join("x", "y", by="id.."))),
         "step 'a' has by='id..'; it is a dotted path and goes with all_of"),
        (flow(START, step("b", "x"), step("a", join("x", b=failed("b"), by="id"))),
         "step 'a' pairs a failure by='id'; failures have no payload, use collect"),
        (flow(START, step("a", collect("x", at_least=-1))),
         "step 'a' collects with at_least=-1; it must be 0 or more"),
        (flow(START, step("a", "z")),
         ("step 'a' subscribes to 'z', an unknown event; declare it in the emits= of the step that "
         "emits it")),
        (flow(START, step("b", "x"), step("a", after("c"))),
         "step 'a' subscribes to after('c'), an unknown step; the steps are 'a', 'b', 'start'"),
        (flow(START, step("a", failed("a"))),
         ("step 'a' subscribes to its own end, failed('a'); emit an event to loop, use retry= to "
         "try again")),
        (flow(START, step("a", each("p", "q"), emits="p q")),
         ("step 'a' is unreachable: nothing that can run leads to 'p', 'q'; emit that from a step "
         "that runs, or take the step out")),
        (flow(START, step("a", collect("x"), emits="q"), step("b", "q", emits="x")),
         ("step 'a' collects 'x', which it can lead to itself: it would wait for its own end; "
         "collect another event, or break the loop")),
        (flow(step("a", limits=(LimitDefinition(kind="rate", max=0, per=1.0),))),
         "step 'a' has a limit of 0; admit at least 1"),
        (flow(step("a", limits=(LimitDefinition(kind="rate", max=1, per=math.inf),))),
         "step 'a' has a rate per inf seconds; it must be above 0"),
        (limited("@who"),
         ("step 'a' has a limit with key='@who'; it is '@run', '@flow' or a dotted path into the "
         "input, without '=' and '#'")),
        (flow(step("a", queue="q", queue_keys=("a.",))),
         ("queue 'q' of step 'a' has a limit with key='a.'; it is '@run', '@flow' or a dotted path "
         "into the input, without '=' and '#'")),
        (limited("id", taken=collect("x")),
         ("step 'a' has a limit with key='id', but takes a list; begin the path with a place in "
         "it, such as '0.'")),
        (limited("id", taken=join("x", "y")),
         ("step 'a' has a limit with key='id', but takes a dict with 'x', 'y'; begin the path with "
         "one of these")),
        (limited("input.id", taken=failed("start")),
         ("step 'a' has a limit with key='input.id', but subscribes to a failure, whose input is "
         "not known when the job is made; take the key from 'step' or 'error', or use '@run'")),
    ],
)  # fmt: skip
def test_a_fault_says_what_is_wrong_and_what_to_do(definition: FlowDefinition, fault: str) -> None:
    assert validate(definition) == [fault]


@pytest.mark.parametrize(
    "definition",
    [
        flow(step("a", returns=True)),
        flow(step("a"), deadline=0.001), flow(step("a"), keep=0.0, keep_failed=0.0),
        flow(step("a"), state_cleanup=0.0), flow(step("a"), activations_max=1),
        flow(step("a", formerly=("b", "c"))),
        flow(step("a", priority=1)), flow(step("a", priority=10)),
        flow(step("a", timeout=0.001)), flow(step("a", retry=1)),
        flow(step("a", retry=RetryPolicy(base=0, cap=0, factor=0.1, jitter=0))),
        flow(step("a", retry=RetryPolicy(jitter=1))),
        flow(START, step("a", collect("x", at_least=0))),
        flow(step("a", limits=(LimitDefinition(kind="rate", max=1, per=0.001),))),
        flow(step("a", limits=(LimitDefinition(kind="concurrency", max=1),))),
        limited("@run"), limited("@run", taken=collect("x")), limited("@flow"), limited("a.b"),
        limited("X"),
        limited("0.id", taken=collect("x")), limited("0", taken=collect("x")),
        limited("x", taken=join("x", "y")), limited("y.id", taken=join("x", "y")),
        limited("step", taken=failed("start")),
        limited("error.input", taken=failed("start")),
        limited("b.input", taken=join(a=failed("start"), b="x")),
    ],
)  # fmt: skip
def test_what_is_at_a_bound_is_allowed(definition: FlowDefinition) -> None:
    assert validate(definition) == []
