"""Flows that end in the same way whatever happens when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runfold import (
    Context,
    Failure,
    Flow,
    PermanentError,
    Queue,
    SyncContext,
    after,
    all_of,
    any_of,
    collect,
    failed,
)
from runfold.testing import effect

AnyFlow = Flow[Any, Any]


def chain() -> AnyFlow:
    flow: AnyFlow = Flow("chain")

    @flow.entry(emits=["next"])
    async def first(n: int, ctx: Context) -> None:
        ctx.log.info("begun")
        ctx.emit("next", n + 1)

    @flow.step(subscribes="next")
    async def second(n: int) -> int:
        return n + 1

    return flow


def diamond() -> AnyFlow:
    flow: AnyFlow = Flow("diamond")

    @flow.entry(emits=["go"])
    async def split(n: int, ctx: Context) -> None:
        ctx.emit("go", n)

    @flow.step(subscribes="go", emits=["left"])
    async def left(n: int, ctx: Context) -> None:
        await ctx.state.set("left", n)
        ctx.emit("left", n)

    @flow.step(subscribes="go", emits=["right"])
    def right(n: int, ctx: SyncContext) -> None:
        ctx.state.set("right", n)
        ctx.emit("right", n)

    @flow.step(subscribes=all_of("left", "right"), returns=True)
    async def both(parts: dict[str, int], ctx: Context) -> int:
        assert await ctx.state.get("left") == await ctx.state.get("right")
        return sum(parts.values())

    return flow


def fan_out() -> AnyFlow:
    flow: AnyFlow = Flow("fan-out")

    @flow.entry(emits=["item"])
    async def split(n: int, ctx: Context) -> None:
        for item in range(n):
            ctx.emit("item", item)

    @flow.step(subscribes="item", emits=["square"])
    async def square(item: int, ctx: Context) -> None:
        ctx.emit("square", item * item)

    @flow.step(subscribes=collect("square"), returns=True)
    async def together(squares: list[int]) -> list[int]:
        return squares

    return flow


def joins_in_lanes() -> AnyFlow:
    flow: AnyFlow = Flow("joins-in-lanes")

    @flow.entry(emits=["item"])
    async def split(n: int, ctx: Context) -> None:
        for item in range(n):
            ctx.emit("item", item)

    @flow.step(subscribes="item", emits=["x"])
    async def a(item: int, ctx: Context) -> None:
        ctx.emit("x", item)

    @flow.step(subscribes="item", emits=["y"])
    async def b(item: int, ctx: Context) -> None:
        ctx.emit("y", item)

    @flow.step(subscribes=all_of("x", "y"))
    async def pair(parts: dict[str, int]) -> None:
        assert parts["x"] == parts["y"]

    return flow


def counting() -> AnyFlow:
    flow: AnyFlow = Flow("counting")

    @flow.entry(emits=["item"])
    async def split(n: int, ctx: Context) -> None:
        for item in range(n):
            ctx.emit("item", item)

    @flow.step(subscribes="item")
    async def count(item: int, ctx: Context) -> None:
        await ctx.state.add("total", item)

    return flow


def once_by_key() -> AnyFlow:
    flow: AnyFlow = Flow("once-by-key")

    @flow.entry(retry=5)
    async def charge(amount: int, ctx: Context) -> str:
        return str(ctx.deps.charge(ctx.job_id, amount))

    return flow


class Payments:
    """A payment service that knows its idempotency keys."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def charge(self, key: str, amount: int) -> int:
        if key not in self.known:
            self.known.add(key)
            effect("charge", amount)
        return amount


def tried_again() -> AnyFlow:
    flow: AnyFlow = Flow("tried-again")

    @flow.entry(retry=8, emits=["done"])
    async def fetch(n: int, ctx: Context) -> None:
        if ctx.attempt < 3:
            message = "not yet"
            raise ConnectionError(message)
        ctx.emit("done", n)

    @flow.step(subscribes="done", returns=True)
    async def finish(n: int) -> int:
        return n

    return flow


def handled_failure() -> AnyFlow:
    flow: AnyFlow = Flow("handled-failure")

    @flow.entry(emits=["doc"])
    async def split(n: int, ctx: Context) -> None:
        for doc in range(n):
            ctx.emit("doc", doc)

    @flow.step(subscribes="doc")
    async def parse(doc: int) -> int:
        if doc % 2:
            message = "odd"
            raise PermanentError(message)
        return doc

    @flow.step(subscribes=collect(any_of(after(parse), failed(parse))), returns=True)
    async def together(found: list[int | Failure[int]]) -> int:
        return len(found)

    return flow


def loop() -> AnyFlow:
    flow: AnyFlow = Flow("loop")

    @flow.entry(emits=["again"])
    async def begin(n: int, ctx: Context) -> None:
        ctx.emit("again", n)

    @flow.step(subscribes="again", emits=["again", "done"])
    async def work(n: int, ctx: Context) -> None:
        ctx.emit("again" if n else "done", max(0, n - 1))

    @flow.step(subscribes="done", returns=True)
    async def finish(n: int) -> int:
        return n

    return flow


def compensated() -> AnyFlow:
    flow: AnyFlow = Flow("compensated")

    async def give_back(result: Any, ctx: Context) -> None:
        await ctx.state.set("given", result)

    @flow.entry(emits=["order"])
    async def begin(n: int, ctx: Context) -> None:
        ctx.emit("order", n)

    @flow.step(subscribes="order", emits=["booked"], compensate=give_back)
    async def book(n: int, ctx: Context) -> int:
        ctx.emit("booked", n)
        return n

    @flow.step(subscribes="booked")
    async def pay(_: int) -> None:
        message = "no money"
        raise PermanentError(message)

    return flow


MAKERS: tuple[Callable[[], AnyFlow], ...] = (
    chain, diamond, fan_out, joins_in_lanes, counting, once_by_key, tried_again, handled_failure,
    loop, compensated,
)  # fmt: skip


def a_job() -> Queue:
    queue = Queue("mail")

    @queue.job(retry=5)
    async def send(to: str, ctx: Context) -> str:
        ctx.progress(50)
        return f"sent to {to}"

    return queue
