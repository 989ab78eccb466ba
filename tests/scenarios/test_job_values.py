"""What goes into jobs, what comes out, and what they tell on the way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from runfold import Context, InvalidInput, Queue, Retry, RunFailed, Runfold, SyncContext
from scenarios.scene import finished, history, scenario


class Colour(Enum):
    RED = "red"


class Line(BaseModel):
    sku: str
    count: int = Field(gt=0)


class Order(BaseModel):
    id: UUID
    at: datetime
    total: Decimal
    lines: list[Line]
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Receipt:
    order: Order
    paid: Decimal


class Sum(TypedDict):
    total: Decimal


ORDER = Order(
    id=UUID(int=7),
    at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    total=Decimal("10.10"),
    lines=[Line(sku="a", count=2)],
)

shop = Queue("shop", retry=Retry(3, base=0.01))


@shop.job()
async def pay(order: Order) -> Receipt:
    assert isinstance(order.at, datetime)
    assert isinstance(order.lines[0], Line)
    return Receipt(order, order.total)


@shop.job()
def add(orders: list[Order]) -> Sum:
    return {"total": sum((order.total for order in orders), Decimal())}


@shop.job()
async def wrong(data: Any) -> Order:
    return {"id": "nobody", "lines": [{"sku": "a", "count": 0}]}  # type: ignore[return-value]


@shop.job(process=True)
def in_a_process(order: Order, ctx: SyncContext) -> Receipt:
    ctx.progress(50, "half")
    ctx.log.info("here", pid=os.getpid())
    return Receipt(order, Decimal(os.getpid()))


@shop.job()
def plain(data):  # type: ignore[no-untyped-def]
    return data


@scenario
async def test_models_go_in_and_come_out_as_what_they_are(url: str) -> None:
    async with Runfold(url, queues=[shop]) as rf:
        run = await finished(rf, pay, ORDER)
        assert await run.result() == Receipt(ORDER, Decimal("10.10"))
        assert (await (await rf.get(run.id, of=pay)).result()).order == ORDER
        as_plain = await rf.get(run.id)
        assert (await as_plain.result())["order"]["total"] == "10.10"
        assert await (await finished(rf, add, [ORDER, ORDER])).result() == {
            "total": Decimal("20.20")
        }


@scenario
async def test_a_value_without_annotation_comes_back_as_plain_json(url: str) -> None:
    given = {"a": (1, 2), "d": Decimal("1.5"), "t": ORDER.at, "é": None, "order": ORDER}
    async with Runfold(url, queues=[shop]) as rf:
        result = await (await finished(rf, plain, given)).result()
    assert result["a"] == [1, 2]
    assert (result["d"], result["t"], result["é"]) == ("1.5", "2026-01-02T03:04:05.678901Z", None)
    assert result["order"]["lines"] == [{"sku": "a", "count": 2}]


@scenario
async def test_an_input_may_be_given_as_plain_json(url: str) -> None:
    async with Runfold(url, queues=[shop]) as rf:
        run = await finished(rf, "shop/pay", ORDER.model_dump(mode="json"))
        assert (await run.state()).input == ORDER.model_dump(mode="json")


@scenario
async def test_a_wrong_input_is_refused_with_its_fields_and_nothing_is_stored(url: str) -> None:
    wrong_order = {"id": "x", "at": "2026-01-01", "total": 1, "lines": [{"sku": "a", "count": 0}]}
    async with Runfold(url, queues=[shop]) as rf:
        await rf.run_until_idle()
        head = [event.id async for event in rf.events()][-1]
        with pytest.raises(InvalidInput) as caught:
            await rf.start(pay, wrong_order)  # type: ignore[arg-type]
        assert [event.id async for event in rf.events()][-1] == head
    error = caught.value
    assert (error.code, error.status) == ("VALIDATION_ERROR", 422)
    places = {fault["loc"] for fault in error.details}
    assert {"id", "lines.0.count"} <= places
    assert all(fault["msg"] for fault in error.details)


@scenario
async def test_a_wrong_result_fails_at_once_with_its_fields(url: str) -> None:
    async with Runfold(url, queues=[shop]) as rf:
        run = await rf.start(wrong)
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert len(await history(run, "step.started")) == 1
        assert not await history(run, "step.retry")
    error = caught.value.error
    assert error.code == "VALIDATION_ERROR"
    assert "lines.0.count" in {fault["loc"] for fault in error.details}


@scenario
async def test_a_handler_in_a_process_of_its_own(url: str) -> None:
    async with Runfold(url, queues=[shop]) as rf:
        run = await finished(rf, in_a_process, ORDER)
        receipt = await run.result()
        (progress,) = await history(run, "step.progress")
        (line,) = await history(run, "log")
    assert receipt.order == ORDER
    assert receipt.paid != os.getpid()
    assert line.data["meta"] == {"pid": int(receipt.paid)}
    assert progress.data["message"] == "half"


@scenario
async def test_progress_is_told_in_order_and_then_the_result(url: str) -> None:
    queue = Queue("q")

    @queue.job()
    async def work(data: Any, ctx: Context) -> str:
        for n in (1, 2, 3, 4):
            ctx.progress(25 * n, f"part {n}", {"n": n})
        return "done"

    async with Runfold(url, queues=[queue]) as rf:
        run = await rf.start(work)
        followed = [event async for event in run.events(follow=True)]
        heard = [event async for event in rf.events(types=["step.progress", "flow.completed"])]
        state = await run.state()
    told = [event for event in followed if event.type in ("step.progress", "flow.completed")]
    assert told == heard
    assert [event.data["percent"] for event in told[:4]] == [25, 50, 75, 100]
    assert [event.data["message"] for event in told[:4]] == [f"part {n}" for n in (1, 2, 3, 4)]
    assert [event.data["details"] for event in told[:4]] == [{"n": n} for n in (1, 2, 3, 4)]
    assert (told[4].type, told[4].data["result"]) == ("flow.completed", "done")
    assert state.progress == 100


@scenario
async def test_records_logs_and_output_are_kept_in_order(url: str) -> None:
    queue = Queue("q")

    @queue.job()
    async def work(data: Any, ctx: Context) -> None:
        ctx.record("invoice.sent", {"to": "ann", "at": ORDER.at})
        ctx.log.warning("careful", amount=Decimal("1.5"))
        for word in ("one ", "two ", "three"):
            ctx.write(word)
        ctx.write("beside", stream="errors")
        ctx.record("nothing")

    async with Runfold(url, queues=[queue]) as rf:
        run = await finished(rf, work)
        records = await history(run, "record")
        (line,) = await history(run, "log")
        output = await history(run, "output")
    assert [event.data for event in records] == [
        {"type": "invoice.sent", "data": {"to": "ann", "at": "2026-01-02T03:04:05.678901Z"}},
        {"type": "nothing", "data": None},
    ]
    assert (line.data["level"], line.data["message"]) == ("warning", "careful")
    assert line.data["meta"] == {"amount": "1.5"}
    text = [event.data["chunk"] for event in output if event.data["stream"] == "output"]
    assert "".join(text) == "one two three"
    assert [e.data["chunk"] for e in output if e.data["stream"] == "errors"] == ["beside"]
    assert len(text) <= 2


@pytest.mark.parametrize(
    "misuse",
    [
        lambda ctx: ctx.progress(101),
        lambda ctx: ctx.progress(float("nan")),
        lambda ctx: ctx.record("x", object()),
        lambda ctx: ctx.record(""),
        lambda ctx: ctx.write(b"bytes"),
    ],
    ids=["percent", "nan", "object", "name", "bytes"],
)
@scenario
async def test_what_cannot_be_recorded_fails_the_attempt_for_good(url: str, misuse: Any) -> None:
    queue = Queue("q")

    @queue.job()
    async def work(data: Any, ctx: Context) -> None:
        misuse(ctx)

    async with Runfold(url, queues=[queue]) as rf:
        run = await rf.start(work)
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert caught.value.error.code == "VALIDATION_ERROR"
        assert not await history(run, "step.retry", "record", "output", "step.progress")
