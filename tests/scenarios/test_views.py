"""Read models of the user's own: live, read after writing, stopped by a poison, taken over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from runfold import (
    Flow,
    InvalidDefinition,
    InvalidInput,
    LogEvent,
    Metric,
    Projection,
    Rows,
    Runfold,
    Sample,
    Settings,
    ViewNotReady,
)
from runfold.runtime import projector
from scenarios.scene import chain, finished, scenario


class Day(BaseModel):
    day: date
    orders: int = 0
    revenue: Decimal = Decimal(0)


@dataclass(slots=True)
class Order:
    run: str
    amount: int
    customer: str | None = None


def revenue(flow: Any = None, **options: Any) -> Projection[Day]:
    projection = Projection("revenue", Day, key="day", **options)

    @projection.on("flow.completed", flow=flow)
    def add(rows: Rows[Day], event: LogEvent) -> None:
        day = rows.get(event.ts.date()) or Day(day=event.ts.date())
        amount = Decimal(event.data["result"]["amount"])
        rows.put(day.model_copy(update={"orders": day.orders + 1, "revenue": day.revenue + amount}))

    return projection


def orders(**options: Any) -> Projection[Order]:
    projection = Projection("orders", Order, key="run", indexes=[("-amount",)], **options)

    @projection.on("flow.completed", flow="sell")
    def add(rows: Rows[Order], event: LogEvent) -> None:
        assert event.run_id is not None
        rows.put(Order(event.run_id, **event.data["result"]))

    return projection


def sell() -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("sell")

    @flow.entry()
    async def sold(order: dict[str, Any]) -> dict[str, Any]:
        return order

    return flow


async def sold(rf: Runfold, *amounts: int, **more: Any) -> int:
    """Sell for each amount; return the position of the log's end."""
    for amount in amounts:
        await finished(rf, "sell", {"amount": amount, **more})
    return await rf._store.head()


@scenario
async def test_a_view_follows_the_log(url: str) -> None:
    flow, view = sell(), revenue()
    async with Runfold(url, flows=[flow], projections=[view]) as rf:
        await finished(rf, flow, {"amount": 3})
        await finished(rf, flow, {"amount": 4})
        await rf.run_until_idle()
        page = await rf.view(view).list()
        assert [(day.orders, day.revenue) for day in page.items] == [(2, Decimal(7))]
        assert page.next is None
        assert await rf.view("revenue").get(page.items[0].day) == page.items[0]


@scenario
async def test_a_reader_sees_what_it_wrote(url: str) -> None:
    flow, view = sell(), orders()
    async with Runfold(url, flows=[flow], projections=[view]) as rf:
        for amount in range(20):
            run = await finished(rf, flow, {"amount": amount})
            (end,) = [event async for event in run.events(types=["flow.completed"])]
            found = await rf.view(view).get(run.id, min_position=end.id)
            assert found == Order(run.id, amount)


@scenario
async def test_pages_are_sorted_and_filtered(url: str) -> None:
    flow, view = sell(), orders()
    async with Runfold(url, flows=[flow], projections=[view]) as rf:
        head = await sold(rf, 5, 1, 4)
        await sold(rf, 9, customer="é")
        rows = rf.view(view)
        first = await rows.list("-amount", 2, min_position=head, customer=None)
        assert [row.amount for row in first.items] == [5, 4]
        rest = await rows.list("-amount", 2, first.next, customer=None)
        assert ([row.amount for row in rest.items], rest.next) == ([1], None)
        await rf.run_until_idle()
        assert [row.amount for row in (await rows.list(customer="é")).items] == [9]
        assert await rows.count(customer=None) == 3
        assert await rows.get("nobody") is None


