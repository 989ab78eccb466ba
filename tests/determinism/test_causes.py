"""Why two schedules disagree is said where their histories tell it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runfold import Context, Flow
from runfold.testing import Faults, NotDeterministic, assert_deterministic

SLOW = Faults(slow_step=0.4)


def cause_of(flow: Flow[Any, Any], **options: Any) -> str | None:
    with pytest.raises(NotDeterministic) as caught:
        assert_deterministic(flow, 5, schedules=60, **options)
    return caught.value.cause


def reading(*, is_emitted: bool) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("reading")

    @flow.entry(emits=["go"])
    async def begin(number: int, ctx: Context) -> None:
        await ctx.state.set("before all", number)
        ctx.emit("go", number)

    @flow.step(subscribes="go")
    async def writes(number: int, ctx: Context) -> None:
        await ctx.state.set("off", number)

    @flow.step(subscribes="go", emits=["read"])
    async def reads(number: int, ctx: Context) -> int:
        await asyncio.sleep(0.1)
        found = await ctx.state.get("off", 0)
        if is_emitted:
            ctx.emit("read", found)
        return 0 if is_emitted else found

    return flow


@pytest.mark.parametrize(("is_emitted", "does"), [(True, "emits"), (False, "returns")])
def test_who_writes_what_is_read_too_early_is_named(is_emitted: bool, does: str) -> None:
    assert cause_of(reading(is_emitted=is_emitted), faults=SLOW) == (
        f"what step 'reads' {does} depends on whether step 'writes' has written the state key "
        "'off' by then: wait for both (all_of), or let 'writes' emit what 'reads' needs"
    )


def test_a_result_that_depends_on_the_attempt_is_said_to() -> None:
    flow: Flow[Any, Any] = Flow("by-attempt")

    @flow.entry(retry=5)
    async def number(given: int, ctx: Context) -> int:
        return given + ctx.attempt

    cause = cause_of(flow, faults=Faults(crash_worker=0.5))
    assert cause is not None
    assert cause.startswith("step 'number' returns something else when it is tried again")


def test_what_steps_share_outside_of_the_log_is_all_that_is_left() -> None:
    flow: Flow[Any, Any] = Flow("shared")
    order: list[str] = []

    @flow.entry(emits=["go"])
    async def begin(number: int, ctx: Context) -> None:
        order.clear()
        ctx.emit("go", number)

    @flow.step(subscribes="go")
    async def one(number: int) -> int:
        order.append("one")
        return 0

    @flow.step(subscribes="go")
    async def other(number: int) -> int:
        await asyncio.sleep(0.1)
        return len(order)

    assert cause_of(flow, faults=SLOW) == (
        "step 'other' returns something else for the same input: it reads the state, the time, "
        "or something shared with other steps"
    )
