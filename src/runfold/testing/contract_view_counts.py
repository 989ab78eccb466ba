"""The contract of counts: how many rows there are; they move with the rows or not at all."""

from __future__ import annotations

from typing import Any

from runfold.ports import Store
from runfold.ports_views import ViewColumn, ViewPart, ViewQuery, ViewTable, ViewWrite
from runfold.testing.contract_scene import OTHER, WORKER, Contract, Scene

COUNTED = ViewTable(
    "tickets",
    1,
    1,
    (
        ViewColumn("tag", "text", False),
        ViewColumn("number", "int", False),
        ViewColumn("desk", "text", False),
        ViewColumn("status", "text", False),
    ),
    ("tag", "number"),
    (("tag", "desk", "status", "number"), ("tag", "status", "number")),
    "shape",
    ("desk", "status"),
    (("tag", ""),),
)
ALL = (("tag", ""),)


def counted(after: int, upto: int, counts: Any, *put: Any, part: int = 0) -> ViewWrite:
    """Return a write to ``COUNTED``."""
    return ViewWrite(COUNTED, part, after, upto, put, (), counts)


async def tickets(scene: Scene, *, parts: int = 1) -> Store:
    """Return a store with events, and ``COUNTED`` held by ``WORKER``."""
    for number in range(9):
        await scene.start(f"run {number}")
    await scene.store.views.create(COUNTED, state="live", parts=parts)
    wanted = [ViewPart("tickets", 1, 1, part) for part in range(parts)]
    await scene.store.views.own(WORKER, wanted, 3600)
    return scene.store


class ViewCountContract(Contract):
    """Counts of views."""

    async def test_counts_add_up_and_answer_how_many_rows_there_are(self, scene: Scene) -> None:
        store = await tickets(scene)
        made = [(("a", "open"), 2), (("a", "over"), 1), (("b", "open"), 3)]
        moved = [(("a", "open"), -2), (("a", "over"), 2)]
        assert await store.views.apply(WORKER, [counted(0, 1, made)]) == [True]
        assert await store.views.apply(WORKER, [counted(1, 2, moved)]) == [True]
        everything = {("a", "over"): 3, ("b", "open"): 3}
        assert await store.views.counts(COUNTED) == everything
        assert await store.views.counts(COUNTED, [("desk", "b")]) == {("b", "open"): 3}
        assert await store.views.counts(COUNTED, [("desk", "b"), ("status", "over")]) == {}
        for equal, rows in (((), 6), ((("status", "open"),), 3), ((("desk", "c"),), 0)):
            assert await store.views.count(COUNTED, ViewQuery(ALL + equal)) == rows

    async def test_what_counts_do_not_tell_is_counted_by_rows(self, scene: Scene) -> None:
        store = await tickets(scene)
        rows = [("", 1, "a", "open"), ("", 2, "a", "over"), ("vip", 2, "a", "over")]
        # Not what the rows say, so that it shows which of them was asked.
        await store.views.apply(WORKER, [counted(0, 1, [(("a", "open"), 50)], *rows)])
        views = store.views
        assert await views.count(COUNTED, ViewQuery(ALL)) == 50
        assert await views.count(COUNTED, ViewQuery((("tag", "vip"),))) == 1
        assert await views.count(COUNTED, ViewQuery()) == 3
        assert await views.count(COUNTED, ViewQuery((*ALL, ("number", 2)))) == 1
        assert await views.count(COUNTED, ViewQuery(ALL, (("number", ">", 0),))) == 2
        either = ((("status", "open"),), (("status", "over"),))
        assert await views.count(COUNTED, ViewQuery(ALL, either=either)) == 2

    async def test_what_is_refused_counts_nothing(self, scene: Scene) -> None:
        store = await tickets(scene)
        grown = [(("a", "open"), 1)]
        assert await store.views.apply(WORKER, [counted(0, 3, grown)]) == [True]
        assert await store.views.apply(WORKER, [counted(0, 3, grown)]) == [False]
        assert await store.views.apply(OTHER, [counted(3, 4, grown)]) == [False]
        assert await store.views.counts(COUNTED) == {("a", "open"): 1}

    async def test_parts_add_to_the_same_counts(self, scene: Scene) -> None:
        store = await tickets(scene, parts=2)
        writes = [counted(0, 3, [(("a", "open"), 2)], part=part) for part in range(2)]
        assert await store.views.apply(WORKER, writes) == [True, True]
        assert await store.views.counts(COUNTED) == {("a", "open"): 4}

    async def test_counts_are_part_of_the_sum(self, scene: Scene) -> None:
        store = await tickets(scene)
        row, other = ("", 1, "a", "open"), COUNTED._replace(build=2)
        await store.views.create(other, state="checking")
        await store.views.own(WORKER, [ViewPart("tickets", 1, 2)], 3600)
        wrong = counted(0, 1, [(("a", "open"), 2)], row)
        right = counted(0, 1, [(("a", "open"), 1), (("b", "open"), 0)], row)
        await store.views.apply(WORKER, [right, wrong._replace(table=other)])
        assert await store.views.checksum(COUNTED) != await store.views.checksum(other)
        less = ViewWrite(other, 0, 1, 1, (), (), [(("a", "open"), -1)])
        assert await store.views.apply(WORKER, [less]) == [True]
        assert await store.views.checksum(COUNTED) == await store.views.checksum(other)

    async def test_counts_go_with_their_build(self, scene: Scene) -> None:
        store = await tickets(scene)
        await store.views.apply(WORKER, [counted(0, 1, [(("a", "open"), 1)])])
        await store.views.drop(COUNTED)
        await store.views.create(COUNTED, state="live")
        assert await store.views.counts(COUNTED) == {}

    async def test_alternatives_are_one_listing_in_order(self, scene: Scene) -> None:
        store = await tickets(scene)
        rows = [("", n, "ab"[n % 2], ("open", "over", "lost")[n % 3]) for n in range(1, 10)]
        await store.views.apply(WORKER, [counted(0, 1, (), *rows)])
        either = ((("status", "open"),), (("status", "lost"),))
        falling = ViewQuery(ALL, (("number", "<", 9),), ("-number",), limit=3, either=either)
        found = await store.views.query(COUNTED, falling)
        assert [row[1] for row in found] == [8, 6, 5]
        both = tuple((("desk", desk), ("status", "open")) for desk in "ab")
        rising = ViewQuery(ALL, order=("number",), after=(3,), either=both)
        assert [row[1] for row in await store.views.query(COUNTED, rising)] == [6, 9]
