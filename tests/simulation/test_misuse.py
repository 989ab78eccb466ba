"""What a test cannot mean is refused when it asks for it, and changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from runfold import Flow, Queue, RunfoldError, UnknownTarget
from runfold.testing import Faults, Simulation, stub

flow: Flow[Any, Any] = Flow("asked")
other: Flow[Any, Any] = Flow("other")
queue = Queue("mails")
Asked = Callable[[Simulation], object]


@flow.entry(retry=5)
async def work(number: int) -> int:
    return number


@other.entry()
async def elsewhere(number: int) -> int:
    return number


@queue.job()
async def send(number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"seed": None}, "seed is None, expected a whole number"),
        ({"seed": 1.5}, "seed is 1.5, expected a whole number"),
        ({"processes": 0}, "processes is 0, expected a whole number from 1 to 16"),
        ({"processes": "2"}, "processes is '2', expected a whole number from 1 to 16"),
        ({"faults": {"crash_worker": 1}}, r"faults holds \{'crash_worker': 1\}, expected a plan"),
        ({"faults": 0.5}, "faults holds 0.5, expected a plan"),
        ({"faults": ["crash_worker"]}, "faults holds 'crash_worker', expected a plan"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Simulation(flow, **options)


def test_a_plan_says_whether_last_attempts_are_spared() -> None:
    with pytest.raises(ValueError, match="spare_last_attempt is 'no', expected a bool"):
        Faults(spare_last_attempt="no")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda sim: sim.until("nothing"), "is no step of this simulation, which has"),
        (lambda sim: sim.until("work", "exploded"), "what is 'exploded', expected one of"),
        (lambda sim: sim.until("work", times=0), "times is 0, expected a whole number of 1"),
        (lambda sim: sim.calls("nothing"), "is no step of this simulation, which has"),
        (lambda sim: sim.advance(-1), "span is -1, expected seconds or a timedelta, 0 or more"),
        (lambda sim: sim.advance(math.nan), "span is nan, expected seconds"),
        (lambda sim: sim.advance(days=-1), "what advance.. takes is -86400.0, expected"),
        (lambda sim: sim.advance(days=365 * 8000), "at most 1000 years"),
        (lambda sim: sim.inject("explode"), "there is no fault 'explode'; there are crash_worker"),
        (lambda sim: sim.inject("lose_answer", times=0), "times is 0, expected"),
        (lambda sim: sim.inject("lose_answer", 1), "amount is 1, expected 0 or more and less"),
        (lambda sim: sim.crash(2), "process is 2, expected a whole number from 1 to 1"),
        (lambda sim: sim.crash(restart_after=-1), "restart_after is -1, expected seconds"),
        (lambda sim: sim.freeze(seconds=-1), "seconds is -1, expected seconds"),
        (lambda sim: sim.freeze(seconds=math.inf), "seconds is inf, expected seconds"),
        (lambda sim: sim.jump_clock(math.nan), "seconds is nan, expected seconds"),
        (lambda sim: sim.jump_clock(1e15), "ahead or back and at most 1000 years"),
        (lambda sim: sim.restart(after=-1), "after is -1, expected seconds"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(asked: Asked, told: str) -> None:
    with Simulation(flow) as sim:
        run = sim.start(flow, 1)
        began, events = sim.now, run.events
        with pytest.raises(ValueError, match=told):
            asked(sim)
        assert (sim.now, run.events) == (began, events)
        sim.run_until_idle()
        assert (run.result, sim.now, sim.faults) == (1, began, [])


def test_spans_are_seconds_or_timedeltas_everywhere() -> None:
    with Simulation(flow) as sim:
        began = sim.now
        sim.jump_clock(timedelta(hours=1))
        sim.jump_clock(-60)
        sim.freeze(seconds=timedelta(seconds=3))
        sim.crash(restart_after=timedelta(seconds=3))
        sim.advance(timedelta(minutes=1), seconds=1)
        assert sim.now == began + timedelta(hours=1, seconds=1)


@pytest.mark.parametrize("target", [other, "other", "nothing", send])
def test_what_the_simulation_was_not_made_with_cannot_be_started(target: Any) -> None:
    with Simulation(flow) as sim:
        with pytest.raises(UnknownTarget, match=r"is not in this simulation, which has \['asked'"):
            sim.start(target, 1)
        with pytest.raises(UnknownTarget, match="is not in this simulation"):
            sim.start_many(target, [1])


@pytest.mark.parametrize(
    "asked",
    [
        lambda sim: sim.now,
        lambda sim: sim.faults,
        lambda sim: sim.calls(),
        lambda sim: sim.queues,
        lambda sim: sim.start(flow, 1),
        lambda sim: sim.until("work"),
        lambda sim: sim.inject("lose_answer"),
        lambda sim: sim.restart(),
    ],
)
def test_before_it_is_entered_it_says_so(asked: Asked) -> None:
    with pytest.raises(RunfoldError, match="entered"):
        asked(Simulation(flow))


def test_after_it_was_left_it_can_be_read_and_not_driven() -> None:
    with Simulation(flow) as sim:
        run = sim.start(flow, 1)
        sim.run_until_idle()
    assert (run.result, len(sim.calls(work)), sim.faults) == (1, 1, [])
    with pytest.raises(RunfoldError, match="not entered"):
        sim.advance(1)
    with pytest.raises(RunfoldError, match="not entered"):
        sim.inject("lose_answer")


def test_of_two_stubs_for_one_step_the_last_counts() -> None:
    async def first(number: int) -> int:
        return -1

    async def last(number: int) -> int:
        return -2

    with Simulation(flow, stubs=[stub(work, first), stub("asked/work", last)]) as sim:
        run = sim.start(flow, 1)
        sim.run_until_idle()
        assert run.result == -2
