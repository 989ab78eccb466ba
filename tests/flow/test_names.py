"""Names do not depend on when something happened, ids say which attempt it was."""

from __future__ import annotations

import hashlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold.flow.chain import Link, in_causal_order, is_past
from runfold.flow.definition import RetryPolicy
from runfold.flow.events import Emit, ErrorInfo, FlowStart, StepCompleted, StepFailed
from runfold.flow.inputs import (
    _FAILURE_DEPTH_MAX,
    failure,
    gathered,
    labelled,
    one,
    resolve,
    trigger,
    versions,
)
from runfold.flow.names import activation_name, emit_name, job_id, step_id
from runfold.flow.retry import backoff


def test_the_entry_is_called_as_its_step_is() -> None:
    assert activation_name("start", ()) == "start"


def test_an_activation_is_named_by_its_step_and_its_causes() -> None:
    digest = hashlib.sha256(b"4:next7:start/0").hexdigest()[:16]
    assert activation_name("next", ("start/0",)) == f"next~{digest}"


def test_an_activation_with_many_causes_is_named_as_one_with_few() -> None:
    few, many = [f"a/{number}" for number in range(4)], [f"a/{number}" for number in range(5)]
    text = b"3:sum3:a/03:a/13:a/23:a/3"
    assert activation_name("sum", few) == f"sum~{hashlib.sha256(text).hexdigest()[:16]}"
    text += b"3:a/4"
    assert activation_name("sum", many) == f"sum~{hashlib.sha256(text).hexdigest()[:16]}"


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_different_causes_give_different_names(one: list[str], other: list[str]) -> None:
    same = activation_name("s", one) == activation_name("s", other)
    assert same == (one == other)


def test_an_emit_is_named_by_its_activation_and_ordinal() -> None:
    assert emit_name("next~abc", 3) == "next~abc/3"


def test_ids_of_the_first_and_of_later_activations() -> None:
    assert step_id("run", "pay", 1, 2) == "run__pay__attempt-2"
    assert step_id("run", "pay", 3, 1) == "run__pay#3__attempt-1"
    assert job_id("run", "pay", 1) == "run__pay"
    assert job_id("run", "pay", 3) == "run__pay#3"
    assert job_id("run", "pay", 1, standalone=True) == "run"


# Plans ---------------------------------------------------------------------------------------

EVENTS = {
    1: FlowStart(run_id="r", flow="f", definition="h", input="in"),
    5: Emit(name="x", payload="five"),
    6: StepCompleted(queue="q", result="six", duration=1),
    7: StepFailed(
        queue="q", error=ErrorInfo(type="E", code="EXECUTION_ERROR", message="m"), attempts=3
    ),
}


@pytest.mark.parametrize(
    ("plan", "wanted", "found"),
    [
        (None, [], None),
        (one(1), [1], "in"),
        (one(5, "x"), [5], "five"),
        (one(6), [6], "six"),
        (labelled({"b": 6, "a": 5}), [5, 6], {"b": "six", "a": "five"}),
        (gathered([6, 5, 6]), [5, 6], ["six", "five", "six"]),
        (gathered([]), [], []),
    ],
)
def test_a_plan_says_where_the_input_lies(plan: list | None, wanted: list, found: object) -> None:
    assert versions(plan) == wanted
    assert resolve(plan, {version: EVENTS[version] for version in wanted}) == found


def test_a_failure_has_the_input_of_what_failed() -> None:
    plan = one(failure(7, "work", labelled({"a": 5, "b": 1})))
    assert versions(plan) == [1, 5, 7]
    found = resolve(plan, EVENTS)
    assert found["step"] == "work"
    assert found["input"] == {"a": "five", "b": "in"}
    assert found["attempts"] == 3
    assert found["error"]["code"] == "EXECUTION_ERROR"


def test_failures_of_failures_do_not_grow_without_bound() -> None:
    plan, depths = one(5), []
    for _ in range(100):
        plan = one(failure(7, "work", plan))
        depth, found = 0, resolve(plan, EVENTS)
        while isinstance(found, dict):
            depth, found = depth + 1, found["input"]
        depths.append(depth)
    assert max(depths) == _FAILURE_DEPTH_MAX + 1


def test_the_trigger_is_that_of_a_single_cause() -> None:
    assert trigger(one(5, "x")) == "x"
    assert trigger(labelled({"x": 5})) is None
    assert trigger(None) is None


# Backoff -------------------------------------------------------------------------------------


def test_backoff_doubles_up_to_its_cap() -> None:
    policy = RetryPolicy(jitter=0)
    assert [backoff(policy, attempt, "s") for attempt in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


@given(st.integers(1, 10**6), st.text())
def test_backoff_stays_within_its_jitter_and_below_its_cap(attempt: int, seed: str) -> None:
    policy = RetryPolicy(jitter=0.1)
    plain = backoff(policy.model_copy(update={"jitter": 0}), attempt, seed)
    delay = backoff(policy, attempt, seed)
    assert plain * 0.9 <= delay <= min(policy.cap, plain * 1.1)
    assert delay == backoff(policy, attempt, seed)


def test_backoff_differs_by_seed() -> None:
    assert len({backoff(RetryPolicy(), 1, str(seed)) for seed in range(20)}) == 20


@pytest.mark.parametrize("odd", [math.inf, 1e308])
def test_backoff_of_anything_is_a_span(odd: float) -> None:
    assert 27 <= backoff(RetryPolicy(base=odd, factor=odd), 400, "s") <= 30


# Chains --------------------------------------------------------------------------------------


def test_the_past_of_a_link_are_its_causes_near_and_far() -> None:
    first = Link(None, 0, 0)
    second = Link(first, 1, 0)
    aside = Link(first, 2, 0)
    joined = Link((second, aside), 3, 0)
    assert is_past(first, joined)
    assert is_past(aside, joined)
    assert not is_past(aside, second)
    assert not is_past(joined, joined)


def test_what_is_reached_by_many_ways_is_searched_once() -> None:
    strange, link = Link(None, 9, 0), Link(Link(None, 0, 0), 0, 1)
    for _ in range(60):  # 2^60 ways lead back to the first.
        link = Link((Link(link, 1, 0), Link(link, 2, 0)), 0, 0)
    assert not is_past(strange, link)


def test_what_two_caused_comes_after_both() -> None:
    first = Link(None, 0, 0)
    left, right = Link(first, 1, 0), Link(first, 2, 0)
    joined, aside = Link((left, right), 3, 0), Link(left, 4, 0)
    links = {"joined": joined, "aside": aside, "right": right, "first": first, "left": left}
    ordered = in_causal_order([(link, name) for name, link in links.items()])
    assert ordered == ["first", "left", "aside", "right", "joined"]


def test_what_an_activation_gave_comes_before_what_it_led_to() -> None:
    first, item = Link(None, 0, 0), Link(None, 0, 1)
    later = Link(first, 1, 0)
    assert in_causal_order([(later, "later"), (item, "item")]) == ["item", "later"]


def test_a_long_chain_is_searched_no_further_than_needed() -> None:
    link = early = Link(None, 0, 0)
    for _ in range(50_000):
        link = Link(link, 0, 0)
    assert is_past(early, link)
    assert in_causal_order([(link, "late"), (early, "early")]) == ["early", "late"]
