"""The working rows of a run follow from its history alone, at every moment of its life."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold.errors import Unforkable
from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition, LimitDefinition, RetryPolicy
from runfold.flow.fork import descend, fork
from runfold.flow.run import evolve, new
from runfold.flow.selection import prefix
from runfold.flow.start import creation, told
from runfold.flow.work import Ready
from runfold.flow.working import Placed, Working, ended_rows
from runfold.kernel.event import Draft, Recorded
from runfold.testing.building import flow, step
from runfold.testing.driver import NOON, OOPS, Driver, Work
from runfold.testing.strategies import definitions, script

MOVES = ("decide", "decide", "decide", "claim", "claim", "claim", "answer", "answer", "answer",
         "fire", "fire", "replace", "replace", "pause", "resume", "stall", "release",
         "cancel")  # fmt: skip
SEEDS = st.integers(0, 1_000)


class Ledger(Driver):
    """A driver that writes down the id and the due time of each row, as a store does."""

    def __init__(self, definition: FlowDefinition, start: ev.FlowStart) -> None:
        self.ids: dict[tuple[str | None, str, int], int] = {}
        super().__init__(definition, start)

    def append(self, drafts: Iterable[Draft], rows: Iterable[Ready] = ()) -> None:
        first, rows = len(self.history) + 1, list(rows)
        for row in rows:
            self.ids[row.kind, row.step, row.activation] = first + row.draft
        super().append(drafts, rows)

    def fire(self, row: Ready) -> None:
        self.ids[None, row.step, row.activation] = len(self.history) + 1
        super().fire(row)

    def table(self) -> set[tuple[Any, ...]]:
        """Return what a store would hold now."""
        jobs = [(row, None, False) for row in self.jobs.values()]
        leased = [(row, None, True) for row in self.leased.values()]
        timers = [(row, due, False) for due, row in self.timers]
        return {
            _said(Placed(self.ids[row.kind, row.step, row.activation], row, due, is_leased))
            for row, due, is_leased in (*jobs, *leased, *timers)
        }


def _said(placed: Placed) -> tuple[Any, ...]:
    row = placed.row
    # Where its id comes from, and how its due time is said, is not part of a stored row.
    plain = replace(row, draft=0, due_at=None, delay=None, inputs=None)
    return placed.id, plain.kind, str(plain), str(row.inputs), placed.due_at, placed.leased


def derived(ledger: Ledger) -> set[tuple[Any, ...]]:
    """Return what the history alone says that a store holds."""
    run, working = new(ledger.definition), Working()
    for recorded in ledger.history:
        evolve(run, recorded)
        working.see(recorded)
    assert run.ended or run.gate == ledger.gate
    return {_said(placed) for placed in working.rows(run)}


@given(
    definitions(steps_max=4),
    SEEDS,
    st.lists(st.sampled_from(MOVES), min_size=10, max_size=60),
    st.sampled_from([{}, {"delay": 5.0}, {"due_at": NOON + timedelta(seconds=7)}]),
    st.sampled_from([None, 9.0, NOON + timedelta(seconds=11)]),
    st.sampled_from([{}, {"keep": 5.0}, {"keep": 0.0, "keep_failed": 7.0}]),
)
@settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
def test_the_rows_of_a_history_are_those_that_its_commits_left(
    definition: FlowDefinition, seed: int, moves: list[str], begins: dict[str, Any], deadline: Any,
    keeps: dict[str, float],
) -> None:  # fmt: skip
    definition = definition.model_copy(update=keeps)
    start = ev.FlowStart(
        run_id="r", flow="flow", definition=definition.hash, deadline=deadline, **begins
    )
    ledger, rng = Ledger(definition, start), random.Random(seed)
    works: dict[tuple[str, int], Work] = {}
    handlers = script(definition, seed)
    for move in moves:
        ledger.now += timedelta(seconds=1)
        _make(move, ledger, works, handlers, rng)
        assert derived(ledger) == ledger.table()
        forked(ledger, rng.randint(1, len(ledger.history)))
        if ledger.ended:
            return


def _make(
    move: str, ledger: Ledger, works: dict[tuple[str, int], Work], handlers: Any, rng: random.Random
) -> None:
    leased = list(ledger.leased)
    if move == "decide":
        ledger.decide(limit=rng.choice((1, 3, 500)))
    elif move == "claim" and ledger.ready():
        place = rng.choice(ledger.ready())
        works[place] = ledger.claim(*place)
    elif move == "answer" and leased:
        place = rng.choice(leased)
        outcome = handlers(works[place])
        if outcome.error is not None or rng.random() < 0.3:
            later = rng.choice(({}, {"retry_after": 2.5}, {"retry_at": NOON + timedelta(hours=1)}))
            ledger.fail(*place, error=outcome.error or OOPS, charged=rng.random() < 0.5, **later)
        else:
            ledger.complete(*place, *outcome.emits, result=outcome.result)
    elif move in {"stall", "release"} and leased:
        getattr(ledger, move)(*rng.choice(leased))
    elif move == "replace":
        ledger.replace(rng.randint(1, 3), rng.choice((None, None, 4.0)))
    elif move == "fire" and ledger.timers:
        due, row = min(ledger.timers, key=lambda timer: timer[0])
        ledger.now = max(ledger.now, due)
        ledger.fire(row)
    elif move in {"pause", "resume", "cancel"} and (move != "cancel" or rng.random() < 0.5):
        getattr(ledger, move)()


def forked(ledger: Ledger, cut: int) -> None:
    """A run that begins with a part of this past has the rows that its own history says."""
    definition = ledger.definition
    try:
        past = told(prefix(ledger.history, definition, cut))
        start = descend(past[0], definition, now=NOON, run_id="f")
        drafts, ready = fork(past, start, definition, {})
    except Unforkable:
        return
    at = NOON + timedelta(days=1)
    run, working = new(definition), Working()
    for version, draft in enumerate(drafts, start=1):
        recorded = Recorded(version, 1, version, at, *draft)
        evolve(run, recorded)
        working.see(recorded)
    written = {_said(Placed(row.draft + 1, row, _due(row, at), False)) for row in ready}
    assert {_said(placed) for placed in working.rows(run)} == written


def _due(row: Ready, at: datetime) -> datetime | None:
    return None if row.kind is None else row.due_at or at + timedelta(seconds=row.delay or 0)


def begun(definition: FlowDefinition, **said: Any) -> Ledger:
    return Ledger(definition, ev.FlowStart(run_id="r", flow="flow", definition="d", **said))


def test_a_job_after_a_pause_stands_where_its_time_came() -> None:
    ledger = begun(flow(step("start", retry=RetryPolicy(base=30, jitter=0, cap=30))))
    ledger.claim("start")
    ledger.fail("start")
    ledger.settle()
    ledger.wait(30)
    assert ledger.topics()[-1] == "timer.due"
    assert derived(ledger) == ledger.table()


def test_a_retry_is_due_when_its_handler_said_however_late_that_was_decided() -> None:
    ledger = begun(flow(step("start", retry=2)))
    ledger.claim("start")
    ledger.fail("start", retry_at=NOON + timedelta(hours=1))
    ledger.now += timedelta(seconds=5)
    ledger.settle()
    ((due, _),) = ledger.timers
    assert due == NOON + timedelta(hours=1)
    assert derived(ledger) == ledger.table()


def test_what_a_run_that_drains_waits_for_is_a_timer() -> None:
    ledger = begun(flow(step("start")), deadline=100.0)
    ledger.claim("start")
    ledger.now += timedelta(seconds=5)
    ledger.cancel()
    ledger.settle()
    assert derived(ledger) == ledger.table()
    kinds = {row.kind: due for due, row in ledger.timers}
    assert kinds == {
        "deadline": NOON + timedelta(seconds=100), "grace": NOON + timedelta(seconds=35),
    }  # fmt: skip


def test_a_timer_that_has_come_due_is_no_row_any_more() -> None:
    ledger = begun(flow(step("start")), deadline=100.0)
    ledger.claim("start")
    ledger.cancel()
    ledger.settle()
    assert {row.kind for _, row in ledger.timers} == {"deadline", "grace"}
    ledger.wait(30)
    assert {row.kind for _, row in ledger.timers} == {"deadline"}
    assert derived(ledger) == ledger.table()


def test_a_run_that_leaves_at_once_is_due_when_it_ended() -> None:
    ledger = begun(flow(step("start"), keep=0.0))
    ledger.do("start")
    (placed,) = ended_rows(ledger.definition, ledger.history[-1])
    assert (placed.due_at, placed.row.kind, placed.leased) == (NOON, "archive", False)


def test_a_start_beyond_all_calendars_has_a_time_all_the_same() -> None:
    one = flow(step("start"))
    drafts, _ = creation(ev.FlowStart(run_id="r", flow="flow", definition="d", delay=1e15), one)
    run, working = new(one), Working()
    for number, draft in enumerate(drafts, start=1):
        recorded = Recorded(number, 1, number, NOON, *draft)
        evolve(run, recorded)
        working.see(recorded)
    (placed,) = working.rows(run)
    assert (placed.row.kind, placed.due_at) == ("start", NOON)


def test_a_job_with_a_key_has_it_and_its_limits() -> None:
    by_user = LimitDefinition(kind="concurrency", max=1, key="user")
    ledger = begun(flow(step("start", limits=(by_user,))), input={"user": "zoe"})
    assert derived(ledger) == ledger.table()
    ((row, _, _),) = [(row, None, None) for row in ledger.jobs.values()]
    assert row.key == "zoe"


def test_an_empty_history_has_no_rows() -> None:
    assert Working().rows(new(flow(step("only")))) == []
