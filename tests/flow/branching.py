"""New runs with the past of another, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from runfold.flow.definition import FlowDefinition
from runfold.flow.fork import descend, fork
from runfold.flow.selection import prefix, remainder
from runfold.kernel.event import Recorded
from runfold.testing.building import flow, join, step
from runfold.testing.driver import NOON, Driver

MOST = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    derandomize=True,
)
SEEDS = st.integers(0, 1_000)
LATER = NOON + timedelta(hours=1)


def begun(
    of: Driver,
    past: list[Recorded],
    definition: FlowDefinition | None = None,
    *,
    state: Mapping[str, Any] | None = None,
    now: datetime = LATER,
    **changes: Any,
) -> Driver:
    """Return a new run with ``past``, an hour later."""
    graph = definition or of.definition
    start = descend(past[0], graph, now=now, run_id="new", **changes)
    return Driver(graph, begun=fork(past, start, graph, state or {}), now=now)


def forked(of: Driver, at: int | datetime, **more: Any) -> Driver:
    return begun(of, prefix(of.history, of.definition, at), **more)


def retried(of: Driver, from_step: str | None = None, **more: Any) -> Driver:
    return begun(of, remainder(of.history, of.definition, from_step), **more)


def version_of(driver: Driver, kind: type[Any], name: str | None = None) -> int:
    return next(one.version for one in driver.found(kind) if name in (None, one.step))


TWO_SIDES = flow(
    step("start", emits="go"),
    step("a", "go", emits="a", retry=1),
    step("b", "go", emits="b"),
    step("end", join("a", "b"), returns=True),
)


def half_way() -> Driver:
    """``start`` and ``a`` have completed, ``b`` is under way."""
    driver = Driver(TWO_SIDES)
    driver.do("start", 1, "go", result=1)
    driver.claim("b")
    driver.do("a", 1, "a")
    return driver
