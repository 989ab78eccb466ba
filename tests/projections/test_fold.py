"""Folding pages into rows: what is fetched, what counts, and where a poison stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.building import DONE, START, Table, Total, emits, logged, totals
from runfold import LogEvent, Projection, Rows
from runfold.flow.events import Emit, FlowCompleted
from runfold.projections.fold import Poison, fold
from runfold.projections.logged import Logged


def test_events_become_rows() -> None:
    table, projection = Table(), totals()
    table.fold(projection, projection.sheet(whole=True), emits("a", "b", "a"))
    assert [row[:2] for row in table.rows.values()] == [("a", 2), ("b", 1)]
    assert table.asked == []


def test_all_rows_that_a_page_needs_are_fetched_at_once() -> None:
    table, projection = Table(), totals()
    table.fold(projection, projection.sheet(), emits("a", "b", "a", "c"))
    assert table.asked == [[("a",), ("b",), ("c",)]]


def test_rows_are_fetched_once_and_then_in_memory() -> None:
    table, projection = Table(), totals()
    sheet = projection.sheet()
    table.fold(projection, sheet, emits("a"))
    table.fold(projection, sheet, emits("a", "a", start=2))
    assert table.asked == [[("a",)]]
    assert table.rows["a",][:2] == ("a", 3)


def test_a_handler_that_is_run_again_counts_once() -> None:
    projection, table = Projection("p", Total, key="name"), Table()

    @projection.on("emit")
    def both(rows: Rows[Total], event: LogEvent) -> None:
        for name in ("all", event.data["name"]):  # The second is missing once the first is there.
            total = rows.get(name) or Total(name)
            total.count += 1
            rows.put(total)

    table.fold(projection, projection.sheet(), emits("a", "b", "a"))
    assert {key[0]: row[1] for key, row in table.rows.items()} == {"all": 3, "a": 2, "b": 1}


def test_a_row_that_is_not_put_is_not_changed() -> None:
    projection, table = totals(), Table()
    sheet = projection.sheet(whole=True)
    table.fold(projection, sheet, emits("a"))

    @projection.on("flow.completed")
    def forget_to_put(rows: Rows[Total], event: LogEvent) -> None:
        total = rows.get("a")
        assert total is not None
        total.count = 99

    table.fold(projection, sheet, logged(DONE, start=2))
    assert table.rows["a",][1] == 1


def test_a_deleted_row_is_gone_and_may_come_back() -> None:
    projection, table = totals(), Table()

    @projection.on("flow.completed")
    def clear(rows: Rows[Total], event: LogEvent) -> None:
        rows.delete("a")
        assert rows.get("a") is None

    sheet = projection.sheet()
    table.fold(projection, sheet, emits("a", "a"))
    table.fold(projection, sheet, logged(DONE, start=3))
    assert table.rows == {}
    table.fold(projection, sheet, emits("a", start=4))
    assert table.rows["a",][1] == 1


def test_names_of_types_get_what_the_wire_shows_and_classes_the_event() -> None:
    projection, seen = Projection("p", Total, key="name"), []

    @projection.on("flow.completed")
    def shown(rows: Rows[Total], event: LogEvent) -> None:
        seen.append((event.id, event.data["result"]))

    @projection.on(FlowCompleted)
    def typed(rows: Rows[Total], event: Logged[FlowCompleted]) -> None:
        seen.append((event.recorded.position, event.event.result))

    fold(projection, projection.sheet(), logged(START, DONE))
    assert seen == [(2, {"ok": True}), (2, {"ok": True})]


def test_only_events_of_the_flow_are_handled() -> None:
    projection, seen = Projection("p", Total, key="name"), []
    projection.on(Emit, flow="orders")(lambda rows, event: seen.append(event.flow))
    fold(projection, projection.sheet(), emits("a") + logged(Emit(name="a"), flow="mail", start=2))
    assert seen == ["orders"]


def broken(rows: Rows[Total], event: LogEvent) -> None:
    total = rows.get("a") or Total("a")
    rows.put(total)
    if event.data["name"] == "bad":
        raise ZeroDivisionError("no")


def unfit(rows: Rows[Total], event: LogEvent) -> None:
    rows.put(Total("a", count=1.5 if event.data["name"] == "bad" else 1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("handler", "error"),
    [(broken, "ZeroDivisionError: no"), (unfit, "column 'count': expected int")],
)
def test_a_poison_stops_before_its_event_with_all_that_is_before_it(
    handler: Callable[[Rows[Total], LogEvent], None], error: str
) -> None:
    projection = Projection("p", Total, key="name")
    projection.on("emit")(handler)
    sheet = projection.sheet(whole=True)
    with pytest.raises(Poison, match=f"'p' cannot fold event 3 \\(emit\\): .*{error}") as caught:
        fold(projection, sheet, emits("x", "y", "bad", "z"))
    assert (caught.value.position, caught.value.type) == (3, "emit")
    assert list(sheet.take()) == [("a",)]


def test_a_handler_cannot_swallow_that_a_row_is_missing() -> None:
    projection, table = Projection("p", Total, key="name"), Table()
    table.rows["a",] = ("a", 7, None, None)

    @projection.on("emit")
    def swallows(rows: Rows[Total], event: LogEvent) -> None:
        try:
            total = rows.get("a")
        except Exception:
            total = None
        rows.put(Total("b", count=total.count if total else 0))

    table.fold(projection, projection.sheet(), emits("x"))
    assert table.rows["b",][1] == 7


def test_a_key_of_the_wrong_length_is_a_poison() -> None:
    projection = Projection("p", Total, key="name")
    projection.on("emit")(lambda rows, event: rows.get("a", "b"))
    with pytest.raises(Poison, match="the key is \\['name'\\], got 2 values"):
        fold(projection, projection.sheet(), emits("x"))


@dataclass(slots=True)
class Chain:
    name: str
    follows: str | None
    seen: int


def chains() -> Projection[Chain]:
    """Handlers whose keys depend on rows, which delete, and which read what they wrote."""
    projection = Projection("chains", Chain, key="name")

    @projection.on("emit")
    def link(rows: Rows[Chain], event: LogEvent) -> None:
        name = event.data["name"]
        last = rows.get("last")
        row = rows.get(name) or Chain(name, None, 0)
        row.seen += 1
        if last is not None and last.follows is not None:
            row.follows = last.follows
            before = rows.get(last.follows)
            if before is not None and before.seen > 2:
                rows.delete(last.follows)
        rows.put(row)
        rows.put(Chain("last", name, event.id))

    return projection


@given(
    names=st.lists(st.sampled_from("abcd"), max_size=40),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    cache_max=st.sampled_from([1, 2, 50]),
    whole=st.booleans(),
)
def test_batches_and_caches_of_any_size_give_the_same_rows(
    names: list[str], sizes: list[int], cache_max: int, whole: bool
) -> None:
    projection, page = chains(), emits(*names)
    at_once = Table()
    at_once.fold(projection, projection.sheet(whole=True), page)

    table, sheet = Table(), projection.sheet(whole=whole, cache_max=cache_max)
    rest: list[Any] = page
    for turn in range(len(page)):
        size = sizes[turn % len(sizes)]
        table.fold(projection, sheet, rest[:size])
        rest = rest[size:]
    assert table.rows == at_once.rows
