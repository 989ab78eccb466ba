"""A fact and the decisions it causes, in one item: it leaves what they leave one by one."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition
from runfold.flow.run import fold
from runfold.kernel.event import Draft
from runfold.ports import Encoded, Item
from runfold.runtime.fusing import with_decisions
from runfold.testing.building import after, flow, join, step
from runfold.testing.driver import NOON, Driver, Script, Work
from runfold.testing.strategies import definitions, script

GRACE = 30.0
TURNS_MAX = 400
Rows = set[tuple[str, str, int]]


def encode(drafts: Any) -> Any:
    """Return ``drafts`` as if they were encoded: nothing here looks inside."""
    return [Encoded(draft.event.TOPIC, b"") for draft in drafts], 0


def fused(driver: Driver, drafts: list[Draft]) -> Item:
    """Return the item that ``drafts`` and all that they cause make."""
    item, run = Item((), 1), fold(driver.definition, driver.history)
    with_decisions(run, item, drafts, NOON, grace=GRACE, encode=encode)
    return item


def rows_of(driver: Driver) -> Rows:
    """Return the rows that are there: what it is, step and number."""
    jobs = {("job", *place) for place in (*driver.jobs, *driver.leased)}
    return jobs | {(row.kind or "", row.step, row.activation) for _, row in driver.timers}


def after_item(before: Rows, place: tuple[str, int], item: Item) -> Rows:
    """Return the rows after a store has taken the item: it removes first, and adds then."""
    dropped = set(item.drops)
    left = {row for row in before - {("job", *place)} if (row[1], row[2]) not in dropped}
    if item.clears:
        left = set()
    return left | {(row.kind or "job", row.step, row.activation) for row in item.rows}


def ends_of(work: Work, handlers: Script) -> list[Draft]:
    """Return the facts that end an attempt."""
    outcome = handlers(work)
    facts: list[Any] = []
    if outcome.error is not None:
        facts.append(ev.StepErrored(queue="default", error=outcome.error))
    else:
        facts += [ev.Emit(name=name, payload=payload) for name, payload in outcome.emits]
        facts.append(ev.StepCompleted(queue="default", result=outcome.result, duration=1))
    return [Draft(fact, work.step, work.number, work.attempt) for fact in facts]


@given(definitions(), st.integers(0, 10_000), st.integers(0, 10_000))
@settings(
    max_examples=80, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
def test_an_item_leaves_the_rows_that_its_decisions_leave_one_by_one(
    definition: FlowDefinition, doings: int, order: int
) -> None:
    driver, handlers = Driver(definition), script(definition, doings)
    rng, works = random.Random(order), {}
    for _ in range(TURNS_MAX):
        if driver.ended:
            return
        for _, row in [timer for timer in driver.timers if timer[1].kind == "retry"]:
            driver.fire(row)
        for place in driver.ready():
            works[place] = driver.claim(*place)
        place = rng.choice(sorted(driver.leased))
        before, drafts = rows_of(driver), ends_of(works[place], handlers)
        item = fused(driver, drafts)
        driver.leased.pop(place)
        driver.append(drafts)
        driver.settle()
        assert after_item(before, place, item) == rows_of(driver)


def test_an_end_takes_the_timer_along_that_came_with_it() -> None:
    definition = flow(step("s0", emits="e0 e1"), step("s1", join("e0", "e1", s0=after("s0"))))
    driver = Driver(definition)
    work = driver.claim("s0")
    twice = [("e0", 1), ("e0", 2), ("e1", 1)]
    facts = [ev.Emit(name=name, payload=payload) for name, payload in twice]
    done = ev.StepCompleted(queue="default", result=None, duration=1)
    drafts = [Draft(fact, "s0", 1, work.attempt) for fact in (*facts, done)]
    item = fused(driver, drafts)
    assert item.clears
    assert not item.rows


def test_what_is_dropped_is_not_added_in_the_same_item() -> None:
    steps = step("s0", emits="e0"), step("s1", "e0", emits="e1"), step("s2", "e1")
    driver = Driver(flow(*steps, activations_max=5))
    driver.do("s0", 1, ("e0", 1), ("e0", 2))
    for place in driver.ready():
        driver.claim(*place)  # One of them goes on, so the run drains and does not end.
    facts = [ev.Emit(name="e1", payload=number) for number in range(4)]
    done = ev.StepCompleted(queue="default", result=None, duration=1)
    item = fused(driver, [Draft(fact, "s1", 1, 1) for fact in (*facts, done)])
    assert item.drops == [("s2", 1), ("s2", 2)]
    assert [row.kind for row in item.rows] == ["grace"]
