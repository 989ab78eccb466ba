"""What does not fit is refused when the flow is served, naming both places."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NewType

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from define.flows import Prepared, Processed, Raw, Report, noted, prepared
from runfold.define import (
    Context,
    Failure,
    Flow,
    Queue,
    SyncContext,
    Topic,
    after,
    all_of,
    collect,
    failed,
)
from runfold.define.fits import fits
from runfold.errors import InvalidDefinition

if typing.TYPE_CHECKING:
    from decimal import Decimal as Money


def faults(flow: Flow[Any, Any]) -> list[str]:
    with pytest.raises(InvalidDefinition) as caught:
        flow.seal()
    found: list[str] = caught.value.details
    for fault in found:
        assert fault in str(caught.value)
    return found


def flow_with(fn: Callable[..., Any], subscribes: Any) -> Flow[Any, Any]:
    flow = Flow("f", input=Raw)

    @flow.entry(emits=[prepared, noted, "loose"])
    async def start(data: Raw) -> Processed:
        return Processed(total=1)

    flow.step("taken", subscribes=subscribes(start))(fn)
    return flow


async def takes_processed(data: Processed) -> None: ...
async def takes_prepared(data: Prepared) -> None: ...
async def takes_list(data: list[Prepared]) -> None: ...
async def takes_sequence(data: Sequence[Prepared]) -> None: ...
async def takes_any(data: Any, ctx: Context) -> None: ...
async def takes_unsaid(data, ctx): ...  # type: ignore[no-untyped-def]
async def takes_dict(data: dict[str, Any]) -> None: ...
async def takes_dict_of_text(data: dict[str, str]) -> None: ...
async def takes_failure(data: Failure[Raw]) -> None: ...
async def takes_other_failure(data: Failure[Report]) -> None: ...
async def takes_bare_failure(data: Failure) -> None: ...  # type: ignore[type-arg]
async def takes_optional(data: Prepared | None) -> None: ...


class Joined(BaseModel):
    left: Prepared
    right: str
    other: int = 0


@dataclass
class JoinedData:
    left: Prepared
    right: str


class JoinedDict(TypedDict):
    left: Prepared
    right: Report


async def takes_joined(data: Joined) -> None: ...
async def takes_joined_data(data: JoinedData) -> None: ...
async def takes_joined_dict(data: JoinedDict) -> None: ...


JOINS = all_of(left=prepared, right=noted)


@pytest.mark.parametrize(
    ("fn", "subscribes"),
    [
        (takes_prepared, lambda start: prepared),
        (takes_prepared, lambda start: "data.prepared"),
        (takes_prepared, lambda start: "loose"),
        (takes_optional, lambda start: prepared),
        (takes_any, lambda start: prepared),
        (takes_unsaid, lambda start: prepared),
        (takes_processed, after),
        (takes_list, lambda start: collect(prepared)),
        (takes_sequence, lambda start: collect(prepared)),
        (takes_failure, failed),
        (takes_bare_failure, failed),
        (takes_joined, lambda start: JOINS),
        (takes_joined_data, lambda start: JOINS),
        (takes_dict, lambda start: JOINS),
    ],
)
def test_what_fits_is_served(fn: Callable[..., Any], subscribes: Any) -> None:
    assert flow_with(fn, subscribes).seal().handlers["taken"].fn is fn


@pytest.mark.parametrize(
    ("fn", "subscribes", "told"),
    [
        (takes_processed, lambda start: prepared, "topic 'data.prepared' carries Prepared"),
        (takes_processed, lambda start: "data.prepared", "topic 'data.prepared' carries Prepared"),
        (takes_prepared, after, "step 'start' returns Processed"),
        (takes_prepared, lambda start: collect(prepared), "collect() gives a list of it"),
        (takes_list, lambda start: collect(after(start)), "step 'start' returns Processed"),
        (takes_other_failure, failed, "failed('start') gives Failure[Raw]"),
        (takes_joined, lambda start: all_of(left=prepared, x=noted), "which needs 'right'"),
        (takes_joined, lambda start: all_of(left=noted, right="loose"), "with left: Prepared"),
        (takes_joined_dict, lambda start: JOINS, "with right: Report"),
        (takes_dict_of_text, lambda start: JOINS, "with left: str"),
        (takes_list, lambda start: JOINS, "all_of() gives a dict with 'left', 'right'"),
    ],
)
def test_an_input_of_another_type_is_refused(
    fn: Callable[..., Any], subscribes: Any, told: str
) -> None:
    found = faults(flow_with(fn, subscribes))
    assert told in found[0]
    assert f"{fn.__name__} (" in found[0]
    assert "test_checks.py:" in found[0]


def test_every_fault_is_told_at_once() -> None:
    flow = Flow("f", input=Raw, result=Report)

    @flow.entry(emits=[prepared])
    async def start(data: Prepared) -> None: ...

    @flow.step(subscribes=prepared, returns=True)
    async def finish(data: Processed) -> Processed:
        return data

    @flow.step(subscribes="unheard")
    async def deaf() -> None: ...

    found = faults(flow)
    assert len(found) == 4
    assert "'unheard', an unknown event" in found[0]
    assert "step 'start' takes Prepared" in found[1]
    assert "input= of flow 'f' is Raw" in found[1]
    assert "topic 'data.prepared' carries Prepared" in found[2]
    assert "returns Processed" in found[3]
    assert "result= of flow 'f' is Report" in found[3]


def test_a_result_needs_a_step_that_returns_it() -> None:
    flow = Flow("f", result=Report)
    flow.entry("start")(takes_any)
    assert "mark the step whose result is the run's" in faults(flow)[0]


def test_one_topic_of_two_types_is_refused() -> None:
    flow = Flow("f")
    flow.entry("start", emits=[prepared])(takes_any)
    flow.step("next", subscribes=prepared, emits=[Topic("data.prepared", Raw)])(takes_any)
    assert "one name, one type" in faults(flow)[0]


def test_a_compensation_takes_the_result_of_its_step() -> None:
    flow = Flow("f")

    @flow.entry(emits="x")
    async def start() -> None: ...

    @flow.step(subscribes="x", compensate=takes_prepared)
    async def charge() -> Processed:
        return Processed(total=1)

    assert "compensate= of step 'charge' takes Prepared" in faults(flow)[0]


def test_after_a_function_that_is_no_step_or_two_is_refused() -> None:
    flow = Flow("f")
    flow.entry("start", emits="x")(takes_any)
    flow.step("a", subscribes="x")(takes_dict)
    flow.step("b", subscribes="x")(takes_dict)
    flow.step("c", subscribes=after(takes_dict))(takes_any)
    flow.step("d", subscribes=failed(takes_processed))(takes_any)
    found = faults(flow)
    assert "name one: after('a') or after('b')" in found[0]
    assert "which is no step of this flow" in found[1]


# Signatures.


async def with_sync_context(data: Any, ctx: SyncContext) -> None: ...
def with_context(data: Any, ctx: Context) -> None: ...
async def context_first(ctx: Context) -> None: ...
async def too_many(data: Any, ctx: Context, more: int) -> None: ...
async def by_keyword(data: Any, *, more: int) -> None: ...
async def starred(*data: Any) -> None: ...
async def generates(data: Any):  # type: ignore[no-untyped-def]
    yield 1


async def hidden(data: Money) -> None: ...
async def nowhere(data: Any) -> Nowhere: ...  # type: ignore[name-defined]  # noqa: F821


class Opaque: ...


async def opaque(data: Opaque) -> None: ...
async def opaque_result() -> list[Opaque]: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("fn", "told"),
    [
        (with_sync_context, "`async def` is given a Context"),
        (with_context, "`def` is given a SyncContext"),
        (context_first, "takes ctx where its input comes"),
        (too_many, "takes 3 parameters (data, ctx, more)"),
        (by_keyword, "needs 'more' by keyword"),
        (starred, "takes *data"),
        (generates, "is a generator"),
        (hidden, "the annotation 'Money' of its parameter 'data' cannot be resolved"),
        (nowhere, "the annotation 'Nowhere' of its result cannot be resolved"),
        (opaque, "the input of opaque"),
        (opaque_result, "the result of opaque_result"),
    ],
)
def test_a_signature_that_is_none_of_a_handler_is_refused(
    fn: Callable[..., Any], told: str
) -> None:
    flow = Flow("f")
    flow.entry()(fn)
    [fault] = faults(flow)
    assert told in fault
    assert fn.__name__ in fault


def test_types_of_the_function_around_are_found() -> None:
    class Local(BaseModel):
        id: int

    flow = Flow("f")

    @flow.entry()
    async def start(data: Local) -> Local:
        return data

    assert flow.seal().handlers["start"].input.annotation is Local

    @Queue("q").job()
    def work(data: list[Local]) -> None: ...

    assert work.seal().input.annotation == list[Local]


def test_a_wrapped_function_and_an_object_are_handlers_too() -> None:
    def logged(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapper(*args: Any) -> Any:
            return fn(*args)

        return wrapper

    class Works:
        async def __call__(self, data: Prepared, ctx: Context) -> None: ...

        def method(self, data: Prepared) -> Report:
            return Report(text="x")

    flow = Flow("f")
    flow.entry("wrapped", emits="x")(logged(takes_prepared))
    flow.step("object", subscribes="x")(Works())
    flow.step("method", subscribes="x")(Works().method)
    handlers = flow.seal().handlers
    found = {name: (one.kind, one.takes, one.input.annotation) for name, one in handlers.items()}
    assert found == {
        "wrapped": ("async", 1, Prepared),
        "object": ("async", 2, Prepared),
        "method": ("thread", 1, Prepared),
    }


# What fits what.

UserId = NewType("UserId", int)


class Sub(Prepared):
    pass


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        (int, int, True),
        (int, str, False),
        (int, float, True),
        (float, int, False),
        (bool, int, True),
        (Sub, Prepared, True),
        (Prepared, Sub, False),
        (Prepared, Raw, False),
        (None, None, True),
        (None, int, False),
        (int, int | None, True),
        (int | None, int, False),
        (int | str, str | int | None, True),
        (Any, Prepared, True),
        (Prepared, Any, True),
        (Prepared, object, True),
        (list[int], list[int], True),
        (list[int], list[str], False),
        (list[int], Sequence[int], True),
        (list[Sub], Sequence[Prepared], True),
        (list, list[int], True),
        (dict[str, int], dict[str, str], False),
        (dict[str, Any], Prepared, True),
        (Prepared, dict[str, Any], False),
        (JoinedDict, dict[str, Any], True),
        (tuple[int, str], tuple[int, int], False),
        (Literal["a"], Literal["a", "b"], True),
        (Literal["c"], Literal["a", "b"], False),
        (Literal["a"], str, True),
        (Literal["a"], int, False),
        (str, Literal["a"], True),
        (UserId, int, True),
        (int, Annotated[int, "positive"], True),
        (str, Annotated[int, "positive"], False),
        (Failure[Prepared], Failure[Prepared], True),
        (Failure[Prepared], Failure[Raw], False),
        (Failure[Prepared], Failure[Any], True),
        (Failure[Sub], Failure, True),
    ],
    ids=repr,
)
def test_what_fits_what(given: Any, wanted: Any, expected: bool) -> None:
    assert fits(given, wanted) is expected
