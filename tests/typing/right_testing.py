"""Tests of one's own handlers, as type checkers must accept them."""

from __future__ import annotations

from typing import Any, assert_type

from models import Note, Report

from runfold import Context, Flow, Queue, SyncContext
from runfold.testing import HandlerContext, SyncHandlerContext, context

notes = Queue("notes")
flow: Flow[Note, Any] = Flow("f")


@flow.entry()
async def read(note: Note, ctx: Context) -> Report:
    return Report(text=note.text)


@notes.job()
def send(note: Note, ctx: SyncContext) -> Report:
    return Report(text=note.text)


async def test_of_a_handler_alone() -> None:
    ctx = context(flow=flow, step=read, state={"a": 1}, tags=["x"])
    assert_type(ctx, HandlerContext)
    assert_type(await read(Note("x"), ctx), Report)
    name, payload = ctx.emitted[0]
    assert_type(name, str)
    assert_type(ctx.data, dict[str, Any])
    _ = payload, ctx.progressed[0].percent, ctx.logged[0].level, ctx.recorded[0].type
    ctx.cancel("enough")


def test_of_a_sync_handler_alone() -> None:
    ctx = context(sync=True, step=send)
    assert_type(ctx, SyncHandlerContext)
    assert_type(send(Note("x"), ctx), Report)
    assert_type(ctx.output, dict[str, str])
