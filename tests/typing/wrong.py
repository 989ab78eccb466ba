"""Programs that are wrong: each line marked ``# wrong`` is an error, and no other is."""

from __future__ import annotations

from typing import Any

from models import Note, Opaque, Prepared, Processed, Raw, Report

from runfold import (
    Concurrency,
    Context,
    Failure,
    Flow,
    Queue,
    SyncContext,
    Topic,
    after,
    collect,
    failed,
)

prepared = Topic("data.prepared", Prepared)
nothing = Topic("nothing", None)
flow = Flow("my-flow", input=Raw, result=Report)
bare = Flow("bare")
mail = Queue("mail")


@flow.entry(emits=[prepared])
async def start(data: Raw, ctx: Context) -> Processed:
    ctx.emit(prepared, Note("x"))  # wrong: the payload
    ctx.emit(prepared)  # wrong: no payload
    ctx.emit(nothing, 1)  # wrong: a payload of nothing
    ctx.emit(5)  # wrong: no topic
    ctx.progress("half")  # wrong: the percentage
    ctx.run_id = "x"  # wrong: not to be set
    number: str = await ctx.state.get("n", 0, type=int)  # wrong: int | int is no str
    print(number)
    return Processed(total=1)


@flow.step(subscribes=prepared)
def on_thread(data: Prepared, ctx: SyncContext) -> Processed:
    print(ctx.state.get("n", 0, type=int).upper())  # wrong: an int has none
    return Processed(total=data.count)


async def not_async(ctx: SyncContext) -> None:
    await ctx.state.set("n", 1)  # wrong: it blocks, there is nothing to await
    await ctx.cancelled.wait()  # wrong: likewise


@flow.entry()  # wrong: the input of the flow is Raw
async def other_input(data: Prepared) -> None: ...


@flow.step(subscribes=prepared)  # wrong: the topic carries Prepared
async def other_payload(data: Processed, ctx: Context) -> None: ...


@flow.step(subscribes=prepared)  # wrong: likewise, of a def
def other_payload_in_thread(data: Processed, ctx: SyncContext) -> None: ...


@flow.step(subscribes=after(on_thread))  # wrong: it returns Processed
async def other_result(data: Prepared) -> None: ...


@flow.step(subscribes=collect(prepared))  # wrong: collect gives a list
async def no_list(data: Prepared) -> None: ...


@flow.step(subscribes=collect(prepared))  # wrong: of other things
async def other_list(data: list[Processed]) -> None: ...


@flow.step(subscribes=failed(on_thread))  # wrong: of a step that took Prepared
async def other_failure(data: Failure[Raw]) -> None: ...


@flow.step(subscribes=prepared)  # wrong: async def takes Context
async def blocking(data: Prepared, ctx: SyncContext) -> None: ...


@flow.step(subscribes=prepared)  # wrong: def takes SyncContext
def waiting(data: Prepared, ctx: Context) -> None: ...


@bare.step(subscribes="x")  # wrong: likewise, whatever the input is
async def blocking_too(data: Any, ctx: SyncContext) -> None: ...


@bare.step(subscribes="x")  # wrong: likewise
def waiting_too(data: Any, ctx: Context) -> None: ...


@flow.step(subscribes=prepared)  # wrong: three parameters
async def too_many(data: Prepared, ctx: Context, more: int) -> None: ...


@flow.step(subscribes=prepared, returns=True)  # wrong: the flow's result is Report
async def no_report(data: Prepared) -> Processed:
    return Processed(total=1)


@flow.step(subscribes=prepared, returns=True)  # wrong: likewise, of a def
def no_report_in_thread(data: Prepared) -> Processed:
    return Processed(total=1)


@flow.step(subscribes=prepared)  # wrong: nobody can store it
async def opaque(data: Prepared) -> Opaque:
    return Opaque()


@mail.job()  # wrong: async def takes Context
async def blocking_job(data: Note, ctx: SyncContext) -> None: ...


@mail.job()  # wrong: def takes SyncContext
def waiting_job(data: Note, ctx: Context) -> None: ...


@flow.step(subscribes=prepared, timout=3)  # wrong: no such option
async def misspelt(data: Prepared) -> None: ...


@flow.step(subscribes=5)  # wrong: nothing to subscribe to
async def number(data: Any) -> None: ...


misspelt_failure = Flow("x", failure="stopp")  # wrong: no such word


@mail.job()
async def fetch(note: Note) -> list[int]:
    return [len(note.text)]


async def call(ctx: Context) -> None:
    await start(Prepared(count=1), ctx)  # wrong: the input
    text: str = await fetch(Note("x"))  # wrong: the result
    await fetch(Raw(rows=[]))  # wrong: the input
    print(text)


class BlockingClass:
    async def execute(self, data: Note, ctx: SyncContext) -> None: ...


mail.job()(BlockingClass)  # wrong: execute of an async def takes Context


Queue("x", limits=[5])  # wrong: a limit is an object
Concurrency("2")  # wrong: max is an int
