"""What ``why`` says, word for word, below the scene that it says it of: people act on it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from flow.branching import TWO_SIDES, half_way
from runfold.flow import events as ev
from runfold.flow.definition import RetryPolicy
from runfold.flow.why import why
from runfold.testing.building import after, collect, each, failed, flow, join, step
from runfold.testing.driver import BROKEN, OOPS, Driver

Scene = Callable[[], tuple[Driver, str | None]]


def queued() -> Any:
    """
    run r is running; 1 waiting (after 0.000 s)
      start: waits in queue 'default' since 2026-01-01T12:00:00.000+00:00
    """
    return Driver(TWO_SIDES), None


def running() -> Any:
    """
    start running
      start: running; queued 0.000 s, executed 1.500 s (version 2, position 2)
      start: attempt 1 executes on w since 2026-01-01T12:00:00.000+00:00
    """
    driver = Driver(TWO_SIDES)
    driver.claim("start")
    driver.now += timedelta(seconds=1.5)
    return driver, "start"


def paused() -> Any:
    """
    run r is paused; 1 waiting (after 0.000 s)
      start: the run is paused; resume() lets it go on
    """
    driver = Driver(TWO_SIDES)
    driver.pause()
    return driver, None


def delayed() -> Any:
    """
    run r is scheduled; 1 waiting (after 0.000 s)
      start: waits for its time, 2026-01-01T12:01:00.000+00:00
    """
    start = ev.FlowStart(run_id="r", flow="flow", definition=TWO_SIDES.hash, delay=60)
    return Driver(TWO_SIDES, start), None


def retrying() -> Any:
    """
    run r is running; 1 waiting (after 1.000 s)
      start: attempt 2 waits until 2026-01-01T12:00:31.000+00:00
    """
    driver = Driver(flow(step("start", retry=RetryPolicy(base=30, jitter=0, cap=30))))
    driver.claim("start")
    driver.now += timedelta(seconds=1)
    driver.fail("start", error=OOPS)
    driver.settle()
    return driver, None


def tried_again() -> Any:
    """
    run r completed (after 36.000 s)
      start: completed, attempt 2; queued 2.000 s, executed 4.000 s, waited 30.000 s (version 2, \
position 2)
    """
    driver, _ = retrying()
    driver.wait(30)
    driver.now += timedelta(seconds=2)
    driver.claim("start")
    driver.now += timedelta(seconds=3)
    driver.complete("start")
    driver.settle()
    return driver, None


def due() -> Any:
    """
    run r is running; 2 waiting (after 0.000 s)
      a: is due, and no dispatcher has scheduled it yet; one must be running
      b: is due, and no dispatcher has scheduled it yet; one must be running
    """
    driver = Driver(TWO_SIDES)
    driver.claim("start")
    driver.complete("start", 1, "go")
    return driver, None


def answered() -> Any:
    """
    run r is running; 1 waiting (after 0.000 s)
      start: attempt 1 ended (errored), and no dispatcher has decided yet; one must be running
    """
    driver = Driver(TWO_SIDES)
    driver.claim("start")
    driver.fail("start")
    return driver, None


def draining() -> Any:
    """
    run r is cancelling; 1 waiting (after 0.000 s)
      start: the run is cancelling; it will be cancelled
    """
    driver = Driver(TWO_SIDES)
    driver.cancel("too late")
    return driver, None


def joining() -> Any:
    """
    end has not run yet: b is still under way
      end: has not run yet: b is still under way
      end: has a and lacks b in the lane of start/0: b is still under way
    """
    return half_way(), "end"


def joining_by_key() -> Any:
    """
    run r is running; 2 waiting (after 0.000 s)
      b: waits in queue 'default' since 2026-01-01T12:00:00.000+00:00
      pair: has p and lacks q with id = 7: b is still under way
    """
    graph = flow(
        step("start", emits="x y"), step("a", "x", emits="p"), step("b", "y", emits="q"),
        step("pair", join("p", "q", by="id"), returns=True),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "x", "y")
    driver.do("a", 1, ("p", {"id": 7}))
    return driver, None


def joining_in_the_whole_run() -> Any:
    """
    both has not run yet: other is still under way
      both: has not run yet: other is still under way
      both: has left and lacks right in the lane of start/result: other is still under way
    """
    graph = flow(
        step("start", emits="x"), step("other", after("start")),
        step("both", join(left=after("start"), right=after("other"))),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "x")
    return driver, "both"


def joining_what_only_the_entry_caused() -> Any:
    """
    run r is running; 2 waiting (after 0.000 s)
      b: waits in queue 'default' since 2026-01-01T12:00:00.000+00:00
      both: has p and lacks q: b is still under way
    """
    graph = flow(
        step("start", emits="x y"), step("a", "x", emits="p"), step("b", "y", emits="q"),
        step("both", join("p", "q")),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "x", "y")
    driver.do("a", 1, "p")
    return driver, None


def joining_beside_a_failure() -> Any:
    """
    run r is running; 2 waiting (after 0.000 s)
      b: waits in queue 'default' since 2026-01-01T12:00:00.000+00:00
      both: has p and lacks q in the lane of start/0: b is still under way
    """
    graph = flow(
        step("start", emits="x"), step("a", "x", emits="p"), step("b", "x", emits="q"),
        step("both", join("p", "q")), failure="finish",
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "x", "x")
    driver.do("a", 1, "p")
    driver.claim("a", 2)
    driver.fail("a", 2, error=BROKEN)
    driver.settle()
    driver.do("b", 2)
    return driver, None


def collecting() -> Any:
    """
    run r is running; 2 waiting (after 0.000 s)
      map #2: waits in queue 'default' since 2026-01-01T12:00:00.000+00:00
      sum: has gathered 2, and waits for map
    """
    driver = Driver(
        flow(step("start", emits="go"), step("map", "go", emits="x"), step("sum", collect("x")))
    )
    driver.do("start", 1, "go", "go", "go")
    driver.do("map", 1, "x")
    driver.do("map", 3, "x")
    return driver, None


def blocked() -> Any:
    """
    run r failed in a: EXECUTION_ERROR: oops (after 0.000 s)
      start: completed; queued 0.000 s, executed 0.000 s (version 2, position 2)
      a on go: failed; queued 0.000 s, executed 0.000 s (version 6, position 6)
      end: never ran, blocked by a, which failed for good (EXECUTION_ERROR: oops)
    """
    driver = Driver(TWO_SIDES)
    driver.do("start", 1, "go")
    driver.do("b", 1, "b")
    driver.claim("a")
    driver.fail("a", error=BROKEN)
    driver.settle()
    return driver, None


def blocked_by_two() -> Any:
    """
    end never ran, blocked by a, which failed for good (EXECUTION_ERROR: oops); b, which was \
