"""What is stored of a value, what comes back, and what is refused."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NotRequired
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_serializer
from typing_extensions import TypedDict

from parameters import shown
from runfold.define import Value, value_of
from runfold.errors import InvalidDefinition, InvalidInput

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Color(Enum):
    RED = "red"


class Word(str, Enum):  # noqa: UP042 - people write it
    YES = "yes"


class Inner(BaseModel):
    at: datetime | None = None
    price: Decimal | None = None
    weight: float = 1.0
    raw: bytes = b""


class Outer(BaseModel):
    rows: list[Inner] = []
    extra: Any = None


class Sub(Inner):
    more: int = 0


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: int = Field(alias="orderId")
    name: str = Field(default="", validation_alias="nameIn", serialization_alias="nameOut")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * self.id


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: datetime
    id: UUID
    pair: tuple[int, ...]
    raw: bytes


class Base64(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    raw: bytes


class Grouped(BaseModel):
    names: set[str]
    said: set[str]
    inner: Grouped | None

    @field_serializer("said")
    def _spoken(self, said: set[str]) -> str:
        return ", ".join(sorted(said, reverse=True))


class Holder(BaseModel):
    inner: list[Base64]


class Both(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    raw: bytes


@dataclass
class Point:
    x: float
    at: datetime | None = None


class Options(TypedDict):
    a: int
    at: NotRequired[datetime]


@pytest.mark.parametrize(
    ("annotation", "value", "stored"),
    [
        (int, 1, 1),
        (str, "x", "x"),
        (float, 1.5, 1.5),
        (bool, True, True),
        (None, None, None),
        (bytes, "ü".encode(), "ü"),
        (datetime, NOON, "2026-01-01T12:00:00Z"),
        (timedelta, timedelta(minutes=1), "PT1M"),
        (Decimal, Decimal("1.50"), "1.50"),
        (UUID, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Color, Color.RED, "red"),
        (Word, Word.YES, "yes"),
        (Literal["a", "b"], "a", "a"),
        (tuple[int, str], (1, "x"), [1, "x"]),
        (set[int], {1}, [1]),
        (dict[int, str], {1: "x"}, {"1": "x"}),
        (dict[UUID, int], {UUID(int=1): 1}, {"00000000-0000-0000-0000-000000000001": 1}),
        (list[Point], [Point(1.0)], [{"x": 1.0, "at": None}]),
        (Options, {"a": 1}, {"a": 1}),
        (int | None, None, None),
        (Inner | int, 3, 3),
        (Aliased, Aliased(orderId=1, nameIn="x"), {"id": 1, "name": "x"}),
        (Base64, Base64(raw=b"\xff"), {"raw": "_w=="}),
        (Holder, Holder(inner=[Base64(raw=b"\xff")]), {"inner": [{"raw": "_w=="}]}),
        (Both, Both(raw=b"\xff"), {"raw": "_w=="}),
        (
            Strict,
            Strict(at=NOON, id=UUID(int=1), pair=(1, 2), raw=b"x"),
            {
                "at": "2026-01-01T12:00:00Z",
                "id": "00000000-0000-0000-0000-000000000001",
                "pair": [1, 2],
                "raw": "x",
            },
        ),
    ],
    ids=shown,
)
def test_a_value_is_stored_as_json_and_comes_back_as_annotated(
    annotation: Any, value: Any, stored: Any
) -> None:
    made = Value(annotation)
    assert made.dump(value, "x") == stored
    assert made.load(stored) == value
    assert type(made.load(stored)) is type(value)
    assert made.again(stored, "x") == stored


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Decimal("1.5"), "1.5"),
        ((1, (2, 3)), [1, [2, 3]]),
        (b"hi", "hi"),
        (NOON, "2026-01-01T12:00:00Z"),
        (NOON.astimezone(timezone(timedelta(hours=2))), "2026-01-01T14:00:00+02:00"),
        (Word.YES, "yes"),
        ({1: 2, None: 3, Color.RED: 4}, {"1": 2, "None": 3, "red": 4}),
        (Point(1.0), {"x": 1.0, "at": None}),
        (Sub(more=3), {"at": None, "price": None, "weight": 1.0, "raw": "", "more": 3}),
        ([Outer(rows=[Inner()])], [{
            "rows": [{"at": None, "price": None, "weight": 1.0, "raw": ""}], "extra": None
        }]),
        (Base64(raw=b"\xff"), {"raw": "_w=="}),
        ("ü\n\x00", "ü\n\x00"),
        (10**30, 10**30),
    ],
    ids=shown,
)  # fmt: skip
def test_without_an_annotation_values_become_plain_json(value: Any, stored: Any) -> None:
    assert Value().dump(value, "x") == stored
    assert Value().load(stored) == stored


def test_a_subclass_is_stored_with_the_fields_of_the_annotation() -> None:
    stored = Value(list[Inner]).dump([Sub(more=3)], "x")
    assert stored == [{"at": None, "price": None, "weight": 1.0, "raw": ""}]


def test_a_dict_of_the_right_fields_is_a_model() -> None:
    assert Value(Outer).dump({"rows": [{"price": "1.5"}]}, "x")["rows"][0]["price"] == "1.5"


NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001
CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("annotation", "value", "locs"),
    [
        (int, "x", [""]),
        (float, math.nan, [""]),
        (float, -math.inf, [""]),
        (Decimal, Decimal("NaN"), [""]),
        (datetime, NAIVE, [""]),
        (bytes, b"\xff", [""]),
        (str, "\ud800", [""]),
        (list[float], [1.0, math.inf], ["1"]),
        (Outer, Outer(rows=[Inner(), Inner(at=NAIVE)]), ["rows.1.at"]),
        (Outer, Outer(rows=[Inner(weight=math.nan), Inner(at=NAIVE)]),
         ["rows.0.weight", "rows.1.at"]),
        (Outer, Outer(rows=[Inner(raw=b"\xff")]), ["rows.0.raw"]),
        (Outer, Outer(extra={"a": [object()]}), ["extra.a.0"]),
        (Outer, Outer(extra={"a": NAIVE}), ["extra.a"]),
        (Outer, {"rows": [{"weight": "x"}, {"at": "y"}]}, ["rows.0.weight", "rows.1.at"]),
        (Point, Point(1.0, NAIVE), ["at"]),
        (Options, {"a": 1, "at": NAIVE}, ["at"]),
        (dict[str, datetime], {"a": NAIVE}, ["a"]),
        (set[bytes], {b"\xff"}, ["0"]),
        (Any, {"a": [math.nan, object(), NAIVE, b"\xff", "\ud800"]},
         ["a.0", "a.1", "a.2", "a.3", "a.4"]),
        (Any, {"rows": (Inner(at=NAIVE),)}, ["rows.0.at"]),
        (Any, Decimal("Infinity"), [""]),
        (Any, print, [""]),
        (Any, Inner, [""]),
        (Any, Holder.model_construct(inner=[object()]), ["inner.0"]),
    ],
    ids=shown,
)  # fmt: skip
def test_what_json_would_not_bring_back_is_refused_with_its_path(
    annotation: Any, value: Any, locs: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        Value(annotation).dump(value, "the input of 'x'")
    assert [fault["loc"] for fault in caught.value.details] == locs
    assert str(caught.value).startswith("the input of 'x' does not fit: ")


def test_sets_are_stored_in_an_order_that_every_process_has() -> None:
    letters = frozenset("hgfedcba")
    assert Value(frozenset[str]).dump(letters, "x") == list("abcdefgh")
    pairs = {"a": {(2, "a"), (1, "b")}}
    assert Value(dict[str, set[tuple[int, str]]]).dump(pairs, "x") == {"a": [[1, "b"], [2, "a"]]}
    assert Value().dump({"a": [set(letters), letters]}, "x") == {"a": [list("abcdefgh")] * 2}
    said = Grouped(names=set(letters), said={"a", "b"}, inner=None)
    whole = Grouped(names={"z", "y"}, said=set(), inner=said)
    stored = Value(Grouped).dump(whole, "x")
    assert stored["names"] == ["y", "z"]
    assert stored["inner"] == {"names": list("abcdefgh"), "said": "b, a", "inner": None}
    assert Value(set[str]).load(["b", "a"]) == {"a", "b"}


def test_a_cycle_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nests deeper than 200"):
        Value().dump(CYCLE, "x")


def test_a_key_that_is_no_text_that_can_be_stored_is_refused() -> None:
    with pytest.raises(InvalidInput, match="as a key"):
        Value().dump({object(): 1}, "x")
    with pytest.raises(InvalidInput, match="as a key"):
        Value().dump({"\ud800": 1}, "x")


def test_what_is_stored_and_does_not_fit_any_more_is_refused_with_its_path() -> None:
    with pytest.raises(InvalidInput) as caught:
        Value(Outer).load({"rows": [{"at": "noon"}]}, "the input of step 's'")
    assert caught.value.details[0]["loc"] == "rows.0.at"


@pytest.mark.parametrize("annotation", [Any, Outer, dict[str, Any], list[dict[str, list[Any]]]])
def test_what_is_read_shares_nothing_with_what_is_stored(annotation: Any) -> None:
    def stored() -> Any:
        row = {"extra": {"deep": [1]}}
        return [row] if annotation == list[dict[str, list[Any]]] else row

    given = stored()
    if annotation == list[dict[str, list[Any]]]:
        given = [{"extra": [[1]]}]
        Value(annotation).load(given)[0]["extra"][0].append(2)
        assert given == [{"extra": [[1]]}]
        return
    read = Value(annotation).load(given)
    (read.extra if isinstance(read, Outer) else read["extra"])["deep"].append(2)
    assert given == stored()


class Old(typing.TypedDict):
    at: datetime
    note: typing.NotRequired[str]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Old, {"at": NOON}),
        (list[Old], [{"at": NOON, "note": "x"}]),
        (dict[str, Old | None], {"a": {"at": NOON}, "b": None}),
    ],
)
def test_a_typed_dict_of_typing_is_one(annotation: Any, value: Any) -> None:
    made = Value(annotation)
    assert made.load(made.dump(value, "x")) == value
    with pytest.raises(InvalidInput):
        made.dump({"note": "x"}, "x")


class Unknown:
    pass


class Unfinished(BaseModel):
    later: Nowhere  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("annotation", [Unknown, list[Unknown], "Nowhere", Unfinished])
def test_an_annotation_that_cannot_be_stored_is_refused_at_once(annotation: Any) -> None:
    with pytest.raises(InvalidDefinition, match="cannot be stored"):
        Value(annotation)


def test_the_value_of_an_annotation_is_built_once() -> None:
    assert value_of(list[Inner]) is value_of(list[Inner])


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(PLAIN)
def test_plain_json_is_stored_as_it_is(value: Any) -> None:
    assert Value().dump(value, "x") == value
    assert Value().load(value) == value
    assert Value(list[Any]).dump([value], "x") == [value]


STRANGE: list[Callable[[], Any]] = [object, lambda: math.nan, lambda: b"\xff", lambda: NAIVE]


@given(PLAIN, st.sampled_from(STRANGE), st.lists(st.integers(0, 3) | st.text(), max_size=6))
def test_something_strange_is_found_wherever_it_is(value: Any, strange: Any, path: Any) -> None:
    inside = strange()
    for part in reversed(path):
        inside = {part: inside} if isinstance(part, str) else [*[value] * part, inside]
    with pytest.raises(InvalidInput) as caught:
        Value().dump(inside, "x")
    assert [fault["loc"] for fault in caught.value.details] == [".".join(map(str, path))]
