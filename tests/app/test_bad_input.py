"""What callers may get wrong: each its own error, said in a sentence, and nothing is stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel

from runfold import (
    Context,
    Flow,
    InvalidInput,
    PayloadTooLarge,
    Queue,
    Retry,
    RunFailed,
    Runfold,
    RunfoldError,
    Settings,
    UnknownTarget,
)
from scenarios.scene import finished, history, scenario

NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SMALL = Settings(payload_max=10_000)


class Order(BaseModel):
    id: int
    at: datetime


def shop() -> Queue:
    queue = Queue("shop", retry=Retry(3, base=0.01))

    @queue.job()
    async def take(order: Order) -> Order:
        return order

    @queue.job()
    async def anything(data: Any) -> Any:
        return data

    @queue.job()
    async def grow(size: int, ctx: Context) -> str:
        return "x" * size

    @queue.job()
    async def keep(size: int, ctx: Context) -> None:
        await ctx.state.set("big", "x" * size)

    @queue.job()
    async def record(size: int, ctx: Context) -> str:
        ctx.record("big", "x" * size)
        return "went on"

    return queue


async def head(rf: Runfold) -> int:
    last = 0
    async for event in rf.events():
        last = event.id
    return last


async def refused(
    rf: Runfold, call: Callable[[], Awaitable[Any]], error: type[Exception]
) -> Exception:
    """Return the error that ``call`` raises; the log must not have moved."""
    await rf.run_until_idle()
    before = await head(rf)
    with pytest.raises(error) as caught:
        await call()
    await rf.run_until_idle()
    assert await head(rf) == before
    assert type(caught.value) is error
    assert str(caught.value)
    return caught.value


def _local_error() -> type[Exception]:
    class Local(Exception):
        pass

    return Local


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ({"priority": 99}, "priority"),
        ({"priority": 0}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 5.5}, "priority"),
        ({"run_at": NAIVE}, "run_at"),
        ({"run_at": "2030-01-01T00:00:00Z"}, "run_at"),
        ({"run_at": 7}, "run_at"),
        ({"run_at": datetime.max.replace(tzinfo=UTC)}, "run_at"),
        ({"run_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))}, "run_at"),
        ({"delay": -1}, "delay"),
        ({"delay": timedelta(seconds=-1)}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"delay": float("inf")}, "delay"),
        ({"delay": 1e300}, "delay"),
        ({"delay": timedelta.max}, "delay"),
        ({"delay": "1"}, "delay"),
        ({"delay": True}, "delay"),
        ({"delay": 1, "run_at": NOON}, "run_at"),
        ({"deadline": NAIVE}, "deadline"),
        ({"deadline": -1}, "deadline"),
        ({"deadline": "soon"}, "deadline"),
        ({"deadline": 1e300}, "deadline"),
        ({"key": ""}, "key"),
        ({"key": 7}, "key"),
        ({"key": "x" * 501}, "key"),
        ({"key": "a\0b"}, "key"),
        ({"key": "\ud800"}, "key"),
        ({"tags": "urgent"}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"tags": [7]}, "tags"),
        ({"tags": ["\ud800"]}, "tags"),
        ({"tags": 7}, "tags"),
        ({"tags": ["x"] * 51}, "tags"),
        ({"retry": 0}, "retry"),
        ({"retry": "3"}, "retry"),
        ({"retry": True}, "retry"),
        ({"retry": Retry(3, never=(_local_error(),))}, "retry"),
        ({"on_conflict": "last", "key": "k"}, "on_conflict"),
        ({"on_conflict": "refuse"}, "on_conflict"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": 1e300}, "timeout"),
    ],
    ids=str,
)
@scenario
async def test_a_wrong_option_names_itself(option: dict[str, Any], field: str) -> None:
    async with Runfold("memory://", queues=[shop()]) as rf:
        error = await refused(rf, lambda: rf.start("shop/anything", 1, **option), InvalidInput)
        assert isinstance(error, InvalidInput)
        assert error.details[0]["loc"] == field
        assert field in str(error)
        assert (error.code, error.status) == ("VALIDATION_ERROR", 422)


@scenario
async def test_an_option_that_there_is_not_is_a_mistake_of_the_program(url: str) -> None:
    async with Runfold(url, queues=[shop()]) as rf:
        await refused(rf, lambda: rf.start("shop/anything", 1, prioritty=3), TypeError)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (float("nan"), ""),
        ({"a": [1, float("inf")]}, "a.1"),
        ({"at": NAIVE}, "at"),
        ({"deep": {"one": object()}}, "deep.one"),
        (b"\xff", ""),
        ("\ud800", ""),
        (lambda: None, ""),
    ],
    ids=["nan", "inf", "naive", "object", "bytes", "surrogate", "function"],
)
@scenario
async def test_what_json_would_not_bring_back_is_refused(url: str, value: Any, field: str) -> None:
    async with Runfold(url, queues=[shop()]) as rf:
        error = await refused(rf, lambda: rf.start("shop/anything", value), InvalidInput)
        assert isinstance(error, InvalidInput)
        assert [fault["loc"] for fault in error.details] == [field]


@scenario
async def test_a_cycle_is_refused(url: str) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    async with Runfold(url, queues=[shop()]) as rf:
        await refused(rf, lambda: rf.start("shop/anything", cycle), InvalidInput)


@scenario
async def test_a_wrong_input_names_its_fields(url: str) -> None:
    async with Runfold(url, queues=[shop()]) as rf:
        error = await refused(rf, lambda: rf.start("shop/take", {"id": "x"}), InvalidInput)
        assert isinstance(error, InvalidInput)
        assert {fault["loc"] for fault in error.details} == {"id", "at"}
        missing = await refused(rf, lambda: rf.start("shop/take"), InvalidInput)
        assert "input" in str(missing)


@pytest.mark.parametrize("target", ["nobody", "shop", "shop/", "", "shop/TAKE"])
@scenario
async def test_a_name_that_was_never_served_is_unknown(url: str, target: str) -> None:
    async with Runfold(url, queues=[shop()]) as rf:
        error = await refused(rf, lambda: rf.start(target, 1), UnknownTarget)
        assert repr(target) in str(error)
        await refused(rf, lambda: rf.start_many(target, [1]), UnknownTarget)


@pytest.mark.parametrize("target", [7, None, print, object(), Queue("q"), ["shop/take"]])
@scenario
async def test_what_is_no_target_is_refused(target: Any) -> None:
    async with Runfold("memory://", queues=[shop()]) as rf:
        error = await refused(rf, lambda: rf.start(target, 1), UnknownTarget)
        assert "expected a Flow, a Job or the name of one" in str(error)
        await refused(rf, lambda: rf.runs.list(target or 7), UnknownTarget)


@scenario
async def test_an_input_that_is_too_large_is_refused_at_the_start(url: str) -> None:
    async with Runfold(url, queues=[shop()], settings=SMALL) as rf:
        big = "x" * 20_000
        error = await refused(rf, lambda: rf.start("shop/anything", big), PayloadTooLarge)
        assert isinstance(error, PayloadTooLarge)
        assert error.details["max"] == 10_000
        assert error.details["size"] > 20_000
        await refused(rf, lambda: rf.start_many("shop/anything", [1, big]), PayloadTooLarge)
        assert await (await finished(rf, "shop/anything", "small")).result() == "small"


@pytest.mark.parametrize("job", ["grow", "keep"])
@scenario
async def test_what_is_too_large_in_a_handler_fails_the_attempt_for_good(
    url: str, job: str
) -> None:
    async with Runfold(url, queues=[shop()], settings=SMALL) as rf:
        run = await rf.start(f"shop/{job}", 20_000)
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert caught.value.error.code == "PAYLOAD_TOO_LARGE"
        assert caught.value.error.details["max"] == 10_000
        assert len(await history(run, "step.started")) == 1
        assert not await history(run, "step.retry", "state")
        assert await (await finished(rf, f"shop/{job}", 10)).status() == "completed"


@scenario
async def test_a_record_that_is_too_large_does_not_take_the_run_with_it(url: str) -> None:
    async with Runfold(url, queues=[shop()], settings=SMALL) as rf:
        run = await rf.start("shop/record", 20_000)
        assert await run.result(timeout=10) == "went on"
        assert not await history(run, "record")


class Needs(BaseModel):
    x: int


@pytest.mark.parametrize(
    "returned", [{"x": "no"}, float("nan"), object(), None], ids=["model", "nan", "object", "none"]
)
@scenario
async def test_a_result_that_does_not_fit_fails_at_once(url: str, returned: Any) -> None:
    queue = Queue("q")

    @queue.job()
    async def wrong(data: Any) -> Needs:
        return returned  # type: ignore[no-any-return]

    @queue.job()
    async def loose(data: Any):  # type: ignore[no-untyped-def]
        return returned

    async with Runfold(url, queues=[queue]) as rf:
        run = await rf.start(wrong)
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert caught.value.error.code == "VALIDATION_ERROR"
        assert len(await history(run, "step.started")) == 1
        run = await rf.start(loose)
        if returned is None or isinstance(returned, dict):
            assert await run.result(timeout=10) == returned
        else:
            with pytest.raises(RunFailed, match="VALIDATION_ERROR"):
                await run.result(timeout=10)


@scenario
async def test_an_emit_that_is_not_declared_fails_at_once(url: str) -> None:
    flow: Flow[Any, Any] = Flow("f")

    @flow.entry()
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("nobody")

    async with Runfold(url, flows=[flow]) as rf:
        run = await rf.start(flow)
        with pytest.raises(RunFailed) as caught:
            await run.result(timeout=10)
        assert caught.value.error.code == "UNDECLARED_EMIT"
        assert "'nobody'" in caught.value.error.message
        assert len(await history(run, "step.started")) == 1


@scenario
async def test_calls_on_what_is_not_entered_say_so(tmp_path: Path) -> None:
    rf = Runfold(f"sqlite:///{tmp_path / 'f.db'}", queues=[shop()])
    for call in (
        lambda: rf.start("shop/anything", 1),
        lambda: rf.start_many("shop/anything", [1]),
        lambda: rf.get(uuid4()),
        rf.run_until_idle,
        rf.runs.list,
        lambda: anext(aiter(rf.events())),
    ):
        with pytest.raises(RunfoldError, match="is not entered"):
            await call()  # type: ignore[operator]
    assert not (tmp_path / "f.db").exists()


@scenario
async def test_calls_after_leaving_say_so(url: str) -> None:
    async with Runfold(url, queues=[shop()]) as rf:
        run = await finished(rf, "shop/anything", 1)
    with pytest.raises(RunfoldError, match="is not entered"):
        await rf.start("shop/anything", 1)
    with pytest.raises(RunfoldError):
        await run.cancel()
