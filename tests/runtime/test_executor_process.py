"""``process=True``: a process of its own, the same outcomes, and an end that is an end."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from typing import Any

import pytest

from runfold.define import Flow
from runfold.define.options import Retry
from runfold.errors import InvalidDefinition
from runfold.flow.events import Emit, Log, Output, Record, State, StepProgress
from runtime import process_handlers as handlers
from runtime.attempts import Bench, on_bench, until


def test_a_handler_in_a_process_does_what_others_do() -> None:
    async def given(bench: Bench) -> None:
        bench.state = {"committed": [1]}
        drafts = await bench.run(
            handlers.works, process=True, emits=[handlers.paid, "note"], input={"id": 1}
        )
        assert drafts[-1].event.result == {"id": 2}
        assert [draft.event for draft in drafts[:-1]] == [
            Emit(name="order.paid", payload={"id": 1}),
            Emit(name="note", payload={"a": 1}),
            State(operation="set", key="last", value={"id": 1}),
            State(operation="add", key="count", value=1),
        ]
        begun, *others = bench.facts
        assert isinstance(begun, Log)
        assert begun.meta["pid"] != os.getpid()
        assert others == [
            Log(level="warning", message="watch out", meta={"logger": "shop"}),
            StepProgress(queue="cpu", percent=50, message="half"),
            Record(type="seen", data={"id": 1}),
            Output(stream="output", chunk="chunk"),
        ]

    on_bench(given, processes=1)


def test_outcomes_of_a_process() -> None:
    async def given(bench: Bench) -> None:
        async def error(kind: str) -> Any:
            never = Retry(never=[KeyError])
            return await bench.end(handlers.raises, process=True, input=kind, retry=never)

        value = (await error("value")).error
        assert (value.type, value.message, value.retryable) == ("ValueError", "no such row", True)
        assert "raise errors[kind]" in value.stack
        assert "process_child" not in value.stack
        assert not (await error("permanent")).error.retryable
        assert (await error("retryable")).retry_after == 5
        assert (await error("exit")).error.type == "SystemExit"
        assert not (await error("key")).error.retryable
        undeclared = await bench.end(handlers.emits_undeclared, process=True)
        assert undeclared.error.code == "UNDECLARED_EMIT"
        wrong = await bench.end(handlers.emits_wrongly, process=True, emits=[handlers.paid])
        assert (wrong.error.code, wrong.error.retryable) == ("VALIDATION_ERROR", False)
        opaque = await bench.end(handlers.opaque, process=True)
        assert (opaque.error.code, opaque.error.retryable) == ("VALIDATION_ERROR", False)
        first = (await bench.end(handlers.pid, process=True)).result
        assert (await bench.end(handlers.pid, process=True)).result == first

    on_bench(given, processes=1)


def test_a_process_that_dies_fails_its_attempt_and_the_next_one_gets_another() -> None:
    async def given(bench: Bench) -> None:
        end = await bench.end(handlers.dies, process=True)
        assert "exit code 7" in end.error.message
        assert end.error.retryable
        assert (await bench.end(handlers.pid, process=True)).result != os.getpid()

    on_bench(given, processes=1)


def test_a_timeout_kills_that_process_and_only_that_one() -> None:
    async def given(bench: Bench) -> None:
        other = bench.task(handlers.waits, process=True)
        waiting = asyncio.ensure_future(bench.executor.execute(other))
        await until(lambda: bench.facts)
        task = bench.task(handlers.spins, process=True, timeout=0.2)
        [end] = await bench.executor.execute(task)
        assert end.event.error.code == "JOB_TIMEOUT"
        await task.gone
        assert len(multiprocessing.active_children()) == 1
        other.cancelled.set("told")
        assert (await waiting)[-1].event.result == [True, "told"]

    on_bench(given, processes=2)


def test_an_abort_kills_the_process() -> None:
    async def given(bench: Bench) -> None:
        task = bench.task(handlers.spins, process=True)
        running = asyncio.ensure_future(bench.executor.execute(task))
        await until(lambda: bench.facts)
        task.abort("fenced")
        assert await running == []
        await task.gone
        assert multiprocessing.active_children() == []

    on_bench(given, processes=1)


def test_closing_leaves_no_process_behind() -> None:
    async def given(bench: Bench) -> None:
        await bench.run(handlers.pid, process=True)
        assert len(multiprocessing.active_children()) == 1

    on_bench(given, processes=1)
    assert multiprocessing.active_children() == []


def local() -> Any:
    def handle() -> None: ...

    return handle


@pytest.mark.parametrize(
    ("fn", "told"),
    [
        (local(), "cannot be imported; move it to the top of a module"),
        (handlers.on_the_loop, "leave out process=True or make it a `def`"),
    ],
)
def test_what_another_process_could_not_run_is_refused_when_served(fn: Any, told: str) -> None:
    flow = Flow("f")
    flow.entry("s", process=True)(fn)
    with pytest.raises(InvalidDefinition) as caught:
        flow.seal()
    assert told in str(caught.value)
