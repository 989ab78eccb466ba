"""A handler that changes rows in place and raises: found at its event, with all before it kept."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from unittest import mock

import pytest

from runfold import Projection, Rows, ViewNotReady
from runfold.flow.events import Emit
from runfold.ports_views import ViewQuery
from runfold.projections.logged import Logged
from runfold.runtime import view_build
from runfold.runtime.keeper import table_of
from runfold.runtime.projector import Projector
from runfold.runtime.view_build import ViewBuild
from runfold.store.memory import MemoryStore
from runtime.test_view_properties import CODEC, Running, _append


@dataclass(slots=True)
class Count:
    name: str
    count: int
    text: str


def counting(*, raises: bool) -> Projection[Count]:
    """Counts emits in place; ``bad`` is what it cannot keep: found when it happens, or later."""
    projection = Projection("counting", Count, key="name", in_place=True, counts=("text",))

    @projection.on(Emit)
    def count(rows: Rows[Count], at: Logged[Emit]) -> None:
        row = rows.get("all") or Count("all", 0, "fine")
        row.count += 1
        if at.event.name == "bad":
            row.text = "\x00"
            if raises:
                raise ZeroDivisionError("no")
        rows.put(row)

    return projection


async def _log(store: MemoryStore) -> int:
    """Record eight emits, the sixth of them bad; return its position."""
    runs: dict[int, int] = {}
    await _append(store, 0, runs, [(1, "a")])
    for number, name in enumerate(["a", "b", "c", "d", "bad", "e", "f"], start=1):
        await _append(store, number, runs, [(1, name)])
    return await store.head() - 2


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("goes_before", [0, 3, 5])
def test_the_projector_stops_before_the_event_with_all_that_is_before_it(
    raises: bool, goes_before: int
) -> None:
    async def told() -> None:
        store, projection = MemoryStore(), counting(raises=raises)
        bad = await _log(store)
        keeper = Projector(
            store, store.views, CODEC, Running(), [projection], tokens=lambda: 7, lease=3600
        )
        with mock.patch("runfold.runtime.projector.PAGE", goes_before or 100):
            for _ in range(12):
                keeper.look()
                await keeper.turn()
        (view,) = await store.views.parts()
        error = json.loads(view.error or "{}")
        assert (error["position"], error["type"], view.position) == (bad, "emit", bad - 1)
        assert ("ZeroDivisionError" if raises else "NUL") in error["error"]
        table = table_of(projection, 1)
        assert await store.views.query(table, ViewQuery()) == [("all", 4, "fine")]
        assert await store.views.counts(table) == {("fine",): 1}

    asyncio.run(told())


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("page", [1, 3, 100])
def test_a_build_says_which_event_it_cannot_fold(raises: bool, page: int) -> None:
    async def told() -> None:
        store, projection = MemoryStore(), counting(raises=raises)
        bad = await _log(store)
        build = ViewBuild(store, store.views, CODEC, Running(), projection, token=7, lease=3600)
        with mock.patch.object(view_build, "PAGE", page), pytest.raises(ViewNotReady) as caught:
            await build.rebuild()
        assert f'"position": {bad}' in str(caught.value)

    asyncio.run(told())
