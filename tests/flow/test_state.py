"""What a run and its activations are before anything has happened to them: readers rely on it."""

from __future__ import annotations

from typing import Any

from runfold.flow.activation import NO_LANES, Activation, Arrival, Due
from runfold.flow.chain import Link
from runfold.flow.graph import graph_of
from runfold.flow.run import new
from runfold.flow.work import Gate
from runfold.testing.building import after, flow, step
from runfold.testing.driver import Driver

TWO = flow(step("start"), step("next", after("start"), compensated=True))
START = graph_of(TWO).nodes["start"]


def known(of: Any, *but: str) -> dict[str, Any]:
    """Return what it is set to, by name."""
    return {name: getattr(of, name) for name in type(of).__slots__ if name not in but}


def test_nothing_is_known_of_a_new_run() -> None:
    run = new(TWO)
    assert (run.version, run.status, run.ended, run.id) == (0, "scheduled", False, "")
    empty = {
        "answered": {}, "buckets": {}, "collected": {}, "compensations": [], "counts": {},
        "data": {}, "due": {}, "open": {}, "pressure": {}, "results": {}, "steps": [],
        "tags": (), "unpaired": {}, "untaken": {},
    }  # fmt: skip
    never = dict.fromkeys(
        (
            "began_at", "closed_version", "created_at", "deadline", "delay", "due_at", "error",
            "failed_step", "fault", "finished_at", "input", "key", "outcome", "parent", "priority",
            "progress", "reason", "result", "retry", "started_at", "timeout", "updated_at",
        )
    )  # fmt: skip
    no = dict.fromkeys(("announced", "cancelling", "erased", "grace_over", "waits"), False)
    none = dict.fromkeys(("activations", "leased", "position", "stream", "suspended", "version"), 0)
    said = {"flow": "flow", "gate": Gate.OPEN, "id": "", "input_version": 1}
    found = known(run, "chain", "definition", "graph")
    assert found == {**empty, **never, **no, **none, **said}
    assert [name for name, value in found.items() if value is False] == sorted(no)
    assert run.chain is not None


def test_nothing_is_known_of_a_new_activation() -> None:
    act = Activation(START, "start", 1, "start")
    assert known(act) == {
        "answer": None, "attempt": 1, "charged": True, "compensates": False, "emits": 0,
        "ended_at": None, "ended_version": 0, "error": None, "keys": (), "lanes": NO_LANES,
        "name": "start", "node": START, "number": 1, "past": None, "plan": None,
        "retry_after": None, "retry_at": None, "started_at": None, "status": "queued",
        "step": "start", "version": 0, "waits": False,
    }  # fmt: skip
    assert act.is_open


def test_what_is_due_has_no_causes_unless_it_gets_some() -> None:
    assert known(Due(START, "start", [1], 7)) == {
        "cause": 7, "keys": (), "lanes": NO_LANES, "name": "start", "node": START, "past": None,
        "plan": [1], "refs": (), "trigger": None,
    }  # fmt: skip


def test_an_arrival_has_no_values_of_keys_unless_somebody_asks_for_them() -> None:
    (outlet,) = graph_of(TWO).outlets.values()
    link = Link(None, 0, 3)
    assert known(Arrival(outlet, "start!", 4, [4], link, NO_LANES)) == {
        "item": [4], "keys": {}, "lanes": NO_LANES, "link": link, "name": "start!",
        "outlet": outlet, "version": 4,
    }  # fmt: skip
    assert known(link) == {"depth": 0, "ordinal": 3, "past": None, "step": 0}


def test_what_ended_keeps_nothing_that_only_an_open_activation_needs() -> None:
    driver = Driver(TWO)
    driver.do("start", result=1)
    driver.do("next")
    for act in driver.run.steps:
        assert not act.is_open
        assert (act.plan, act.past, act.answer, act.lanes) == (None, None, None, NO_LANES)


def test_a_run_that_ended_keeps_nothing_that_goes_on() -> None:
    driver = Driver(TWO)
    driver.do("start")
    driver.cancel()
    driver.settle()
    run = driver.run
    assert run.outcome == "cancelled"
    kept = ("open", "answered", "due", "buckets", "collected", "results", "compensations")
    assert not any(getattr(run, name) for name in kept)
    assert (run.leased, run.suspended, run.fault, run.waits) == (0, 0, None, False)
