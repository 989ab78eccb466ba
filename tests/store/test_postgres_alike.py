"""Items that are alike are sent once: what is recorded is what it would be item by item."""

from __future__ import annotations

import asyncio
from dataclasses import astuple
from typing import Any

import pytest

from runfold.ports import Batch, Claim, Item
from runfold.store.sql import postgres_arguments
from runfold.store.sql.postgres import PostgresStore
from runfold.store.sql.postgres_arguments import NAMES, arguments
from runfold.testing.contract_scene import WORKER, Scene, claim, event, key_of, new, row

SHARED = (
    event("step.scheduled", step="step", activation=1, attempt=1, cause=1),
    event("step.scheduled", step="other", activation=1, key="k", cause=1),
)
JOBS = [row(1), row(2, step="other", inputs="[1]", priority=9, key="k")]
LARGE = b'"' + b"x" * 100_000 + b'"'


def begun(name: str, state: bytes = b"{}", **more: Any) -> Item:
    """Return an item like others of this file, but for its first event's state."""
    return new(name, event("flow.start", state), *SHARED, **{"rows": JOBS, **more})


def sent(*items: Item) -> dict[str, Any]:
    return dict(zip(NAMES, arguments(1, Batch(1, 1, items), blob_min=65_536), strict=True))


def test_what_is_alike_is_sent_once() -> None:
    given = sent(*(begun(name, name.encode()) for name in "abc"))
    assert (given["e_item"], given["r_item"]) == (None, None)
    assert given["e_topic"] == '{"flow.start","step.scheduled","step.scheduled"}'
    assert given["r_event"] == "{1, 2}"
    assert [state for state in given["e_state"] if state != b"{}"] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    "other",
    [
        begun("b", rows=[*JOBS]),
        begun("b", gate=1),
        new("b", event("flow.start"), *SHARED[:1], rows=JOBS),
        new("b", event("flow.start", cause=1), *SHARED, rows=JOBS),
        new("b", event("flow.cancelled"), *SHARED, rows=JOBS),
        new("b", event("flow.start"), event("step.scheduled"), SHARED[1], rows=JOBS),
        Item([event("flow.start"), *SHARED], stream=1, rows=JOBS),
        Item([], stream=1),
    ],
)  # fmt: skip
def test_what_differs_is_sent_item_by_item(other: Item) -> None:
    assert sent(begun("a"), other)["e_item"] is not None
    if other.events:
        assert sent(other, begun("a"))["e_item"] is not None


@pytest.mark.parametrize("rows", [[row(1, "start", delay=1.0)], [row(1, limits=("queue:q#1",))]])
def test_what_is_later_or_in_a_lane_is_sent_item_by_item(rows: list[Any]) -> None:
    assert sent(*(begun(name, rows=rows) for name in "ab"))["e_item"] is not None


def test_the_log_and_its_jobs_are_those_of_items_sent_one_by_one(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [
        begun("a", b'"a"'), begun("there", b'"there"'), begun("b", LARGE), begun("a", b'"twin"'),
        begun("c", LARGE), begun("d", b'"d"'),
    ]  # fmt: skip

    async def found(namespace: str) -> list[Any]:
        store = PostgresStore(postgres_url, namespace=namespace)
        await store.open()
        try:
            scene = Scene(store)
            await scene.start("there")
            wanted: Claim = claim(7)
            done = await scene.commit(*items, claims=[wanted])
            ids = [key_of(name) for name in ("a", "b", "c", "d")]
            return [
                [*done.outcomes], await store.find(ids), await scene.everything(),
                [astuple(job)[:-1] for job in await store.leased(WORKER)],
                await scene.take(9),
            ]  # fmt: skip
        finally:
            await store.close()

    alike = asyncio.run(found("alike"))
    monkeypatch.setattr(postgres_arguments, "_are_alike", lambda items: False)
    assert asyncio.run(found("singly")) == alike
    assert [outcome.refusal is None for outcome in alike[0]] == [
        True,
        False,
        True,
        False,
        True,
        True,
    ]