cancelled
      end: never ran, blocked by a, which failed for good (EXECUTION_ERROR: oops); b, which was \
cancelled
    """
    graph = flow(
        step("start", emits="x"), step("a", "x"), step("b", "x"),
        step("end", each(after("a"), after("b"))),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "x")
    driver.claim("a")
    driver.claim("b")
    driver.fail("b")
    driver.settle()
    driver.fail("a", error=BROKEN)
    driver.settle()
    return driver, "end"


def cancelled_before_it_was_mended() -> Any:
    """
    mend was skipped: everything that it takes has gone elsewhere
      mend: was skipped: everything that it takes has gone elsewhere
    """
    driver = Driver(flow(step("start", retry=1), step("mend", failed("start"))))
    driver.claim("start")
    driver.fail("start")
    driver.decide(limit=1)
    driver.cancel()
    driver.settle()
    return driver, "mend"


def left_out_by_two() -> Any:
    """
    end was skipped: a completed without emitting p; b completed without emitting q
      end: was skipped: a completed without emitting p; b completed without emitting q
    """
    graph = flow(
        step("start", emits="x"), step("a", "x", emits="p"), step("b", "x", emits="q"),
        step("end", each("p", "q")),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "x")
    driver.do("a")
    driver.do("b")
    return driver, "end"


def blocked_far_off() -> Any:
    """
    c never ran, blocked by start, which failed for good (EXECUTION_ERROR: oops)
      c: never ran, blocked by start, which failed for good (EXECUTION_ERROR: oops)
    """
    driver = Driver(flow(step("start", emits="x", retry=1), step("b", "x"), step("c", after("b"))))
    driver.claim("start")
    driver.fail("start", error=BROKEN)
    driver.settle()
    return driver, "c"


def cancelled() -> Any:
    """
    run r cancelled: too late (after 0.000 s)
      start: completed; queued 0.000 s, executed 0.000 s (version 2, position 2)
      b on go: cancelled; queued 0.000 s, executed 0.000 s (version 7, position 7)
      end: never ran, blocked by b, which was cancelled
    """
    driver = half_way()
    driver.cancel("too late")
    driver.release("b")
    driver.settle()
    return driver, None


def skipped() -> Any:
    """
    run r completed (after 0.000 s)
      start: completed; queued 0.000 s, executed 0.000 s (version 2, position 2)
      yes on ok: completed; queued 0.000 s, executed 0.000 s (version 6, position 6)
      other: was skipped: start completed without emitting no
      rescue: was skipped: yes did not fail
      last: was skipped: start completed without emitting no
    """
    graph = flow(
        step("start", emits="ok no"), step("yes", "ok"), step("other", "no"),
        step("rescue", failed("yes")), step("last", after("other")),
    )  # fmt: skip
    driver = Driver(graph)
    driver.do("start", 1, "ok")
    driver.do("yes")
    return driver, None


def waiting() -> Any:
    """
    c has not run yet: start is still under way
      c: has not run yet: start is still under way
    """
    driver = Driver(flow(step("start", emits="x"), step("b", "x"), step("c", after("b"))))
    return driver, "c"


def one_of_several() -> Any:
    """
    work#2 failed: EXECUTION_ERROR: oops
      start: completed; queued 0.000 s, executed 0.000 s (version 2, position 2)
      work #2 on x: failed; queued 0.000 s, executed 0.000 s (version 8, position 8)
    """
    driver = Driver(flow(step("start", emits="x"), step("work", "x", retry=1)))
    driver.do("start", 1, "x", "x")
    driver.claim("work", 2)
    driver.fail("work", 2, error=BROKEN)
    driver.settle()
    return driver, "work#2"


def two_queued() -> Any:
    """
    run r is running; 2 waiting (after 0.000 s)
      work: waits in queue 'slow' since 2026-01-01T12:00:00.000+00:00
      work #2: waits in queue 'slow' since 2026-01-01T12:00:00.000+00:00
    """
    driver = Driver(flow(step("start", emits="x"), step("work", "x", queue="slow")))
    driver.do("start", 1, "x", "x")
    return driver, None


SCENES: list[Scene] = [
    queued, running, paused, delayed, retrying, tried_again, due, answered, draining, joining,
    joining_by_key, joining_in_the_whole_run, joining_what_only_the_entry_caused,
    joining_beside_a_failure, collecting, blocked, blocked_by_two, left_out_by_two,
    cancelled_before_it_was_mended,
    blocked_far_off, cancelled,
    skipped, waiting, one_of_several, two_queued,
]  # fmt: skip


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_it_says_what_the_scene_is_about(scene: Scene) -> None:
    driver, asked = scene()
    answer = why(driver.definition, driver.history, asked, now=driver.now)
    assert str(answer) == inspect.getdoc(scene)
