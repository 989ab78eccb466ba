"""What a handler does through its context: facts at once, state with the attempt."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from runfold.define import AttemptEnded, Context, SyncContext
from runfold.errors import PayloadTooLarge
from runfold.flow.events import Log, Output, Record, State, StepProgress
from runfold.kernel.event import Draft
from runfold.ports import Job
from runtime.attempts import Bench, on_bench, until


class Total(BaseModel):
    sum: int


async def tells(data: Any, ctx: Context) -> None:
    ctx.log.info("begun", size=3)
    ctx.progress(25, "a quarter", {"rows": 1})
    ctx.record("seen", {"id": 1})
    ctx.progress(100)
    raise ValueError("after all")


def tells_in_thread(data: Any, ctx: SyncContext) -> None:
    ctx.log.info("begun", size=3)
    ctx.progress(25, "a quarter", {"rows": 1})
    ctx.record("seen", {"id": 1})
    ctx.progress(100)
    raise ValueError("after all")


@pytest.mark.parametrize("fn", [tells, tells_in_thread])
def test_facts_are_written_in_order_before_the_end_also_of_an_attempt_that_fails(fn) -> None:
    async def given(bench: Bench) -> None:
        drafts = await bench.run(fn)
        assert bench.facts == [
            Log(level="info", message="begun", meta={"size": 3}),
            StepProgress(queue="cpu", percent=25, message="a quarter", details={"rows": 1}),
            Record(type="seen", data={"id": 1}),
            StepProgress(queue="cpu", percent=100),
        ]
        assert len(drafts) == 1

    on_bench(given)


def test_facts_are_written_while_the_handler_runs() -> None:
    async def given(bench: Bench) -> None:
        async def handle(data: Any, ctx: Context) -> int:
            ctx.progress(50)
            await until(lambda: bench.facts)
            return len(bench.facts)

        assert (await bench.end(handle)).result == 1

    on_bench(given)


def test_what_comes_while_a_batch_is_written_is_one_batch() -> None:
    async def handle(data: Any, ctx: Context) -> None:
        ctx.log.info("0")
        await asyncio.sleep(0)
        for number in range(1, 101):
            ctx.log.info(str(number))

    async def given(bench: Bench) -> None:
        await bench.run(handle)
        assert [len(batch) for batch in bench.batches] == [1, 100]

    on_bench(given)


def test_a_fact_that_is_refused_takes_no_other_with_it() -> None:
    async def given(bench: Bench) -> None:
        async def record(job: Job, drafts: list[Draft]) -> None:
            if any(draft.event.message == "large" for draft in drafts):
                raise PayloadTooLarge("too large")
            await bench.record(job, drafts)

        async def handle(data: Any, ctx: Context) -> int:
            for message in ("small", "large", "other"):
                ctx.log.info(message)
            return 1

        assert (await bench.end(handle, record=record)).result == 1
        assert [fact.message for fact in bench.facts] == ["small", "other"]

    on_bench(given)


@pytest.mark.parametrize("percent", [-1, 100.1, math.nan, math.inf, True, "50", None])
def test_a_progress_that_is_no_percentage_is_refused(percent: Any) -> None:
    async def handle(data: Any, ctx: Context) -> None:
        ctx.progress(percent)

    async def given(bench: Bench) -> None:
        assert (await bench.end(handle)).error.code == "VALIDATION_ERROR"
        assert bench.facts == []

    on_bench(given)


def test_output_is_gathered_into_one_event_in_50_ms() -> None:
    async def handle(data: Any, ctx: Context) -> None:
        ctx.write("a")
        ctx.write("b")
        ctx.write("c")
        ctx.write("1", stream="numbers")
        await asyncio.sleep(0.2)
        ctx.write("d")

    async def given(bench: Bench) -> None:
        await bench.run(handle)
        assert bench.facts == [
            Output(stream="output", chunk="a"),
            Output(stream="output", chunk="bc"),
            Output(stream="numbers", chunk="1"),
            Output(stream="output", chunk="d"),
        ]

    on_bench(given)


def test_output_of_a_thread_is_whole_at_the_end() -> None:
    def handle(data: Any, ctx: SyncContext) -> None:
        for number in range(1000):
            ctx.write(f"{number},")

    async def given(bench: Bench) -> None:
        await bench.run(handle)
        whole = "".join(fact.chunk for fact in bench.facts)
        assert whole == "".join(f"{number}," for number in range(1000))
        assert len(bench.facts) < 10

    on_bench(given)


# State.


def test_get_reads_own_changes_else_what_is_committed_at_the_call() -> None:
    seen: list[Any] = []

    async def handle(data: Any, ctx: Context) -> None:
        state = ctx.state
        seen.append(await state.get("total"))
        await state.add("total", 2)
        seen.append(await state.get("total"))
        await state.append("list", "x")
        seen.append(await state.get("list"))
        await state.set("total", None)
        seen.append(await state.get("total", "default"))
        await state.delete("total")
        seen.append(await state.get("total", "default"))
        await state.add("total")
        seen.append(await state.get("total"))

    async def given(bench: Bench) -> None:
        bench.state = {"total": 40, "list": ["w"]}
        drafts = await bench.run(handle)
        assert seen == [40, 42, ["w", "x"], None, "default", 1]
        assert [draft.event.operation for draft in drafts[:-1]] == [
            "add", "append", "set", "delete", "add"
        ]  # fmt: skip
        assert bench.state == {"total": 40, "list": ["w"]}

    on_bench(given)


@pytest.mark.parametrize("value", [None, 0, False, "", [], {}])
def test_empty_values_are_values(value: Any) -> None:
    async def handle(data: Any, ctx: Context) -> Any:
        await ctx.state.set("key", value)
        return [await ctx.state.get("key", "default"), await ctx.state.get("committed", "default")]

    async def given(bench: Bench) -> None:
        bench.state = {"committed": value}
        assert (await bench.end(handle)).result == [value, value]

    on_bench(given)


def test_state_is_read_as_a_type_also_from_a_thread() -> None:
    seen: list[Any] = []

    def handle(data: Any, ctx: SyncContext) -> None:
        ctx.state.set("own", Total(sum=1))
        seen.append(ctx.state.get("own", type=Total))
        seen.append(ctx.state.get("committed", type=Total))
        seen.append(ctx.state.get("committed"))
        seen.append(ctx.state.get("missing", type=Total))

    async def given(bench: Bench) -> None:
        bench.state = {"committed": {"sum": 2}}
        await bench.run(handle)
        assert seen == [Total(sum=1), Total(sum=2), {"sum": 2}, None]

    on_bench(given)


def test_a_value_that_was_read_can_be_changed_without_changing_what_is_stored() -> None:
    async def handle(data: Any, ctx: Context) -> None:
        await ctx.state.set("own", {"rows": []})
        (await ctx.state.get("own"))["rows"].append(1)
        (await ctx.state.get("committed"))["rows"].append(1)

    async def given(bench: Bench) -> None:
        bench.state = {"committed": {"rows": []}}
        drafts = await bench.run(handle)
        assert drafts[0].event == State(operation="set", key="own", value={"rows": []})
        assert bench.state == {"committed": {"rows": []}}

    on_bench(given)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.set("", 1),
        lambda state: state.set(5, 1),
        lambda state: state.set("key", object()),
        lambda state: state.set("key", math.nan),
        lambda state: state.set("key", 1, ttl=0),
        lambda state: state.add("key", "1"),
        lambda state: state.append("key", {1: object()}),
    ],
)
def test_a_change_that_cannot_be_stored_is_refused(change) -> None:
    async def handle(data: Any, ctx: Context) -> None:
        await change(ctx.state)

    async def given(bench: Bench) -> None:
        assert (await bench.end(handle)).error.code == "VALIDATION_ERROR"

    on_bench(given)


# Logging.


async def logs(data: Any, ctx: Context) -> None:
    logging.getLogger("shop").warning("%s left", 3, extra={"item": {"id": 7}})
    ctx.log.error("odd", what={1, 2}, nan=math.nan, raw=b"\xff")


def logs_in_thread(data: Any, ctx: SyncContext) -> None:
    logging.getLogger("shop").warning("%s left", 3, extra={"item": {"id": 7}})
    ctx.log.error("odd", what={1, 2}, nan=math.nan, raw=b"\xff")


@pytest.mark.parametrize("fn", [logs, logs_in_thread])
def test_stdlib_logging_inside_a_handler_is_recorded_too(fn) -> None:
    async def given(bench: Bench) -> None:
        await bench.run(fn)
        assert bench.facts == [
            Log(level="warning", message="3 left", meta={"item": {"id": 7}, "logger": "shop"}),
            Log(level="error", message="odd", meta={"what": [1, 2], "nan": "nan", "raw": "_w=="}),
        ]

    on_bench(given)


def test_logging_outside_of_a_handler_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def given(bench: Bench) -> None:
        logging.getLogger("shop").warning("outside")
        await bench.run(logs)
        logging.getLogger("shop").warning("outside again")
        assert [fact.message for fact in bench.facts] == ["3 left", "odd"]

    on_bench(given)
    assert caplog.messages == ["outside", "3 left", "outside again"]


def test_an_exception_that_is_logged_is_recorded_with_its_stack() -> None:
    async def handle() -> None:
        try:
            raise ValueError("no row")
        except ValueError:
            logging.getLogger("shop").exception("failed")

    async def given(bench: Bench) -> None:
        await bench.run(handle)
        assert "ValueError: no row" in bench.facts[0].meta["exception"]

    on_bench(given)


def test_the_root_logger_is_as_it_was_when_the_executor_is_closed() -> None:
    before = list(logging.getLogger().handlers)

    async def given(bench: Bench) -> None:
        assert len(logging.getLogger().handlers) == len(before) + 1

    on_bench(given)
    assert logging.getLogger().handlers == before


# Threads.


def test_context_variables_come_along_into_a_thread() -> None:
    request = contextvars.ContextVar("request", default="none")

    def handle(data: Any) -> str:
        return request.get()

    async def given(bench: Bench) -> None:
        request.set("of the caller")
        assert (await bench.end(handle)).result == "of the caller"

    on_bench(given)


def test_a_thread_of_a_handler_may_use_its_context_until_the_end() -> None:
    late: list[BaseException] = []
    ended = threading.Event()

    def handle(data: Any, ctx: SyncContext) -> None:
        def work() -> None:
            ctx.log.info("from a thread")
            begun.set()
            ended.wait()
            try:
                ctx.log.info("too late")
            except AttemptEnded as error:
                late.append(error)

        begun = threading.Event()
        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        handle.thread = thread  # type: ignore[attr-defined]

    async def given(bench: Bench) -> None:
        await bench.run(handle)
        ended.set()
        handle.thread.join()  # type: ignore[attr-defined]
        assert [fact.message for fact in bench.facts] == ["from a thread"]
        assert "it has returned" in str(late[0])

    on_bench(given)
