"""Rows changed where they stand: the same rows as with copies, and nothing of what fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.building import Table, emits, totals
from runfold import InvalidDefinition, Projection, Rows
from runfold.flow.events import Emit, FlowCompleted
from runfold.projections.fold import Poison, fold
from runfold.projections.in_place import InPlace
from runfold.projections.logged import Logged


@dataclass(slots=True)
class Chain:
    name: str
    follows: str | None
    seen: int


def chains(*, in_place: bool) -> Projection[Chain]:
    """Handlers whose keys depend on rows, which delete, and which read what they wrote."""
    projection = Projection("chains", Chain, key="name", in_place=in_place)

    @projection.on(Emit)
    def link(rows: Rows[Chain], at: Logged[Emit]) -> None:
        name = at.event.name
        last = rows.get("last")
        row = rows.get(name) or Chain(name, None, 0)
        before = rows.get(last.follows) if last is not None and last.follows else None
        is_over = before is not None and before.seen > 2
        row.seen += 1
        rows.put(row)
        if last is not None and last.follows is not None and is_over:
            rows.delete(last.follows)
        rows.put(Chain("last", name, at.recorded.position))

    return projection


@given(
    names=st.lists(st.sampled_from("abcd"), max_size=40),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    cache_max=st.sampled_from([1, 2, 50]),
    whole=st.booleans(),
)
def test_rows_changed_in_place_are_those_changed_as_copies(
    names: list[str], sizes: list[int], cache_max: int, whole: bool
) -> None:
    page, copied, changed = emits(*names), Table(), Table()
    with_copies, in_place = chains(in_place=False), chains(in_place=True)
    copied.fold(with_copies, with_copies.sheet(whole=True), page)
    sheet = in_place.sheet(whole=whole, cache_max=cache_max)
    assert isinstance(sheet, InPlace)
    rest: list[Any] = page
    for turn in range(len(page)):
        size = sizes[turn % len(sizes)]
        changed.fold(in_place, sheet, rest[:size])
        rest = rest[size:]
    assert changed.rows == copied.rows


def test_what_has_not_changed_is_not_written() -> None:
    projection, table = chains(in_place=True), Table()
    sheet = projection.sheet(whole=True)
    table.fold(projection, sheet, emits("a"))
    row = sheet.get("a")
    assert row is not None
    sheet.put(row)
    sheet.delete("never there")
    assert sheet.pending == 2
    assert sheet.take() == {}


def test_a_row_that_was_written_is_deleted_although_the_sheet_began_empty() -> None:
    projection = chains(in_place=True)
    sheet = projection.sheet(whole=True)
    fold(projection, sheet, emits("a"))
    sheet.take()
    sheet.delete("a")
    assert sheet.take() == {("a",): None}


def test_a_poison_is_named_and_what_no_table_keeps_is_found_when_it_is_taken() -> None:
    projection = Projection("p", Chain, key="name", in_place=True)

    @projection.on(Emit)
    def link(rows: Rows[Chain], at: Logged[Emit]) -> None:
        if at.event.name == "bad":
            raise ZeroDivisionError("no")
        rows.put(Chain(at.event.name, None, 0))

    sheet = projection.sheet(whole=True)
    with pytest.raises(Poison, match="cannot fold event 2"):
        fold(projection, sheet, emits("a", "bad"))
    fold(projection, sheet, emits("\x00"))
    with pytest.raises(ValueError, match="NUL"):
        sheet.take()


def test_handlers_that_cannot_work_in_place_are_refused() -> None:
    projection = totals()
    assert projection.sheet().is_careful
    in_place = Projection("p", Chain, key="name", in_place=True)
    in_place.on(Emit)(lambda rows, at: None)
    for types, options in (((Emit,), {}), (("log",), {}), ((FlowCompleted,), {"flow": "f"})):
        with pytest.raises(InvalidDefinition, match="is in_place"):
            in_place.on(*types, **options)(lambda rows, at: None)


@pytest.mark.parametrize("careful", [True, False])
@given(
    names=st.lists(st.sampled_from("abcd"), max_size=40),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    cache_max=st.sampled_from([1, 2, 50]),
    whole=st.booleans(),
)
def test_counts_are_how_many_rows_there_are(
    careful: bool, names: list[str], sizes: list[int], cache_max: int, whole: bool
) -> None:
    projection = Projection(
        "chains", Step, key="name", in_place=True, counts=("color",), counted={"kind": "x"}
    )
    projection.on(Emit)(stepped)
    sheet = projection.sheet(whole=whole, cache_max=cache_max, careful=careful)
    table, counts, rest = Table(), Counter[Any](), emits(*names)
    for turn in range(len(names)):
        size = sizes[turn % len(sizes)]
        table.fold(projection, sheet, rest[:size])
        for of, by in sheet.counts.items():
            counts[of] += by
        rest = rest[size:]
    known = Counter((color,) for _, kind, color, _ in table.rows.values() if kind == "x")
    assert +counts == known


@dataclass(slots=True)
class Step:
    name: str
    kind: str
    color: str
    seen: int


def stepped(rows: Rows[Step], at: Logged[Emit]) -> None:
    """Change color and kind with each event, and go at the fifth."""
    name = at.event.name
    row = rows.get(name)
    if row is None:
        rows.put(Step(name, "x", "red", 1))
    elif row.seen == 5:
        rows.delete(name)
    else:
        row.seen += 1
        row.kind, row.color = "xxyx"[row.seen - 2], ("red", "blue", "red", "green")[row.seen - 2]
        rows.put(row)


@pytest.mark.parametrize("names", [("seen",), ("color", "color"), ("nothing",)])
def test_only_columns_of_text_are_counted_by(names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidDefinition, match="expected fields of text"):
        Projection("p", Step, key="name", counts=names)
