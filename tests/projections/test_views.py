"""The built-in views say what the fold says, at every version of every history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.building import Table
from runfold.flow.definition import FlowDefinition
from runfold.flow.events import FlowStart, Log
from runfold.flow.run import Run, evolve, new
from runfold.kernel.event import Recorded
from runfold.ports import Name
from runfold.projections import Projection
from runfold.projections.logged import Logged
from runfold.projections.views import BUILT_IN, FLOW_RATES, LOGS, QUEUE_RATES, RUNS, STEPS, WAITS
from runfold.projections.views.rates import TOTAL, percentile, with_duration
from runfold.projections.views.runs import tags_of
from runfold.testing.building import each, flow, on, step
from runfold.testing.driver import NOON, Driver, play
from runfold.testing.strategies import definitions, script

MOST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
SEEDS = st.integers(0, 1_000)
# Between the failure of a step and the decision that follows there is no event that says so.
LATE = {("running", "failing"), ("paused", "failing"), ("scheduled", "failing")}


class View:
    """The rows of one projection, fed with the history of one run."""

    def __init__(self, projection: Projection[Any]) -> None:
        self.projection, self.table = projection, Table()
        self.sheet = projection.sheet()

    def feed(self, flow: str, history: Sequence[Recorded]) -> list[Any]:
        """Fold; return all rows, by key."""
        page = [Logged(one, Name(b"1" * 16, flow), "r") for one in history]
        self.table.fold(self.projection, self.sheet, page)
        return self.rows()

    def rows(self) -> list[Any]:
        return [self.projection.rows.thaw(row) for _, row in sorted(self.table.rows.items())]


def simple() -> FlowDefinition:
    return flow(step("a", emits="x"), step("b", each(on("x"))))


@given(definitions(), SEEDS, SEEDS)
@MOST
def test_a_run_has_the_status_times_and_version_of_its_fold(
    defined: FlowDefinition, seed: int, order: int
) -> None:
    history = play(defined, script(defined, seed), order, chaos=0.2).history
    view, run = View(RUNS), new(defined)
    for recorded in history:
        evolve(run, recorded)
        (row,) = view.feed(defined.name, [recorded])
        assert row.status == run.status or (row.status, run.status) in LATE
        assert (row.created_at, row.started_at) == (run.created_at, run.started_at)
        assert row.version <= run.version
    assert (row.status, row.finished_at, row.version) == (run.status, run.finished_at, run.version)


@given(definitions(), SEEDS, SEEDS)
@MOST
def test_the_last_attempt_of_an_activation_has_its_state(
    defined: FlowDefinition, seed: int, order: int
) -> None:
    history = play(defined, script(defined, seed), order, chaos=0.2).history
    view, run = View(STEPS), new(defined)
    for recorded in history:
        evolve(run, recorded)
        view.feed(defined.name, [recorded])
    last = {(row.step, row.number): row for row in view.rows()}
    assert {place: row.status for place, row in last.items()} == told(run)
    assert {place: row.attempt for place, row in last.items()} == {
        (act.step, act.number): act.attempt for act in run.steps
    }


def told(run: Run) -> dict[tuple[str, int], str]:
    return {(act.step, act.number): act.status for act in run.steps}


@given(definitions(), SEEDS, SEEDS, st.integers(1, 20))
@MOST
def test_pages_of_any_size_give_the_same_rows(
    defined: FlowDefinition, seed: int, order: int, size: int
) -> None:
    history = play(defined, script(defined, seed), order, chaos=0.2).history
    for projection in BUILT_IN:
        whole, paged = View(projection), View(projection)
        for start in range(0, len(history), size):
            paged.feed(defined.name, history[start : start + size])
        assert paged.rows() == whole.feed(defined.name, history)


def test_pause_and_cancel_show() -> None:
    driver, view = Driver(simple()), View(RUNS)
    driver.pause()
    assert view.feed("f", driver.history)[0].status == "paused"
    driver.resume()
    assert view.feed("f", driver.history[-1:])[0].status == "running"
    driver.cancel()
    assert view.feed("f", driver.history[-1:])[0].status == "cancelling"
    driver.settle()
    assert view.feed("f", driver.history[-2:])[0].status == "cancelled"


def test_a_delayed_run_is_scheduled_until_its_time() -> None:
    defined = simple()
    start = FlowStart(run_id="r", flow=defined.name, definition=defined.hash, delay=60)
    driver, view, waits = Driver(defined, start), View(RUNS), View(WAITS)
    (row,) = view.feed("f", driver.history)
    assert (row.status, row.due_at) == ("scheduled", NOON + timedelta(seconds=60))
    (wait,) = waits.feed("f", driver.history)
    assert (wait.kind, wait.due_at) == ("start", row.due_at)
    driver.pause()
    driver.resume()
    assert view.feed("f", driver.history[-2:])[0].status == "scheduled"
    known = len(driver.history)
    driver.wait(61)
    assert view.feed("f", driver.history[known:])[0].status == "running"
    assert waits.feed("f", driver.history[known:]) == []


def test_every_tag_has_a_row_that_says_the_same() -> None:
    defined = simple()
    tags = ("b", "a", "b", 'x"')
    driver = Driver(
        defined, FlowStart(run_id="r", flow=defined.name, definition=defined.hash, tags=tags)
    )
    driver.do("a")
    view = View(RUNS)
    rows = view.feed("f", driver.history)
    assert [row.tag for row in rows] == ["", "a", "b", 'x"']
    assert all(tags_of(row) == list(tags) for row in rows)
    assert {row.status for row in rows} == {"completed"}


def test_a_retry_waits_until_its_time() -> None:
    driver, waits, steps = Driver(simple()), View(WAITS), View(STEPS)
    driver.claim("a")
    driver.fail("a")
    driver.settle()
    (wait,) = waits.feed("f", driver.history)
    assert (wait.kind, wait.step, wait.number) == ("retry", "a", 1)
    rows = steps.feed("f", driver.history)
    assert [(row.attempt, row.status) for row in rows] == [(1, "errored"), (2, "retrying")]
    assert rows[0].error == "EXECUTION_ERROR: oops"
    assert rows[0].worker == "w"
    known = len(driver.history)
    driver.wait(60)
    assert waits.feed("f", driver.history[known:]) == []


def test_minutes_add_up() -> None:
    driver = Driver(simple())
    driver.do("a", 1, "x")
    driver.do("b")
    total, of_flow = View(FLOW_RATES).feed("f", driver.history)
    assert total.minute == TOTAL
    assert (total.started, total.completed, total.durations) == (1, 1, "")
    assert (of_flow.started, of_flow.completed, of_flow.failed) == (1, 1, 0)
    assert of_flow.durations == "0:1"
    (of_queue,) = View(QUEUE_RATES).feed("f", driver.history)
    assert (of_queue.scheduled, of_queue.started, of_queue.completed) == (2, 2, 2)
    assert of_queue.durations == "0:2"


def test_lines_are_found_by_place() -> None:
    line = Log(level="info", message="hello")
    recorded = Recorded(9, 4, 6, NOON, line, "a", 2, 3)
    (row,) = View(LOGS).feed("f", [recorded])
    place = (row.position, row.stream, row.version, row.flow, row.step, row.number, row.attempt)
    assert place == (9, 4, 6, "f", "a", 2, 3)


@given(st.lists(st.floats(0.1, 1e7), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 1.0]))
@MOST
def test_a_percentile_is_at_most_a_bucket_too_high(durations: list[float], share: float) -> None:
    half = len(durations) // 2
    sums = ["", ""]
    for place, one in enumerate(durations):
        sums[place < half] = with_duration(sums[place < half], one)
    found = percentile(sums, share)
    assert found is not None
    exact = sorted(durations)[max(0, -(-share * len(durations) // 1).__int__() - 1)]
    assert exact <= max(found, 1) * 1.0001
    assert found <= max(1.0, exact * 2**0.25) * 1.0001


def test_there_is_no_percentile_of_nothing() -> None:
    assert percentile([], 0.5) is None


@pytest.mark.parametrize("projection", BUILT_IN, ids=lambda one: one.name)
def test_a_view_keeps_to_the_limits_of_all_projections(projection: Projection[Any]) -> None:
    projection.seal()
    assert projection.topics
    assert projection.rows.model.__doc__
