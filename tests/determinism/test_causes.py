"""Why two schedules disagree is said where their histories tell it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runfold import Context, Flow, failed
from runfold.testing import Faults, NotDeterministic, Stuck, assert_deterministic, effect

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


def fanned(name: str, *, emits: tuple[str, ...] = ()) -> tuple[Flow[Any, Any], Any]:
    flow: Flow[Any, Any] = Flow(name)

    @flow.entry(emits=["item"])
    async def split(count: int, ctx: Context) -> None:
        for number in range(count):
            ctx.emit("item", number)

    return flow, flow.step("each", subscribes="item", emits=emits, retry=9)


def test_floats_that_are_added_are_told_apart_from_a_lost_update() -> None:
    flow, each = fanned("floats")

    @each
    async def add(number: int, ctx: Context) -> None:
        await ctx.state.add("sum", [0.1, 1e16, -1e16, 0.3, 0.7][number])

    assert cause_of(flow) == (
        "several activations of step 'each' add to the state key 'sum'; a sum of floats depends "
        "on the order in which they are added: add whole numbers (cents), or collect their "
        "results and sum those (math.fsum)"
    )


def test_who_counts_while_others_still_add_is_named() -> None:
    flow, each = fanned("counting", emits=("all",))

    @each
    async def count(number: int, ctx: Context) -> None:
        before = await ctx.state.get("count", 0)
        await ctx.state.add("count")
        if before == 4:
            ctx.emit("all", number)

    assert cause_of(flow) == (
        "what step 'each' emits may depend on how many have added to the state key 'count' by "
        "then; if it reads it, let one step behind all of them (collect) do so"
    )


def test_a_counter_that_nobody_reads_is_not_accused() -> None:
    flow, each = fanned("by-attempt", emits=("numbered",))

    @each
    async def number(given: int, ctx: Context) -> None:
        await ctx.state.add("count")
        ctx.emit("numbered", f"{given}-{ctx.attempt}")

    cause = cause_of(flow, faults=Faults(crash_worker=0.5))
    assert cause is not None
    assert cause.startswith("step 'each' emits something else when it is tried again")


def test_an_emit_that_is_there_or_not_has_a_cause_too() -> None:
    flow: Flow[Any, Any] = Flow("late")

    @flow.entry(emits=["late"], retry=9)
    async def look(given: int, ctx: Context) -> None:
        if asyncio.get_running_loop().time() > 1:
            ctx.emit("late", given)

    cause = cause_of(flow, faults=Faults(crash_worker=0.5))
    assert cause is not None
    assert cause.startswith("step 'look' emits something else when it is tried again")
    assert "how late it is" in cause


def test_what_outlives_a_run_is_told_apart_from_chance() -> None:
    flow: Flow[Any, Any] = Flow("remembering")
    seen: list[int] = []

    @flow.entry()
    async def remember(given: int) -> int:
        seen.append(given)
        return len(seen)

    cause = cause_of(flow)
    assert cause is not None
    assert "no handler has asked a clock or chance: step 'remember' goes by something" in cause
    assert "make_deps=" in cause


class Bank:
    def __init__(self) -> None:
        self.charged: set[str] = set()

    def charge(self, order: str, key: str) -> None:
        if key not in self.charged:
            self.charged.add(key)
            effect("charge", order)


def test_a_flow_may_go_by_its_own_id() -> None:
    flow: Flow[Any, Any] = Flow("by-id")

    @flow.entry(emits=["ticket"], retry=9)
    async def charge(given: int, ctx: Context) -> str:
        ctx.deps.charge("order", ctx.job_id)
        ctx.emit("ticket", ctx.job_id)
        return ctx.run_id

    outcome = assert_deterministic(flow, 5, schedules=100, make_deps=Bank)
    assert outcome.effects == {"charge(order)": 1}


def waiting(flow: Flow[Any, Any], *, is_patient: bool) -> Flow[Any, Any]:
    @flow.entry(retry=9)
    async def wait(given: int, ctx: Context) -> None:
        if not is_patient or ctx.attempt > 1:
            await asyncio.get_running_loop().create_future()

    return flow


def test_a_run_that_never_ends_is_stuck_and_no_matter_of_timing() -> None:
    with pytest.raises(Stuck, match="the handler of 'wait', attempt 1, has not returned"):
        assert_deterministic(waiting(Flow("endless"), is_patient=False), 5)


def test_a_run_that_never_ends_when_something_goes_wrong_says_what_waits() -> None:
    flow = waiting(Flow("endless"), is_patient=True)
    with pytest.raises(NotDeterministic) as caught:
        assert_deterministic(flow, 5, schedules=60, faults=Faults(crash_worker=0.5))
    assert [str(one) for one in caught.value.differences] == ['status: "completed" or "stuck"']
    assert "the handler of 'wait', attempt 2, has not returned" in str(caught.value)


def forked(name: str) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow(name)

    @flow.entry(emits=["go"])
    async def begin(number: int, ctx: Context) -> None:
        await ctx.state.set("lock", number)
        ctx.emit("go", number)

    return flow


def test_who_writes_behind_another_is_no_race_but_read_too_early() -> None:
    flow = forked("unlocked")

    @flow.step(subscribes="go")
    async def unlock(_: int, ctx: Context) -> None:
        await ctx.state.delete("lock")

    @flow.step(subscribes="go", emits=["locked"])
    async def look(_: int, ctx: Context) -> None:
        if await ctx.state.get("lock"):
            ctx.emit("locked", None)

    cause = cause_of(flow)
    assert cause is not None
    assert cause.startswith("what step 'look' emits ")
    assert "'unlock'" in cause
    assert "the state key 'lock'" in cause


def test_of_two_steps_that_fail_the_earlier_one_is_said_to_decide() -> None:
    flow = forked("failing")

    @flow.step(subscribes="go", retry=1, timeout=5)
    async def late(_: int) -> None:
        await asyncio.sleep(10)

    @flow.step(subscribes="go", retry=1)
    async def wrong(_: int) -> None:
        await asyncio.sleep(5)
        raise ValueError("wrong")

    cause = cause_of(flow)
    assert cause is not None
    assert cause.startswith("the first step that fails ends the run: ")
    assert "'late'" in cause
    assert "'wrong'" in cause


def test_state_that_lapses_is_named_with_its_span() -> None:
    flow: Flow[Any, Any] = Flow("lapsing")

    @flow.entry(emits=["go"])
    async def begin(number: int, ctx: Context) -> None:
        await ctx.state.set("key", number, ttl=5)
        ctx.emit("go", number)

    @flow.step(subscribes="go", retry=9)
    async def look(_: int, ctx: Context) -> Any:
        return await ctx.state.get("key")

    cause = cause_of(flow, faults=Faults(crash_worker=0.5))
    assert cause is not None
    assert cause.startswith("the state key 'key' has a ttl of 5 s")


def test_attempts_that_are_used_up_are_named() -> None:
    flow = forked("used-up")

    @flow.step(subscribes="go", retry=2)
    async def works(number: int) -> int:
        return number

    @flow.step(subscribes=failed(works))
    async def heals(_: Any) -> str:
        return "healed"

    plan = Faults(crash_worker=0.4, spare_last_attempt=False)
    cause = cause_of(flow, faults=plan)
    assert cause is not None
    assert cause.startswith("step 'works' has used up its attempts in one of them")


def test_how_many_schedules_is_a_number() -> None:
    with pytest.raises(ValueError, match=r"schedules is 2\.5, expected a whole number"):
        assert_deterministic(forked("any"), 5, schedules=2.5)  # type: ignore[arg-type]
