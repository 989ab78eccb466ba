"""Handlers that tests run in processes of their own: importable from there."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from pydantic import BaseModel

from runfold.define import Context, SyncContext, Topic
from runfold.errors import PermanentError, RetryableError


class Order(BaseModel):
    id: int


paid = Topic("order.paid", Order)


def works(order: Order, ctx: SyncContext) -> Order:
    """Use everything that a context offers."""
    ctx.log.info("begun", pid=os.getpid())
    logging.getLogger("shop").warning("watch out")
    ctx.progress(50, "half")
    ctx.record("seen", {"id": order.id})
    ctx.write("chunk")
    ctx.emit(paid, order)
    ctx.emit("note", {"a": 1})
    ctx.state.set("last", order)
    ctx.state.add("count")
    assert ctx.state.get("last", type=Order) == order
    assert ctx.state.get("committed") == [1]
    assert ctx.state.get("missing", "default") == "default"
    assert (ctx.step_name, ctx.attempt, ctx.input) == ("s", 2, {"id": 1})
    assert not ctx.cancelled.is_set()
    return Order(id=order.id + 1)


def pid() -> int:
    """Return the process that runs this."""
    return os.getpid()


def raises(kind: str) -> None:
    """Raise as told."""
    errors: dict[str, BaseException] = {
        "value": ValueError("no such row"),
        "permanent": PermanentError("gone"),
        "retryable": RetryableError("busy", retry_after=5),
        "exit": SystemExit(3),
        "key": KeyError("never again"),
    }
    raise errors[kind]


def emits_undeclared(data: Any, ctx: SyncContext) -> None:
    """Emit what the step does not declare, and look away."""
    try:
        ctx.emit("order.lost")
    except Exception:
        ctx.log.info("looked away")


def emits_wrongly(data: Any, ctx: SyncContext) -> None:
    """Emit a payload of another type, by name."""
    ctx.emit("order.paid", {"id": "x"})


def dies() -> None:
    """End the process without a word."""
    os._exit(7)


def spins(data: Any, ctx: SyncContext) -> None:
    """Never end."""
    ctx.progress(1)
    while True:
        time.sleep(0.01)


def waits(data: Any, ctx: SyncContext) -> list[Any]:
    """Wait to be told."""
    ctx.progress(1)
    return [ctx.cancelled.wait(20), ctx.cancelled.reason]


def opaque() -> Any:
    """Return what nobody can store."""
    return object()


async def on_the_loop(data: Any, ctx: Context) -> None:
    """Be no ``def``."""
