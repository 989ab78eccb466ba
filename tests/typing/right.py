"""Programs that are right: a type checker has nothing to say about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypedDict, assert_type

from models import Note, Prepared, Processed, Raw, Report

from runfold import (
    Concurrency,
    Context,
    Failure,
    Flow,
    MinDelay,
    Queue,
    RateLimit,
    Retry,
    SyncContext,
    Topic,
    after,
    all_of,
    any_of,
    collect,
    failed,
)

prepared = Topic("data.prepared", Prepared)
noted = Topic("note.written", Note)
counted = Topic("counted", list[int])
maybe = Topic("maybe", int | None)
nothing = Topic("nothing", None)
anything = Topic("anything")

assert_type(prepared, Topic[Prepared])
assert_type(nothing, Topic[None])
assert_type(anything, Topic[Any])
assert_type(counted, Topic[list[int]])

bare = Flow("bare")
flow = Flow("my-flow", input=Raw, result=Report, failure="finish", deadline=timedelta(hours=1))
half = Flow("half", input=dict[str, int])
loose = Flow("loose", input=int | None, result=Report, state_cleanup=3600)

assert_type(flow, Flow[Raw, Report])
assert_type(bare, Flow[Any, Any])
assert_type(half, Flow[dict[str, int], Any])


# Handlers: (), (input) and (input, ctx); async def with Context, def with SyncContext.


@flow.entry(emits=[prepared, noted, counted, maybe, nothing, anything, "loose.name"])
async def start(data: Raw, ctx: Context) -> None:
    ctx.log.info("started", size=len(data.rows))
    ctx.emit(prepared, Prepared(count=1))
    ctx.emit(noted, Note("x"))
    ctx.emit(counted, [1, 2])
    ctx.emit(maybe, None)
    ctx.emit(nothing)
    ctx.emit(anything, object())
    ctx.emit("loose.name", {"a": 1})
    ctx.emit("loose.name")
    ctx.progress(50, "half", {"rows": 3})
    ctx.record("seen", {"rows": 3})
    ctx.write("chunk", stream="tokens")
    await ctx.state.set("total", 1, ttl=60)
    await ctx.state.add("total", 2)
    await ctx.state.append("list", "x")
    await ctx.state.delete("total")
    assert_type(await ctx.state.get("total", 0, type=int), int)
    assert_type(await ctx.state.get("total", type=Report), Report | None)
    assert_type(await ctx.state.get("total", "none", type=int), int | str)
    if ctx.cancelled.is_set():
        return
    await ctx.cancelled.wait()


@flow.step(subscribes=prepared, queue="cpu", retry=5, timeout=30)
def process(data: Prepared, ctx: SyncContext) -> Processed:
    ctx.state.set("total", 1)
    assert_type(ctx.state.get("total", 0, type=int), int)
    ctx.cancelled.wait(1)
    return Processed(total=data.count)


@flow.step(subscribes=after(process), returns=True)
async def finish(data: Processed) -> Report:
    return Report(text=str(data.total))


@bare.entry(emits="x")
async def begin() -> int:
    return 1


@bare.step(subscribes="x")
def of_any(data: Report, ctx: SyncContext) -> list[Note]:
    return [Note(data.text)]


@bare.step(subscribes="x", queue=Queue("cpu"), retry=Retry(5, base=2, never=(KeyError,)))
async def of_name(data: dict[str, Any]) -> Note:
    return Note("x")


@half.entry()
def count(data: dict[str, int]) -> int:
    return len(data)


@loose.entry(returns=True)
async def maybe_number(data: int | None, ctx: Context) -> Report:
    return Report(text=str(data))


# Subscriptions.


@flow.step(subscribes=any_of(prepared, noted))
async def either(data: Prepared | Note) -> None: ...


@flow.step(subscribes=collect(prepared, at_least=2))
async def every(data: list[Prepared]) -> None: ...


@flow.step(subscribes=collect(prepared))
async def every_in_order(data: Sequence[Prepared]) -> None: ...


@flow.step(subscribes=collect(any_of(after(process), failed(process))))
async def all_or_nothing(data: list[Processed | Failure[Prepared]], ctx: Context) -> None:
    for one in data:
        if isinstance(one, Failure):
            assert_type(one.input, Prepared)
            ctx.log.error(one.error.message, attempts=one.attempts)


@flow.step(subscribes=failed(process))
def on_failure(failure: Failure[Prepared], ctx: SyncContext) -> None:
    ctx.log.warning("failed", step=failure.step, count=failure.input.count)


class Joined(TypedDict):
    left: Prepared
    right: Processed


@flow.step(subscribes=all_of(left=prepared, right=after(process), by="order_id"))
async def joined(data: Joined) -> None: ...


@flow.step(subscribes=all_of("x", "y"))
async def joined_by_name(data: dict[str, Any]) -> None: ...


@flow.step(subscribes=after("process"))
async def after_name(data: Processed) -> None: ...


@flow.step(subscribes=prepared)
async def wider(data: object) -> Any: ...


# One function in several flows; the function is what it was.


@bare.step(subscribes=prepared)
@flow.step("again", subscribes=prepared, formerly=["once"])
async def shared(data: Prepared) -> Processed:
    return Processed(total=data.count)


def undo(result: Processed, ctx: SyncContext) -> None: ...


@flow.step(subscribes=noted, compensate=undo)
def charge(data: Note) -> Processed:
    return Processed(total=1)


async def test_of_a_unit(ctx: Context, sync_ctx: SyncContext) -> None:
    assert_type(await finish(Processed(total=1)), Report)
    assert_type(process(Prepared(count=1), sync_ctx), Processed)
    assert_type(await shared(Prepared(count=1)), Processed)
    assert_type(of_any(data=Report(text="x"), ctx=sync_ctx), list[Note])
    await start(Raw(rows=[1]), ctx)
    assert_type(await begin(), int)


# Jobs.

mail = Queue("mail", retry=3, timeout=10)


@mail.job(priority=7, process=True)
def send(note: Note, ctx: SyncContext) -> Report:
    return Report(text=note.text)


@mail.job("other", retry=Retry(2, never=[ValueError]), timeout=timedelta(minutes=1))
async def fetch(note: Note) -> list[int]:
    return [len(note.text)]


@mail.job()
async def tick() -> None: ...


async def test_of_jobs(ctx: SyncContext) -> None:
    assert_type(send(Note("x"), ctx), Report)
    assert_type(await fetch(Note("x")), list[int])
    await tick()


# Classes as jobs, and limits.


class Render:
    async def execute(self, note: Note, ctx: Context) -> Report:
        return Report(text=note.text)


class Shrink:
    def __init__(self, quality: int = 80) -> None:
        self.quality = quality

    def execute(self, note: Note) -> list[int]:
        return [self.quality]


class Sweep:
    def execute(self) -> int:
        return 1


# mypy leaves a decorated class what it was: there a job of a class gets a name of its own.
render = mail.job(
    "render", limits=[Concurrency(2, key="text"), RateLimit(4, timedelta(minutes=1), even=True)]
)(Render)
shrink = mail.job("shrink", limits=MinDelay(1))(Shrink)
sweep = mail.job("sweep")(Sweep)


limited = Queue("limited", concurrency=2, limits=[MinDelay(0.5, key="@run")])


@bare.step(subscribes="x", limits=Concurrency(1, key="@flow"))
async def limited_step(data: Any) -> None: ...


async def test_of_classes(ctx: Context) -> None:
    assert_type(await render(Note("x"), ctx), Report)
    assert_type(shrink(Note("x")), list[int])
    assert_type(sweep(), int)
