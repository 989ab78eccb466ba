"""Views built anew: under load, after a kill, against a row that somebody changed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runfold import Flow, LogEvent, Projection, Rows, Runfold, ViewNotReady
from runfold.ports_views import ViewQuery, ViewWrite
from runfold.runtime import view_build
from runfold.runtime.keeper import table_of
from scenarios.scene import scenario
from scenarios.test_views import Order, orders, sell, sold


async def _position(rf: Runfold, state: str = "live") -> int:
    (view,) = [one for one in await rf.projections.status()
               if (one.name, one.state) == ("orders", state)]  # fmt: skip
    return view.position


@scenario
async def test_a_view_rebuilt_under_load_is_what_the_live_one_was(url: str) -> None:
    flow, view = sell(), orders()
    async with Runfold(url, flows=[flow], projections=[view]) as rf:
        await sold(rf, *range(5))
        await rf.run_until_idle()
        load = asyncio.gather(*[sold(rf, number) for number in range(5, 25)])
        await rf.projections.rebuild("orders")
        await rf.projections.rebuild("orders")
        await load
        await rf.run_until_idle()
        assert sorted(row.amount for row in (await rf.view(view).list()).items) == [*range(25)]
        found = [(one.build, one.state) for one in await rf.projections.status()
                 if one.name == "orders"]  # fmt: skip
        assert found == [(2, "old"), (3, "live")]
        assert (await rf.projections.verify("orders")).is_equal


@scenario
async def test_every_built_in_view_is_what_the_log_says(url: str) -> None:
    flow = sell()
    async with Runfold(url, flows=[flow]) as rf:
        await sold(rf, *range(10))
        await rf.run_until_idle()
        names = {one.name for one in await rf.projections.status()}
        found = [await rf.projections.verify(name) for name in sorted(names)]
        assert {"runs", "steps"} <= names
        assert [one.name for one in found if not one.is_equal] == []
        assert {one.state for one in await rf.projections.status()} == {"live"}


@scenario
async def test_a_row_that_somebody_changed_is_found_and_mended(url: str) -> None:
    flow, view = sell(), orders()
    async with Runfold(url, flows=[flow], projections=[view]) as rf:
        await sold(rf, 1, 2)
        await rf.run_until_idle()
        assert rf._node.projector is not None
        (row, *_) = await rf._store.views.query(table_of(view, 1), ViewQuery(limit=1))
        (part,) = [one for one in await rf._store.views.parts() if one.at.name == "orders"]
        changed = (row[0], 99, None)
        forged = ViewWrite(table_of(view, 1), 0, part.position, part.position, [changed])
        assert await rf._store.views.apply(rf._node.projector.ownership.token, [forged]) == [True]

        found = await rf.projections.verify("orders")
        assert (found.is_equal, found.rows, found.rebuilt_rows) == (False, 2, 2)
        await rf.projections.rebuild("orders")
        assert (await rf.projections.verify("orders")).is_equal


@scenario
async def test_a_rebuild_that_was_interrupted_goes_on_where_it_stood(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_build, "PAGE", 7)
    flow, view = sell(), orders()
    rf = Runfold(url, flows=[flow], projections=[view])
    async with rf:
        await sold(rf, *range(5))
        await rf.run_until_idle()
    seen: list[int] = []

    def interrupts(at: Any) -> None:
        seen.append(at.position)
        if len(seen) == 2:
            raise KeyError("interrupted")

    async with rf.connect():
        with pytest.raises(KeyError):
            await rf.projections.rebuild("orders", progress=interrupts)
        stood = await _position(rf, "building")
        assert 0 < stood < await rf._store.head()
        assert await rf.view(view).count() == 5
        await rf.projections.rebuild("orders", progress=interrupts)
        assert seen[2] > stood
        assert await rf.view(view).count() == 5
        assert (await rf.projections.verify("orders")).is_equal


@scenario
async def test_one_build_at_a_time(shared_url: str) -> None:
    flow, view = sell(), orders()
    async with Runfold(shared_url, flows=[flow], projections=[view]).connect() as rf:
        table = table_of(view, 1)
        await rf._store.views.create(table, state="live")
        other = table_of(view, 2)
        await rf._store.views.create(other, state="building")
        (part,) = [one for one in await rf._store.views.parts() if one.state == "building"]
        await rf._store.views.own(1, [part.at], 60)
        with pytest.raises(ViewNotReady, match="is being built by another process"):
            await rf.projections.rebuild("orders")


@scenario
async def test_a_build_whose_handler_fails_says_where(url: str) -> None:
    flow: Flow[Any, Any] = sell()
    view: Projection[Order] = orders()
    rf = Runfold(url, flows=[flow], projections=[view])
    async with rf:
        await sold(rf, 1)
        await rf.run_until_idle()
        handlers = view.handlers["flow.completed"]

        def fails(rows: Rows[Order], event: LogEvent) -> None:
            raise ZeroDivisionError("no")

        handlers[0] = handlers[0]._replace(fn=fails)
        with pytest.raises(ViewNotReady, match=r"cannot be built: .*ZeroDivisionError"):
            await rf.projections.verify("orders")
        assert await rf.view(view).count() == 1
