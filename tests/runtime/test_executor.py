"""How attempts end: what a handler did, in events; what it raised, in one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from runfold.define import Context, SyncContext, Topic
from runfold.define.options import Retry
from runfold.errors import InvalidInput, PermanentError, RateLimited, RetryableError
from runfold.flow.events import Emit, State, StepCompleted
from runtime.attempts import JOB, NOON, Bench, on_bench


class Order(BaseModel):
    id: int


paid = Topic("order.paid", Order)


def test_an_attempt_ends_with_emits_then_state_then_its_completion() -> None:
    async def handle(order: Order, ctx: Context) -> Order:
        await ctx.state.set("last", order.id, ttl=60)
        ctx.emit(paid, order)
        ctx.emit("note", (1, 2))
        return Order(id=order.id + 1)

    async def given(bench: Bench) -> None:
        drafts = await bench.run(handle, emits=[paid, "note"], input={"id": 1})
        assert [draft.event for draft in drafts[:-1]] == [
            Emit(name="order.paid", payload={"id": 1}),
            Emit(name="note", payload=[1, 2]),
            State(operation="set", key="last", value=1, ttl=60),
        ]
        end = drafts[-1].event
        assert isinstance(end, StepCompleted)
        assert (end.queue, end.result) == ("cpu", {"id": 2})
        assert 0 <= end.duration < 1000
        assert {draft[1:] for draft in drafts} == {("s", 1, 2, "k", None)}

    on_bench(given)


def test_a_def_runs_in_a_thread_and_does_the_same() -> None:
    def handle(order: Order, ctx: SyncContext) -> Order:
        ctx.emit(paid, order)
        ctx.state.add("count")
        return Order(id=order.id + 1)

    async def given(bench: Bench) -> None:
        drafts = await bench.run(handle, emits=[paid], input={"id": 1})
        assert [draft.event for draft in drafts[:-1]] == [
            Emit(name="order.paid", payload={"id": 1}),
            State(operation="add", key="count", value=1),
        ]
        assert drafts[-1].event.result == {"id": 2}

    on_bench(given)


async def async_nothing() -> None: ...
async def async_input(data: Any) -> Any:
    return data


def sync_nothing() -> None: ...
def sync_input(data: Any) -> Any:
    return data


@pytest.mark.parametrize(
    ("fn", "result"),
    [(async_nothing, None), (async_input, [1]), (sync_nothing, None), (sync_input, [1])],
)
def test_a_handler_may_take_less(fn: Callable[..., Any], result: Any) -> None:
    async def given(bench: Bench) -> None:
        assert (await bench.end(fn, input=[1])).result == result

    on_bench(given)


def test_a_handler_that_changes_its_input_changes_no_event() -> None:
    stored = {"rows": [1]}

    async def handle(data: Any, ctx: Context) -> Any:
        data["rows"].append(2)
        ctx.input["rows"].append(3)
        return data

    async def given(bench: Bench) -> None:
        assert (await bench.end(handle, input=stored)).result == {"rows": [1, 2]}
        assert stored == {"rows": [1]}

    on_bench(given)


def raises(error: BaseException) -> Callable[[Any], Any]:
    async def handle(data: Any) -> None:
        raise error

    return handle


def raises_in_thread(error: BaseException) -> Callable[[Any], Any]:
    def handle(data: Any) -> None:
        raise error

    return handle


WAYS = pytest.mark.parametrize("way", [raises, raises_in_thread], ids=["async", "thread"])


@WAYS
def test_an_exception_is_told_with_its_stack_and_nothing_else_takes_effect(way) -> None:
    async def given(bench: Bench) -> None:
        drafts = await bench.run(way(ValueError("no such row")))
        assert len(drafts) == 1
        error = drafts[0].event.error
        assert (error.type, error.code, error.message) == (
            "ValueError", "EXECUTION_ERROR", "no such row"
        )  # fmt: skip
        assert error.retryable
        assert "raise error" in error.stack
        assert "_awaited" not in error.stack
        assert "_called" not in error.stack

    on_bench(given)


@WAYS
@pytest.mark.parametrize(
    "error", [SystemExit(1), GeneratorExit(), StopIteration(1), asyncio.CancelledError("own")]
)
def test_what_would_end_the_worker_only_ends_the_attempt(way, error: BaseException) -> None:
    async def given(bench: Bench) -> None:
        end = await bench.end(way(error))
        assert (end.error.code, end.error.retryable) == ("EXECUTION_ERROR", True)

    on_bench(given)


def test_ctrl_c_in_a_thread_is_an_error_like_others() -> None:
    async def given(bench: Bench) -> None:
        assert (await bench.end(raises_in_thread(KeyboardInterrupt()))).error.retryable

    on_bench(given)


def test_ctrl_c_on_the_loop_stops_the_loop() -> None:
    async def given(bench: Bench) -> None:
        await bench.run(raises(KeyboardInterrupt()))

    with pytest.raises(KeyboardInterrupt):
        on_bench(given)


@WAYS
def test_a_permanent_error_is_not_tried_again(way) -> None:
    async def given(bench: Bench) -> None:
        assert not (await bench.end(way(PermanentError("gone")))).error.retryable

    on_bench(given)


@WAYS
def test_an_exception_of_never_is_not_tried_again_nor_are_its_subclasses(way) -> None:
    async def given(bench: Bench) -> None:
        end = await bench.end(way(KeyError("x")), retry=Retry(never=[LookupError]))
        assert not end.error.retryable

    on_bench(given)


@WAYS
def test_a_retryable_error_says_when(way) -> None:
    async def given(bench: Bench) -> None:
        at = await bench.end(way(RetryableError("busy", retry_at=NOON)))
        later = await bench.end(way(RetryableError("busy", retry_after=timedelta(minutes=1))))
        assert (at.retry_at, at.retry_after, at.charged) == (NOON, None, True)
        assert (later.retry_at, later.retry_after) == (None, 60.0)

    on_bench(given)


@WAYS
def test_a_rate_limited_attempt_is_not_charged(way) -> None:
    async def given(bench: Bench) -> None:
        end = await bench.end(way(RateLimited(retry_after=5)))
        assert (end.charged, end.retry_after, end.error.retryable) == (False, 5.0, True)

    on_bench(given)


@WAYS
def test_a_naive_retry_at_is_ignored_and_told(way) -> None:
    async def given(bench: Bench) -> None:
        naive = NOON.replace(tzinfo=None)
        end = await bench.end(way(RetryableError("busy", retry_at=naive)))
        assert end.retry_at is None
        assert "no moment with a time zone" in end.error.message

    on_bench(given)


def test_an_input_that_does_not_fit_is_a_validation_error_and_the_handler_does_not_run() -> None:
    called = []

    async def handle(order: Order) -> None:
        called.append(order)

    async def given(bench: Bench) -> None:
        end = await bench.end(handle, input={"id": "x"})
        assert (end.error.code, end.error.retryable) == ("VALIDATION_ERROR", False)
        assert [fault["loc"] for fault in end.error.details] == ["id"]
        assert called == []

    on_bench(given)


async def returns_opaque() -> Any:
    return {"a": object()}


def returns_other() -> Order:
    return {"id": "x"}  # type: ignore[return-value]


@pytest.mark.parametrize(("fn", "loc"), [(returns_opaque, "a"), (returns_other, "id")])
def test_a_result_that_cannot_be_stored_is_a_validation_error(fn, loc: str) -> None:
    async def given(bench: Bench) -> None:
        end = await bench.end(fn)
        assert (end.error.code, end.error.retryable) == ("VALIDATION_ERROR", False)
        assert [fault["loc"] for fault in end.error.details] == [loc]

    on_bench(given)


def test_a_payload_that_does_not_fit_is_a_validation_error_if_nobody_catches_it() -> None:
    async def handle(data: Any, ctx: Context) -> None:
        ctx.emit(paid, {"id": "x"})  # type: ignore[arg-type]

    async def given(bench: Bench) -> None:
        end = await bench.end(handle, emits=[paid])
        assert (end.error.code, end.error.retryable) == ("VALIDATION_ERROR", False)

    on_bench(given)


def test_a_validation_error_of_the_handlers_own_world_is_tried_again() -> None:
    async def handle() -> None:
        Order.model_validate({"id": "from a partner's API"})

    async def given(bench: Bench) -> None:
        assert (await bench.end(handle)).error.retryable
        assert (await bench.end(raises(InvalidInput("of another call")))).error.retryable

    on_bench(given)


def test_an_undeclared_emit_fails_the_attempt_whatever_the_handler_does() -> None:
    async def handle(data: Any, ctx: Context) -> str:
        try:
            ctx.emit("order.lost")
        except Exception:
            return "all is well"
        return "never"

    async def given(bench: Bench) -> None:
        end = await bench.end(handle, emits=[paid])
        assert (end.error.code, end.error.retryable) == ("UNDECLARED_EMIT", False)
        assert "order.lost" in end.error.message
        assert "order.paid" in end.error.message

    on_bench(given)


def test_more_emits_than_allowed_fail_the_attempt() -> None:
    async def handle(data: Any, ctx: Context) -> None:
        for number in range(10_001):
            ctx.emit("item", number)

    async def given(bench: Bench) -> None:
        end = await bench.end(handle, emits=["item"])
        assert "more than 10000" in end.error.message
        assert not end.error.retryable

    on_bench(given)


def test_a_long_stack_keeps_its_end_and_a_broken_message_is_told() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    async def deep(data: Any) -> None:
        def fall(depth: int) -> None:
            if depth == 0:
                raise ValueError("x" * 5000 + "\ud800")
            (fall if depth % 2 else lambda d: fall(d))(depth - 1)

        fall(100)

    async def given(bench: Bench) -> None:
        error = (await bench.end(deep)).error
        assert len(error.message) == 4000
        assert len(error.stack) == 8000
        assert error.stack.rstrip().endswith("\\ud800")
        assert "failed" in (await bench.end(raises(Broken()))).error.message

    on_bench(given)


def test_a_context_knows_whose_attempt_it_is() -> None:
    seen: list[Any] = []

    async def handle(data: Any, ctx: Context) -> None:
        seen.extend((ctx.run_id, ctx.flow_name, ctx.step_name, ctx.queue, ctx.attempt, ctx.tags))
        seen.extend((ctx.job_id, ctx.step_id, ctx.trigger, ctx.due_at, ctx.deps, ctx.input))

    async def given(bench: Bench) -> None:
        await bench.run(
            handle, tags=("a",), trigger="x", due_at=NOON, deps="deps", input=1,
            job=replace(JOB, activation=3),
        )  # fmt: skip
        run = "018f0000-0000-7000-8000-000000000001"
        assert seen == [
            run, "f", "s", "cpu", 2, ("a",),
            f"{run}__s#3", f"{run}__s#3__attempt-2", "x", NOON, "deps", 1,
        ]  # fmt: skip

    on_bench(given)


def test_a_standalone_jobs_id_is_that_of_its_run() -> None:
    async def handle(data: Any, ctx: Context) -> str:
        return ctx.job_id

    async def given(bench: Bench) -> None:
        end = await bench.end(handle, standalone=True)
        assert end.result == "018f0000-0000-7000-8000-000000000001"

    on_bench(given)
