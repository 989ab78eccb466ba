"""Declaring projections: what is accepted, and what is refused and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from projections.building import NOON, Total, totals
from runfold import Flow, InvalidDefinition, LogEvent, Projection, Queue, Rows
from runfold.flow.events import Emit, FlowCompleted


class Colour(StrEnum):
    RED = "red"


class Line(BaseModel):
    sku: str
    price: Decimal


class Wide(BaseModel):
    day: date
    name: str
    kind: Literal["a", "b"] = "a"
    count: int = 0
    share: float = 0.0
    is_open: bool = True
    raw: bytes = b""
    amount: Decimal = Decimal(0)
    colour: Colour | None = None
    lines: list[Line] = []
    anything: Any = None


def test_each_field_is_a_column_of_its_kind() -> None:
    columns = {one.name: one.kind.value for one in Projection("p", Wide, key="day").rows.columns}
    assert columns == {
        "day": "text", "name": "text", "kind": "text", "count": "int", "share": "real",
        "is_open": "bool", "raw": "bytes", "amount": "text", "colour": "text", "lines": "json",
        "anything": "json",
    }  # fmt: skip


def test_what_is_thawed_equals_what_was_frozen() -> None:
    rows = Projection("p", Wide, key="day").rows
    row = Wide(
        day=date(2026, 1, 2), name="é", count=3, share=0.5, raw=b"\x00\xff",
        amount=Decimal("1.50"), colour=Colour.RED,
        lines=[Line(sku="a", price=Decimal("0.1"))], anything={"b": [1, None]},
    )  # fmt: skip
    frozen = rows.freeze(row)
    assert frozen[0] == "2026-01-02"
    assert rows.thaw(frozen) == row
    assert rows.freeze(rows.thaw(frozen)) == frozen


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (Total("a\x00"), "column 'name': text with a NUL"),
        (Total("\ud800"), "column 'name': text is not storable as UTF-8"),
        (Total("a", count=2**63), "column 'count': .* more than 64 bits"),
        (Total("a", count="3"), "column 'count': expected int, got '3'"),  # type: ignore[arg-type]
        (Total("a", count=None), "column 'count' is None; annotate"),  # type: ignore[arg-type]
        (Total("a", at=NOON.replace(tzinfo=None)), "column 'at': expected an aware datetime"),
    ],
)
def test_a_value_without_a_place_in_its_column_is_refused(row: Total, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        totals().rows.freeze(row)


def test_a_number_that_is_not_finite_is_refused() -> None:
    @dataclass
    class Share:
        name: str
        share: float

    rows = Projection("p", Share, key="name").rows
    with pytest.raises(ValueError, match="expected a finite number"):
        rows.freeze(Share("a", float("nan")))
    assert rows.freeze(Share("a", 1)) == ("a", 1.0)


def test_a_row_of_another_class_is_refused() -> None:
    with pytest.raises(TypeError, match="rows are Total"):
        totals().rows.freeze({"name": "a"})


@pytest.mark.parametrize("name", ["", "Big", "1st", "a-b", "a" * 41, None])
def test_a_name_that_cannot_name_a_table_is_refused(name: Any) -> None:
    with pytest.raises(InvalidDefinition, match="a name has lower-case letters"):
        Projection(name, Total, key="name")


@pytest.mark.parametrize("version", [0, -1, "1", True, 2**31])
def test_a_version_that_is_no_count_is_refused(version: Any) -> None:
    with pytest.raises(InvalidDefinition, match="version is"):
        Projection("p", Total, key="name", version=version)


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("day", "key names 'day', which Total does not have; fields: name, count"),
        ((), "expected one field or more"),
        (("name", "name"), "each once"),
        ("last", "'last' cannot be part of the key"),
    ],
)
def test_a_key_that_names_no_row_is_refused(key: Any, complaint: str) -> None:
    with pytest.raises(InvalidDefinition, match=complaint):
        Projection("p", Total, key=key)


@pytest.mark.parametrize("model", [dict, 3, int])
def test_a_row_model_without_fields_is_refused(model: Any) -> None:
    with pytest.raises(InvalidDefinition, match="expected a pydantic model or a dataclass"):
        Projection("p", model, key="name")


@pytest.mark.parametrize("index", [("status",), (), ("name", "-name")])
def test_an_index_over_what_is_not_there_is_refused(index: Any) -> None:
    with pytest.raises(InvalidDefinition, match="an index"):
        totals(indexes=[index])


def test_fields_that_differ_by_case_alone_are_refused() -> None:
    @dataclass
    class Twice:
        name: str
        Name: str

    with pytest.raises(InvalidDefinition, match="would be one column"):
        Projection("p", Twice, key="name")


def test_a_type_that_no_event_has_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidDefinition, match=r"no event has the type 'flow.done'.*flow.failed"):
        totals().on("flow.done")
    with pytest.raises(InvalidDefinition, match="takes names of event types or classes"):
        totals().on()
    with pytest.raises(InvalidDefinition, match="takes names of event types or classes"):
        totals().on("emit", FlowCompleted)  # type: ignore[call-overload]


def test_a_handler_that_waits_or_takes_other_arguments_is_refused() -> None:
    async def waits(rows: Rows[Total], event: LogEvent) -> None: ...

    def alone(rows: Rows[Total]) -> None: ...

    with pytest.raises(InvalidDefinition, match="handlers are pure"):
        totals().on("emit")(waits)  # type: ignore[arg-type]
    with pytest.raises(InvalidDefinition, match="does not take 2 arguments"):
        totals().on("emit")(alone)  # type: ignore[arg-type]


def test_flows_jobs_and_names_stand_for_their_names() -> None:
    queue, projection = Queue("mail"), Projection("p", Total, key="name")

    @queue.job("send")
    async def send() -> None: ...

    projection.on(Emit, flow=[Flow("orders"), send, "old"])(lambda rows, event: None)
    (handler,) = projection.handlers["emit"]
    assert handler.flows == {"orders", "mail/send", "old"}
    assert handler.is_typed
    with pytest.raises(InvalidDefinition, match="expected a flow, a job or a name"):
        projection.on("emit", flow=3)


def test_a_sealed_projection_takes_no_more_handlers() -> None:
    projection = totals()
    projection.seal()
    with pytest.raises(InvalidDefinition, match="after it was served"):
        projection.on("emit")(lambda rows, event: None)
    with pytest.raises(InvalidDefinition, match="has no handler"):
        Projection("p", Total, key="name").seal()


def test_the_shape_changes_with_columns_key_and_indexes_only() -> None:
    assert totals().shape == totals(version=2).shape
    assert totals().shape != totals(indexes=[("-count",)]).shape
    assert totals().shape != Projection("totals", Total, key=("name", "count")).shape
