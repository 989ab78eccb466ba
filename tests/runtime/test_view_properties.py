"""Random histories: kept live, built anew, in pages and parts of any size, views are the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from runfold import LogEvent, Projection, Rows
from runfold.flow.events import Emit, FlowStart, Log
from runfold.kernel.event import Draft
from runfold.ports import Batch, Item
from runfold.ports_views import View, ViewPart
from runfold.projections.logged import Logged
from runfold.runtime import projector as projector_module
from runfold.runtime import view_build
from runfold.runtime.keeper import Keeper, table_of
from runfold.runtime.naming import Naming
from runfold.runtime.projector import Projector
from runfold.runtime.tail import decode
from runfold.runtime.view_build import ViewBuild
from runfold.store.codec import JsonCodec
from runfold.store.memory import MemoryStore

CODEC = JsonCodec()


@dataclass(slots=True)
class Seen:
    run: str
    name: str
    count: int
    last: int


@dataclass(slots=True)
class Name:
    name: str
    runs: list[str]


def per_run() -> Projection[Seen]:
    """Rows that belong to one run each, made, changed and deleted."""
    projection = Projection("per_run", Seen, key=("run", "name"), parallel=True)

    @projection.on(Emit)
    def count(rows: Rows[Seen], at: Logged[Emit]) -> None:
        assert at.run_id is not None
        row = rows.get(at.run_id, at.event.name) or Seen(at.run_id, at.event.name, 0, 0)
        row.count, row.last = row.count + 1, at.recorded.position
        if row.count == 4:
            rows.delete(at.run_id, at.event.name)
        else:
            rows.put(row)

    return projection


def over_runs() -> Projection[Name]:
    """Rows that runs share, whose keys depend on other rows."""
    projection = Projection("over_runs", Name, key="name")

    @projection.on("emit")
    def note(rows: Rows[Name], event: LogEvent) -> None:
        name = event.data["name"]
        row = rows.get(name) or Name(name, [])
        row.runs = [*row.runs, event.run_id or ""][-3:]
        rows.put(row)
        other = rows.get("ab"[len(row.runs) % 2])
        if other is not None:
            rows.put(Name(other.name, [*other.runs, name][-5:]))

    return projection


class Running:
    """A clock that never makes anybody wait."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """Return a second more each time."""
        self._now += 1.0
        return self._now

    def now(self) -> datetime | None:
        """Return None: the store's own clock."""
        return None


async def _append(store: MemoryStore, number: int, runs: dict[int, int], what: list[Any]) -> None:
    items = []
    for run, name in what:
        event = Log(level="info", message=name) if name == "log" else Emit(name=name)
        if run in runs:
            items.append(Item([CODEC.encode(Draft(event))], stream=runs[run]))
        else:
            start = FlowStart(run_id=f"{run:032x}", flow=f"f{run % 2}", definition="d")
            id = run.to_bytes(16, "big")
            items.append(Item([CODEC.encode(Draft(start))], id=id, flow=start.flow))
        answer = await store.commit(Batch(1, number * 1000 + len(items), items[-1:]))
        runs[run] = answer.outcomes[0].stream


async def _live(
    store: MemoryStore, projections: Sequence[Projection[Any]], pieces: list[list[Any]], page: int
) -> None:
    runs: dict[int, int] = {}
    keeper = Projector(
        store, store.views, CODEC, Running(), projections, tokens=lambda: 7, lease=3600
    )
    with mock.patch.object(projector_module, "PAGE", page):
        for number, piece in enumerate(pieces):
            await _append(store, number, runs, piece)
            keeper.look()
            await keeper.turn()
        keeper.look()
        while await keeper.turn() or not keeper.caught_up(await store.head()):
            keeper.look()
    await keeper.leave()


async def _parts(store: MemoryStore, projection: Projection[Any], parts: int, page: int) -> Any:
    table = table_of(projection, 99)
    await store.views.create(table, state="checking", parts=parts)
    held = await store.views.own(5, [ViewPart(*table[:3], part) for part in range(parts)], 60)
    head = await store.head()
    for view in held:
        keeper = Keeper(projection, view, store.views)
        for after in range(0, head, page):
            rows = await store.read(after=after, limit=page)
            named = await Naming(store).logged([decode(CODEC, row) for row in rows])
            await keeper.fold(named, rows[-1].position)
            write = keeper.write()
            assert await store.views.apply(5, [write]) == [True]
            keeper.wrote(write, 0.0)
    return await store.views.checksum(table)


async def _elsewhere(
    store: MemoryStore, projection: Projection[Any], page: int, views: Sequence[View], upto: int
) -> None:
    """Fold each part as a process of its own would, the last one first."""
    for number, view in enumerate(reversed(views)):
        build = ViewBuild(
            store, store.views, CODEC, Running(), projection,
            token=20 + number, lease=3600, page=page + number,
        )  # fmt: skip
        await build.fold_part(view, upto)


histories = st.lists(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["a", "b", "c", "log"])), max_size=12),
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(
    pieces=histories,
    live_page=st.integers(1, 30),
    page=st.integers(1, 30),
    parts=st.integers(1, 4),
)
def test_live_rebuilt_and_divided_are_the_same(
    pieces: list[list[Any]], live_page: int, page: int, parts: int
) -> None:
    async def compare() -> None:
        store, projections = MemoryStore(), [per_run(), over_runs()]
        await store.open()
        await _live(store, projections, pieces, live_page)
        head = await store.head()
        for projection in projections:
            live = await store.views.checksum(table_of(projection, 1))
            assert live.position == head
            with mock.patch.object(view_build, "PAGE", page):
                build = ViewBuild(
                    store, store.views, CODEC, Running(), projection, token=9, lease=3600
                )
                assert (await build.verify()).is_equal
                table = await build.rebuild() if head else table_of(projection, 1)
                assert await store.views.checksum(table) == live
                if head and projection.parallel:
                    folded = partial(_elsewhere, store, projection, page)
                    table = await build.rebuild(parts=parts, elsewhere=folded)
            assert await store.views.checksum(table) == live
        divided = await _parts(store, projections[0], parts, page)
        assert divided == await store.views.checksum(table_of(projections[0], 3 if head else 1))

    asyncio.run(compare())
