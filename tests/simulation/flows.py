"""Flows whose outcome depends on nothing but their input, whatever goes wrong under them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runfold import (
    Context,
    Flow,
    PermanentError,
    Retry,
    SyncContext,
    after,
    all_of,
    collect,
    failed,
)

PATIENT = Retry(6, base=0.1, cap=2.0)
"""Enough attempts for processes that die, all of them on the way to the same end."""
AnyFlow = Flow[Any, Any]


def chain() -> AnyFlow:
    """Step after step, sync and async, with state of every kind."""
    flow: AnyFlow = Flow("chain")

    @flow.entry(retry=PATIENT)
    async def first(number: int, ctx: Context) -> int:
        await ctx.state.add("passes")
        await asyncio.sleep(0.5)
        return number + 1

    @flow.step(subscribes=after(first), retry=PATIENT)
    def second(number: int, ctx: SyncContext) -> int:
        ctx.log.info("second", number=number)
        ctx.state.add("passes")
        ctx.state.append("seen", number)
        return number * 2

    @flow.step(subscribes=after(second), retry=PATIENT, returns=True)
    async def third(number: int, ctx: Context) -> int:
        await ctx.state.add("passes")
        return number + int(await ctx.state.get("passes"))

    return flow


def diamond() -> AnyFlow:
    """Two ways that meet again."""
    flow: AnyFlow = Flow("diamond")

    @flow.entry(emits=["left", "right"], retry=PATIENT)
    async def split(number: int, ctx: Context) -> None:
        ctx.emit("left", number)
        ctx.emit("right", -number)

    @flow.step(subscribes="left", retry=PATIENT)
    async def one(number: int) -> int:
        await asyncio.sleep(0.01)
        return number

    @flow.step(subscribes="right", retry=PATIENT)
    def other(number: int) -> int:
        return number

    @flow.step(subscribes=all_of(a=after(one), b=after(other)), retry=PATIENT, returns=True)
    async def join(parts: dict[str, int]) -> list[int]:
        return [parts["a"], parts["b"]]

    return flow


def fan() -> AnyFlow:
    """One for each item, joined per item, collected in order."""
    flow: AnyFlow = Flow("fan")

    @flow.entry(emits=["item"], retry=PATIENT)
    async def spread(count: int, ctx: Context) -> None:
        for number in range(count):
            ctx.emit("item", number)

    @flow.step(subscribes="item", retry=PATIENT)
    async def square(number: int, ctx: Context) -> int:
        await asyncio.sleep(number % 3)
        if ctx.attempt == 1 and number % 2:
            raise ValueError("not at first")
        return number * number

    @flow.step(subscribes="item", retry=PATIENT)
    def double(number: int, ctx: SyncContext) -> int:
        ctx.state.add("doubled")
        return number * 2

    @flow.step(subscribes=all_of(s=after(square), d=after(double)), retry=PATIENT)
    async def pair(parts: dict[str, int]) -> int:
        return parts["s"] - parts["d"]

    @flow.step(subscribes=collect(after(pair)), retry=PATIENT, returns=True)
    async def total(numbers: list[int]) -> list[int]:
        return numbers

    return flow


def failing(policy: Any) -> AnyFlow:
    """One of the ways fails for good."""
    flow: AnyFlow = Flow(f"failing-{policy}", failure=policy)

    @flow.entry(emits=["a", "b"], retry=PATIENT)
    async def begin(number: int, ctx: Context) -> None:
        ctx.emit("a", number)
        ctx.emit("b", number)

    @flow.step(subscribes="a", retry=PATIENT)
    async def breaks(number: int) -> int:
        raise PermanentError("no stock")

    @flow.step(subscribes="b", retry=PATIENT)
    async def works(number: int) -> int:
        return number

    return flow


def rescued() -> AnyFlow:
    """What fails is handled."""
    flow: AnyFlow = Flow("rescued")

    @flow.entry(retry=PATIENT)
    async def tries(number: int) -> int:
        raise PermanentError("broken")

    @flow.step(subscribes=failed(tries), retry=PATIENT, returns=True)
    async def rescues(failure: Any) -> str:
        return f"rescued from {failure['error']['message']}"

    return flow


def compensated() -> AnyFlow:
    """What was done is undone, last first."""
    flow: AnyFlow = Flow("compensated")

    async def unbook(booked: int, ctx: Context) -> None:
        await ctx.state.append("undone", booked)

    def unpay(paid: int, ctx: SyncContext) -> None:
        ctx.state.append("undone", paid)

    @flow.entry(retry=PATIENT)
    async def begin(number: int) -> int:
        return number

    @flow.step(subscribes=after(begin), compensate=unbook, retry=PATIENT)
    async def book(number: int) -> int:
        return number

    @flow.step(subscribes=after(book), compensate=unpay, retry=PATIENT)
    def pay(number: int) -> int:
        return number * 10

    @flow.step(subscribes=after(pay), retry=PATIENT)
    async def ship(number: int) -> int:
        await asyncio.sleep(1)
        raise PermanentError("lost at sea")

    return flow


FLOWS: dict[str, Callable[[], AnyFlow]] = {
    "chain": chain,
    "diamond": diamond,
    "fan": fan,
    "failing-stop": lambda: failing("stop"),
    "failing-finish": lambda: failing("finish"),
    "failing-ignore": lambda: failing("ignore"),
    "rescued": rescued,
    "compensated": compensated,
}
