"""What a simulation waits for by itself - a limit - and what only for who asks: a pause."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runfold import (
    Concurrency,
    Context,
    Flow,
    MinDelay,
    PermanentError,
    Queue,
    RateLimit,
    RateLimited,
    Settings,
)
from runfold.testing import Faults, Simulation
from simulation.soundness import unsound

DAY = 86_400.0
LIMITS: dict[str, Any] = {
    "whole": [RateLimit(1, per=DAY)],
    "keyed": [RateLimit(1, per=DAY, key="key")],
    "both": [Concurrency(1, key="key"), MinDelay(DAY)],
}


def served(limits: Any) -> Queue:
    queue = Queue("mail", limits=limits)

    @queue.job()
    async def send(mail: dict[str, int]) -> int:
        return mail["key"]

    return queue


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("processes", [1, 2])
def test_the_time_of_a_limit_passes_by_itself_and_in_leaps(name: str, processes: int) -> None:
    queue = served(LIMITS[name])
    with Simulation(queue, processes=processes) as sim:
        began = sim.now
        runs = sim.start_many("mail/send", [{"key": 1}] * 40)
        sim.run_until_idle()
        assert [run.result for run in runs] == [1] * 40
        assert sim.now - began == pytest.approx(timedelta(days=39), abs=timedelta(seconds=1))


@pytest.mark.parametrize("name", LIMITS)
def test_a_paused_queue_is_idle_until_time_passes_or_it_is_resumed(name: str) -> None:
    with Simulation(served(LIMITS[name]), processes=2) as sim:
        sim.queues.pause("mail", until=sim.now + timedelta(days=100))
        run = sim.start("mail/send", {"key": 1})
        sim.run_until_idle()
        sim.advance(days=99)
        assert (run.status, sim.calls()) == ("running", [])
        assert sim.queues.stats("mail").paused
        sim.advance(days=1.1)
        assert run.result == 1
        sim.queues.pause("mail")
        run = sim.start("mail/send", {"key": 1})
        sim.advance(days=500)
        assert run.status == "running"
        sim.queues.resume("mail")
        sim.run_until_idle()
        assert run.result == 1


def test_a_paused_key_lets_others_pass() -> None:
    with Simulation(served([RateLimit(9, per=1, key="key")])) as sim:
        sim.queues.pause("mail", key=1, until=sim.now + timedelta(days=1))
        runs = [sim.start("mail/send", {"key": key}) for key in (1, 2)]
        sim.run_until_idle()
        assert [run.result for run in runs] == [None, 2]
        sim.advance(days=2)
        assert [run.result for run in runs] == [1, 2]


def test_limits_that_are_said_at_run_time_hold() -> None:
    with Simulation(served([])) as sim:
        sim.queues.limit("mail", [MinDelay(60)])
        began, runs = sim.now, sim.start_many("mail/send", [{"key": n} for n in range(5)])
        sim.run_until_idle()
        assert [call.at - began for call in sim.calls()] == [timedelta(minutes=n) for n in range(5)]
        sim.queues.limit("mail", [])
        assert [run.result for run in runs] == list(range(5))


def test_a_read_of_many_runs_fails_as_a_whole_or_not_at_all() -> None:
    with Simulation(served([]), faults=Faults(fail_store=0.02, slow_store=0.02)) as sim:
        runs = sim.start_many("mail/send", [{"key": n} for n in range(500)])
        sim.run_until_idle()
        assert [run.result for run in runs] == list(range(500))


def failing() -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("failing")

    @flow.entry(returns=True)
    async def breaks(number: int) -> int:
        if number > 1:
            return number
        raise PermanentError("too small") if number else ValueError("nothing")

    return flow


def test_a_run_is_tried_again_restarted_and_forked() -> None:
    with Simulation(failing()) as sim:
        run = sim.start("failing", 1)
        sim.run_until_idle()
        again, anew = run.retry(), run.restart()
        fork = run.fork(at=1, input=5)
        assert len({run.id, again.id, anew.id, fork.id}) == 4
        sim.run_until_idle()
        assert [one.status for one in (run, again, anew)] == ["failed"] * 3
        assert fork.result == 5


def test_the_settings_say_how_often_what_says_nothing_is_tried() -> None:
    with Simulation(failing(), settings=Settings(retry=5)) as sim:
        run = sim.start("failing", 0)
        sim.run_until_idle()
        assert run.state.attempt == 5


def test_what_a_fork_has_copied_counts_at_no_limit_not_after_a_rebuild_either() -> None:
    queue = Queue("calls", limits=[RateLimit(3, per=100, key="key"), RateLimit(5, per=100)])

    @queue.job(retry=3)
    async def call(number: dict[str, int], ctx: Context) -> None:
        if ctx.attempt == 1:
            raise ValueError("not at first")
        raise RateLimited(retry_after=50)

    with Simulation(queue) as sim:
        run = sim.start(call, {"key": 1})
        sim.until(call, "errored", times=2)
        assert unsound(sim) == []
        sim.advance(seconds=45)
        run.fork(at=len(run.events))
        assert [event.type for event in run.events].count("step.started") == 2
        assert unsound(sim) == []