@scenario
async def test_a_question_that_cannot_be_answered_is_refused(url: str) -> None:
    view = orders()
    async with Runfold(url, flows=[sell()], projections=[view]) as rf:
        rows = rf.view(view)
        head = await sold(rf, 1, 2)
        page = await rows.list(limit=1, min_position=head)
        for question in (
            rows.get(1), rows.get("a", "b"), rows.list(limit=0), rows.list(limit=1001),
            rows.list("price"), rows.list(price=1), rows.list(amount="1"),
            rows.list(cursor="?"), rows.list("-amount", cursor=page.next),
            rf.projections.wait("orders", 10**9),
        ):  # fmt: skip
            with pytest.raises(InvalidInput):
                await question


@scenario
async def test_a_view_that_comes_later_has_everything_from_the_beginning(url: str) -> None:
    flow, view = sell(), orders()
    async with Runfold(url, flows=[flow]) as rf:
        await sold(rf, 1, 2, 3)
        store = rf._store
    async with Runfold(store if url.startswith("memory") else url, flows=[flow],
                       projections=[view]) as rf:  # fmt: skip
        await rf.run_until_idle()
        assert sorted(row.amount for row in (await rf.view(view).list()).items) == [1, 2, 3]


@scenario
async def test_who_waits_for_every_view_waits_for_no_pause(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PACE_MIN", "PACE", "PACE_MAX"):
        monkeypatch.setattr(projector, name, 3600.0)
    flow, view = sell(), orders()
    async with Runfold(url, flows=[flow], projections=[view]) as rf:
        for amount in (1, 2, 3):
            await finished(rf, flow, {"amount": amount})
            await rf.run_until_idle()
            assert len((await rf.view(view).list()).items) == amount


@scenario
async def test_a_metric_is_folded_from_the_first_event(url: str) -> None:
    flow = sell()
    metric = Metric("sold_amount", "histogram", buckets=(2, 10), labels=("flow",))

    @metric.on("flow.completed", flow=flow)
    def observe(event: LogEvent) -> Sample:
        return Sample(event.data["result"]["amount"], {"flow": event.flow_name or ""})

    async with Runfold(url, flows=[flow], projections=[metric]) as rf:
        await rf.projections.wait("metric_sold_amount", await sold(rf, 1, 2, 30))
        (series,) = metric.series((await rf.view(metric.projection).list()).items)
        assert (series.labels, series.value, series.buckets) == ({"flow": "sell"}, 33, [2, 2, 3])


@scenario
async def test_a_poison_stops_its_projection_alone_until_it_is_mended(url: str) -> None:
    flow, good, bad, broken = sell(), orders(), Projection("bad", Order, key="run"), [True]

    @bad.on("flow.completed")
    def add(rows: Rows[Order], event: LogEvent) -> None:
        if broken and event.data["result"]["amount"] == 13:
            raise ZeroDivisionError("unlucky")
        rows.put(Order(event.run_id or "", event.data["result"]["amount"]))

    async with Runfold(url, flows=[flow], projections=[good, bad]) as rf:
        head = await sold(rf, 1, 13, 3)
        await rf.projections.wait("orders", head)
        with pytest.raises(ViewNotReady, match=r"has stopped at .*ZeroDivisionError: unlucky"):
            await rf.projections.wait("bad", head)
        (status,) = [one for one in await rf.projections.status() if one.name == "bad"]
        assert status.state == "stopped"
        assert status.error is not None
        assert status.error["type"] == "flow.completed"
        assert status.error["position"] == status.position + 1
        assert [row.amount for row in (await rf.view(bad).list()).items] == [1]
        await rf.run_until_idle()

        broken.clear()
        assert await rf.projections.resume("bad")
        assert not await rf.projections.resume("bad")
        await rf.projections.wait("bad", head)
        assert await rf.view(bad).count() == 3


@scenario
async def test_a_new_version_is_built_beside_the_old_one(url: str) -> None:
    flow, first = sell(), orders()
    async with Runfold(url, flows=[flow], projections=[first]) as rf:
        await rf.projections.wait("orders", await sold(rf, 1, 2))
        store = rf._store

    second = Projection("orders", Day, key="day", version=2)

    @second.on("flow.completed")
    def add(rows: Rows[Day], event: LogEvent) -> None:
        rows.put(Day(day=date(2026, 1, event.data["result"]["amount"])))

    again: Any = store if url.startswith("memory") else url
    async with Runfold(again, flows=[flow], projections=[second]) as rf:
        await rf.run_until_idle()
        assert await rf.view(second).count() == 2
        found = [(one.version, one.state) for one in await rf.projections.status()
                 if one.name == "orders"]  # fmt: skip
        assert found == [(1, "old"), (2, "live")]


@scenario
async def test_columns_that_changed_without_a_version_are_refused(url: str) -> None:
    flow = sell()
    async with Runfold(url, flows=[flow], projections=[orders()]) as rf:
        await rf.run_until_idle()
        store = rf._store
    other = Projection("orders", Day, key="day")
    other.on("emit")(lambda rows, event: None)
    again: Any = store if url.startswith("memory") else url
    with pytest.raises(InvalidDefinition, match="give it version=2"):
        async with Runfold(again, flows=[flow], projections=[other]):
            pass


@scenario
async def test_two_processes_share_the_views_and_one_takes_over(shared_url: str) -> None:
    settings, flow, view = Settings(lease=3), sell(), orders()
    one = Runfold(shared_url, flows=[flow], projections=[view], settings=settings)
    two = Runfold(shared_url, flows=[flow], projections=[orders()], settings=settings)
    async with one, two.serve({"projector"}):
        await one.projections.wait("orders", await sold(one, 1, 2))
        # The first freezes: its token is worth nothing once somebody else has taken it.
        assert one._node.projector is not None
        token = one._node.projector.ownership.token
        await one._store.views.disown(token)
        assert two._node.projector is not None
        two._node.projector.look_again()
        head = await sold(one, 3, 4)
        await two.projections.wait("orders", head)
        assert sorted(row.amount for row in (await two.view("orders").list()).items) == [1, 2, 3, 4]
        held = [view.token for view in await one._store.views.parts() if view.at.name == "orders"]
        assert held == [two._node.projector.ownership.token]


@scenario
async def test_a_client_reads_what_others_keep(shared_url: str) -> None:
    flow, view = sell(), orders()
    async with Runfold(shared_url, flows=[flow], projections=[view]) as rf:
        client = Runfold(shared_url, projections=[orders()])
        async with client.connect():
            head = await sold(rf, 7)
            found = await client.view("orders").list(min_position=head)
            assert [row.amount for row in found.items] == [7]


@scenario
async def test_a_view_that_nobody_has_built_is_not_ready(url: str) -> None:
    view = orders()
    async with Runfold(url, flows=[chain()], projections=[view]).serve({"dispatcher"}) as rf:
        with pytest.raises(ViewNotReady, match="serve the role `projector`"):
            await rf.view(view).get("x")


def test_projections_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(InvalidDefinition, match="two projections are called 'orders'"):
        Runfold("memory://", projections=[orders(), orders()])
    with pytest.raises(InvalidDefinition, match="expected a Projection or a Metric"):
        Runfold("memory://", projections=[Order])  # type: ignore[list-item]


@scenario
async def test_an_error_with_text_that_no_table_keeps_stops_no_view(url: str) -> None:
    flow: Flow[Any, Any] = Flow("odd")

    @flow.entry(retry=1)
    async def say(_: Any) -> None:
        message = "nothing \x00 here"
        raise ValueError(message)

    async with Runfold(url, flows=[flow]) as rf:
        await rf.start(flow, 1)
        await rf.run_until_idle()
        assert {one.state for one in await rf.projections.status()} == {"live"}
        (step,) = (await rf.view("steps").list()).items
        assert step.error == "EXECUTION_ERROR: nothing \ufffd here"
