"""Inputs are drawn from what is annotated: each fits, and each comes back from the log."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired
from uuid import UUID

import pytest
from annotated_types import Ge, Lt, MaxLen, MinLen, MultipleOf
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    FutureDatetime,
    Json,
    PastDate,
    StringConstraints,
)
from pydantic.networks import HttpUrl, IPvAnyAddress
from typing_extensions import TypedDict

from parameters import shown
from runfold import Flow, InvalidDefinition, Queue
from runfold.define.values import value_of
from runfold.testing.strategies import inputs
from testing.drawing import SOME, first

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Line(BaseModel):
    sku: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}-\d{3}$")]
    count: int = Field(gt=0, le=10)
    price: Decimal = Field(ge=0)


class Tree(BaseModel):
    name: str = Field(min_length=1, alias="Name")
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    at: datetime | None


class Order(BaseModel):
    id: UUID
    lines: list[Line] = Field(min_length=1, max_length=3)
    pet: Cat | Dog = Field(discriminator="kind")
    colours: set[Colour]
    notes: dict[str, float | None] = {}


class Offer(BaseModel):
    """Of each field but a few values fit, and of no schema's own: all must do so together."""

    price: Decimal = Field(max_digits=6, decimal_places=2, gt=0)
    discount: Decimal = Field(multiple_of=Decimal("0.5"), ge=0, lt=Decimal("7.5"))
    zip: Annotated[str, StringConstraints(pattern=r"^\d{5}$")]
    by_year: dict[int, float]
    by_day: dict[date, Decimal]
    was: PastDate
    until: FutureDatetime
    within: Annotated[date, Ge(date(2026, 1, 1)), Lt(date(2026, 2, 1))]
    at: Annotated[
        datetime, Ge(datetime(2026, 1, 1, tzinfo=UTC)), Lt(datetime(2027, 1, 1, tzinfo=UTC))
    ]
    meta: Json[dict[str, int]]


@dataclasses.dataclass
class Point:
    x: float
    y: Annotated[float, Ge(0), Lt(1)] = 0.5


class Options(TypedDict):
    deep: bool
    since: NotRequired[date]


ANNOTATIONS: list[Any] = [
    Any, int, str, bool, None, bytes, float, Colour, Tree, Order, Offer, Point, Options, Line,
    Sequence[int], tuple[int, str], tuple[float, ...], set[int], frozenset[str],
    dict[str, Order], dict[UUID, int], dict[Literal["a", "b"], int], list[Cat | Dog | None],
    Annotated[int, MultipleOf(7), Ge(10)], Annotated[list[int], MinLen(2), MaxLen(2)],
    Annotated[str, MinLen(30)], Annotated[float, MultipleOf(0.5)], date, time, timedelta,
    datetime, Decimal, Path, HttpUrl, IPvAnyAddress, Literal["a", 1, None], Tree | int,
    Annotated[int, AfterValidator(lambda number: number - number % 2)],
]  # fmt: skip


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=shown)
def test_what_is_drawn_is_accepted_and_comes_back(annotation: Any) -> None:
    value = value_of(annotation)

    @given(inputs(annotation))
    @SOME
    def holds(drawn: Any) -> None:
        stored = value.dump(drawn, "input")
        assert value.load(stored) == drawn

    holds()


def test_a_flow_takes_what_its_input_or_its_entry_says() -> None:
    said: Flow[Any, Any] = Flow("said", input=Line)
    told: Flow[Any, Any] = Flow("told")
    letters = Queue("letters")

    async def read(points: list[Point]) -> None: ...

    told.entry()(read)
    send = letters.job()(read)
    assert isinstance(first(inputs(said), lambda _: True), Line)
    for target in (told, send):
        found = first(inputs(target), lambda points: len(points) > 0)
        assert {type(point) for point in found} == {Point}


def test_a_flow_that_says_nothing_takes_any_json() -> None:
    flow: Flow[Any, Any] = Flow("any")

    @flow.entry()
    async def anything(given) -> None: ...  # type: ignore[no-untyped-def]

    kinds = {type(value) for value in (first(inputs(flow), kind) for kind in KINDS)}
    assert kinds == {type(None), bool, int, float, str, list, dict}


KINDS = [
    lambda value, kind=kind: type(value) is kind
    for kind in (type(None), bool, int, float, str, list, dict)
]


def test_every_kind_of_a_union_is_drawn() -> None:
    for kind in (Cat, Dog):
        pets = inputs(Order).map(lambda order: order.pet)
        assert first(pets, lambda pet, kind=kind: isinstance(pet, kind))
    assert first(inputs(Tree), lambda tree: bool(tree.children and tree.children[0].children))


def test_a_rule_that_no_schema_tells_is_kept() -> None:
    def odd(number: int) -> int:
        if number % 2 == 0:
            raise ValueError("even")
        return number

    @given(inputs(list[Annotated[int, AfterValidator(odd)]]), st.just(0))
    @SOME
    def holds(numbers: list[int], zero: int) -> None:
        assert zero not in {number % 2 for number in numbers}

    holds()


def test_what_cannot_be_stored_or_drawn_is_refused() -> None:
    class Opaque: ...

    with pytest.raises(InvalidDefinition, match="cannot be stored"):
        inputs(Opaque)
    with pytest.raises(InvalidDefinition, match=r"write a strategy for it with st.builds"):
        inputs(Annotated[int, Field(json_schema_extra={}), _NoSchema()])


class _NoSchema:
    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> Any:
        from pydantic.errors import PydanticInvalidForJsonSchema

        raise PydanticInvalidForJsonSchema("it has none")


def test_a_pattern_that_python_does_not_know_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match=r"no texts of the pattern .* can be drawn"):
        inputs(Annotated[str, StringConstraints(pattern=r"^\p{Lu}$")])
