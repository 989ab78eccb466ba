"""One handler alone: what it is given, and what is kept of what it did."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from runfold import (
    Context,
    Flow,
    InvalidDefinition,
    InvalidInput,
    Queue,
    Retry,
    SyncContext,
    Topic,
)
from runfold.define.context import TransactionMisused
from runfold.runtime.context_attempt import UndeclaredEmit
from runfold.testing import context


class Paid(BaseModel):
    order: int
    at: datetime | None = None


paid = Topic("paid", Paid)
orders: Flow[Any, Any] = Flow("orders")
letters = Queue("letters", retry=Retry(2))


@orders.entry(emits=[paid, "noted"])
async def charge(order: int, ctx: Context) -> str:
    ctx.progress(50, "half", {"order": order})
    ctx.log.info("charging", order=order)
    ctx.record("card", {"last": "4242"})
    ctx.write("a")
    ctx.write("b")
    ctx.write("!", stream="side")
    await ctx.state.add("charged")
    ctx.emit(paid, Paid(order=order, at=NOON))
    return await ctx.deps.charge(order)


def undo(result: int, ctx: SyncContext) -> None:
    ctx.log.warning(f"unpacked {result}")


@orders.step(subscribes=paid, compensate=undo)
def pack(given: Paid, ctx: SyncContext) -> int:
    ctx.state.set("packed", given.order)
    return ctx.state.get("packed", type=int) or 0


@letters.job()
async def send(letter: str, ctx: Context) -> str:
    return f"{letter} {ctx.queue} {ctx.attempt}"


@letters.job(process=True)
def render(letter: str, ctx: SyncContext) -> str:
    return letter


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Bank:
    async def charge(self, order: int) -> str:
        return f"charged {order}"


def awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


# What a handler reads.


def test_a_handler_reads_what_the_test_gave() -> None:
    id = "0190aaaa-0000-7000-8000-000000000001"
    ctx = context(
        deps="deps", attempt=3, input={"a": [1]}, tags=["x", "y"], run_id=id, queue="slow",
        trigger="paid", due_at=NOON,
    )  # fmt: skip
    assert (ctx.deps, ctx.attempt, ctx.input, ctx.tags) == ("deps", 3, {"a": [1]}, ("x", "y"))
    assert (ctx.run_id, ctx.queue, ctx.trigger, ctx.due_at) == (id, "slow", "paid", NOON)
    assert ctx.step_id == f"{id}__step__attempt-3"
    assert not ctx.cancelled.is_set()


def test_a_known_step_is_called_as_it_is_called() -> None:
    ctx = context(flow=orders, step=charge)
    assert (ctx.flow_name, ctx.step_name) == ("orders", "charge")
    assert context(flow=orders, step="charge").step_name == "charge"
    assert context(step=send).flow_name == "letters/send"
    assert context(flow=orders, step=undo, sync=True).step_name == "pack.compensate"


def test_a_job_runs_alone() -> None:
    assert awaited(send("hello", context(step=send, attempt=2, queue="letters"))) == (
        "hello letters 2"
    )


def test_an_input_is_read_as_it_is_stored() -> None:
    ctx = context(flow=orders, step=pack, sync=True, input=Paid(order=1, at=NOON))
    assert ctx.input == {"order": 1, "at": "2026-01-01T12:00:00Z"}
    with pytest.raises(InvalidInput):
        context(flow=orders, step=pack, sync=True, input={"order": "no number"})


# What a handler did.


def test_everything_that_a_handler_does_is_kept() -> None:
    ctx = context(deps=Bank())
    assert awaited(charge(7, ctx)) == "charged 7"
    assert ctx.progressed == [(50, "half", {"order": 7})]
    assert ctx.logged == [("info", "charging", {"order": 7})]
    assert ctx.recorded == [("card", {"last": "4242"})]
    assert ctx.output == {"output": "ab", "side": "!"}
    assert ctx.changed == [("add", "charged", 1, None)]
    assert ctx.data == {"charged": 1}
    assert ctx.emitted == [("paid", {"order": 7, "at": "2026-01-01T12:00:00Z"})]
    assert ctx.emitted[0].payload["order"] == 7


def test_a_sync_handler_is_kept_too() -> None:
    ctx = context(sync=True, state={"packed": 1, "other": [1]})
    assert pack(Paid(order=7), ctx) == 7
    assert ctx.data == {"packed": 7, "other": [1]}
    ctx = context(flow=orders, step=undo, sync=True)
    undo(7, ctx)
    assert ctx.logged == [("warning", "unpacked 7", {})]


def test_an_undeclared_topic_is_refused_where_the_step_is_known() -> None:
    ctx = context(flow=orders, step=charge)
    ctx.emit("noted", {"any": 1})
    with pytest.raises(UndeclaredEmit, match="'shipped' and does not declare it"):
        ctx.emit("shipped")
    assert ctx.emitted == [("noted", {"any": 1})]


def test_any_topic_is_taken_where_no_step_is_known_but_held_to_its_type() -> None:
    ctx = context()
    ctx.emit("whatever", [1])
    ctx.emit(paid, Paid(order=1))
    with pytest.raises(InvalidInput):
        ctx.emit(paid, {"order": "no number"})  # type: ignore[arg-type]
    assert [one.name for one in ctx.emitted] == ["whatever", "paid"]


def test_two_contexts_share_nothing() -> None:
    first, second = context(), context()
    first.emit("a")
    awaited(first.state.set("key", 1))
    assert (second.emitted, second.data) == ([], {})


@pytest.mark.parametrize("sync", [False, True])
def test_what_the_engine_refuses_is_refused(sync: bool) -> None:
    ctx: Any = context(sync=sync)  # type: ignore[call-overload]
    with pytest.raises(InvalidInput, match="from 0 to 100"):
        ctx.progress(101)
    with pytest.raises(InvalidInput):
        ctx.emit("a", float("nan"))
    with pytest.raises(InvalidInput, match="expected some text"):
        ctx.record("")
    with pytest.raises(InvalidInput, match="expected a text"):
        ctx.write(b"bytes")
    assert (ctx.progressed, ctx.emitted, ctx.recorded, ctx.output) == ([], [], [], {})


# State.


def test_the_state_goes_through_its_stored_form() -> None:
    async def body(ctx: Context) -> None:
        await ctx.state.set("pair", (1, NOON))
        await ctx.state.append("list", {"n": 1})
        await ctx.state.set("brief", 1, ttl=60)
        assert await ctx.state.get("pair") == [1, "2026-01-01T12:00:00Z"]
        assert await ctx.state.get("list") == [0, {"n": 1}]
        assert await ctx.state.get("none", 5) == 5
        await ctx.state.delete("gone")
        assert await ctx.state.get("gone") is None

    ctx = context(state={"list": [0], "gone": 1})
    awaited(body(ctx))
    assert ctx.data == {"pair": [1, "2026-01-01T12:00:00Z"], "list": [0, {"n": 1}], "brief": 1}
    assert ctx.changed[2] == ("set", "brief", 1, 60)


def test_what_a_handler_gets_of_the_state_is_its_own() -> None:
    before = {"list": [1]}
    ctx = context(sync=True, state=before)
    ctx.state.get("list").append(2)
    ctx.data["list"].append(3)
    assert ctx.state.get("list") == [1]
    assert before == {"list": [1]}


def test_a_state_that_cannot_be_stored_is_refused() -> None:
    with pytest.raises(InvalidInput, match="state 'at'"):
        context(state={"at": object()})
    with pytest.raises(InvalidInput, match="more than 0"):
        context(sync=True).state.set("a", 1, ttl=timedelta(0))


# Cancelling.


def test_a_handler_may_be_cancelled_before_and_while_it_runs() -> None:
    ctx = context(cancelled="too late")
    assert (ctx.cancelled.is_set(), ctx.cancelled.reason) == (True, "too late")
    ctx.cancel("again")
    assert ctx.cancelled.reason == "too late"

    async def body() -> str | None:
        ctx = context()
        waiting = asyncio.ensure_future(ctx.cancelled.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        ctx.cancel("changed my mind")
        await waiting
        return ctx.cancelled.reason

    assert awaited(body()) == "changed my mind"


def test_a_thread_is_told_too() -> None:
    ctx = context(sync=True)
    assert not ctx.cancelled.wait(0)
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(ctx.cancelled.wait(30)))
    thread.start()
    ctx.cancel()
    thread.join()
    assert told == [True]


# Transactions.


def test_a_transaction_yields_what_the_test_gave_once() -> None:
    async def body(ctx: Context) -> None:
        async with ctx.transaction() as connection:
            assert connection is given
        with pytest.raises(TransactionMisused, match="has had a transaction"):
            async with ctx.transaction():
                raise AssertionError

    given = object()
    awaited(body(context(transaction=given)))
    ctx = context(sync=True, transaction=given)
    with pytest.raises(ZeroDivisionError), ctx.transaction() as connection:
        _ = 1 / (0 if connection is given else 1)
    with pytest.raises(TransactionMisused, match="has had"), ctx.transaction():
        raise AssertionError


def test_a_transaction_that_nobody_gave_is_refused() -> None:
    with (
        pytest.raises(TransactionMisused, match=r"context\(transaction=...\)"),
        context(sync=True).transaction(),
    ):
        raise AssertionError


def test_a_handler_in_a_process_has_no_transaction_and_no_deps() -> None:
    ctx = context(step=render, sync=True, transaction=object(), deps=1)
    with pytest.raises(TransactionMisused, match="process of its own"), ctx.transaction():
        raise AssertionError
    with pytest.raises(RuntimeError, match="process=True"):
        _ = ctx.deps
    assert render("x", ctx) == "x"


# What cannot be.


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"flow": orders}, "say which: step="),
        ({"step": charge}, "say which: flow="),
        ({"flow": orders, "step": "ship"}, r"no step of flow 'orders', which has \['charge'"),
        ({"flow": orders, "step": charge, "sync": True}, "is `async def`, and sync=True"),
        ({"flow": orders, "step": pack}, "is `def`, and sync=False"),
        ({"step": render}, "is `def`"),
    ],
)
def test_a_step_that_cannot_be_meant_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDefinition, match=said):
        context(**options)


@pytest.mark.parametrize("options", [{"attempt": 0}, {"run_id": "no id"}])
def test_a_number_or_id_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"attempt is 0|hexadecimal"):
        context(**options)


def test_the_flow_can_still_be_changed_after_its_step_was_looked_up() -> None:
    flow: Flow[Any, Any] = Flow("open")
    flow.entry("first")(send.fn)
    context(flow=flow, step="first")
    flow.step("second", subscribes="x")(send.fn)
    assert len(flow.declared) == 2
