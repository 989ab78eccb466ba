"""The contract of ``Views``: rows and position are one, kept by one owner, switched at once."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from runfold.ports import Store
from runfold.ports_views import View, ViewColumn, ViewPart, ViewQuery, ViewTable, ViewWrite
from runfold.testing.contract_scene import NOON, OTHER, WORKER, Contract, Scene, after

TABLE = ViewTable(
    "orders",
    1,
    1,
    (
        ViewColumn("shop", "text", False),
        ViewColumn("number", "int", False),
        ViewColumn("total", "real", True),
        ViewColumn("is_open", "bool", True),
        ViewColumn("at", "moment", True),
        ViewColumn("raw", "bytes", True),
        ViewColumn("lines", "json", True),
        ViewColumn("select", "text", True),  # A word of SQL is a name like any other.
    ),
    ("shop", "number"),
    (("select", "-total"), ("-at",)),
    "shape",
)
AT = ViewPart("orders", 1, 1)
ONE_KEY = ViewTable("days", 1, 1, (ViewColumn("day", "text", False),), ("day",), (), "s")


def order(shop: str, number: int, **columns: Any) -> tuple[Any, ...]:
    """Return a row, None where nothing is given."""
    names = [column.name for column in TABLE.columns[2:]]
    return (shop, number, *[columns.get(name) for name in names])


ROWS = [
    order("a", 1, total=1.5, is_open=True, at=NOON, raw=b"\x00\xff", lines='[{"é":1}]'),
    order("a", 2, total=-0.25, is_open=False, at=after(0.000001), select="x"),
    order("é", 1, total=2.0**60, select="y"),
    order("b", -(2**63), select="x"),
]


def write(upto: int, *put: Any, after: int = 0, delete: Any = (), part: int = 0) -> ViewWrite:
    """Return a write to ``TABLE``."""
    return ViewWrite(TABLE, part, after, upto, put, delete)


async def owned(scene: Scene, *, events: int = 9) -> Store:
    """Return a store with events, and ``TABLE`` held by ``WORKER``."""
    for number in range(events):
        await scene.start(f"run {number}")
    await scene.store.views.create(TABLE, state="live")
    await scene.store.views.own(WORKER, [AT], 3600)
    return scene.store


async def shown(store: Store, *order_by: str, **query: Any) -> list[tuple[Any, ...]]:
    """Return the keys of the rows that the query finds."""
    found = await store.views.query(TABLE, ViewQuery(order=order_by, **query))
    return [row[:2] for row in found]


class ViewTableContract(Contract):
    """Rows of views."""

    async def test_rows_come_back_as_they_were(self, scene: Scene) -> None:
        store = await owned(scene)
        assert await store.views.apply(WORKER, [write(3, *ROWS)]) == [True]
        found = await store.views.get(TABLE, [("a", 1), ("é", 1), ("b", -(2**63)), ("c", 1)])
        assert found == {row[:2]: row for row in (ROWS[0], ROWS[2], ROWS[3])}
        assert found["a", 1][4].tzinfo is UTC
        assert found["a", 1][3] is True

    async def test_the_same_key_replaces_the_row(self, scene: Scene) -> None:
        store = await owned(scene)
        await store.views.apply(WORKER, [write(1, ROWS[0], ROWS[1])])
        await store.views.apply(WORKER, [write(2, order("a", 1, total=9.0), after=1)])
        assert await store.views.get(TABLE, [("a", 1)]) == {("a", 1): order("a", 1, total=9.0)}
        assert await store.views.count(TABLE, ViewQuery()) == 2

    async def test_deleted_rows_are_gone(self, scene: Scene) -> None:
        store = await owned(scene)
        await store.views.apply(WORKER, [write(1, *ROWS)])
        await store.views.apply(WORKER, [write(2, after=1, delete=[("a", 1), ("no", 1)])])
        assert await shown(store, "shop", "number") == [("a", 2), ("b", -(2**63)), ("é", 1)]

    async def test_a_table_of_nothing_but_its_key(self, scene: Scene) -> None:
        store = await owned(scene)
        await store.views.create(ONE_KEY, state="live")
        await store.views.own(WORKER, [ViewPart("days", 1, 1)], 3600)
        put = [("2026-01-02",), ("2026-01-01",)]
        assert await store.views.apply(WORKER, [ViewWrite(ONE_KEY, 0, 0, 1, put)]) == [True]
        again = ViewWrite(ONE_KEY, 0, 1, 2, put[:1])
        assert await store.views.apply(WORKER, [again]) == [True]
        found = await store.views.query(ONE_KEY, ViewQuery(order=("day",)))
        assert found == [("2026-01-01",), ("2026-01-02",)]

    async def test_many_rows_at_once(self, scene: Scene) -> None:
        store = await owned(scene)
        rows = [order("many", number, total=number / 2) for number in range(3000)]
        await store.views.apply(WORKER, [write(1, *rows)])
        keys = [row[:2] for row in rows]
        assert await store.views.get(TABLE, keys) == dict(zip(keys, rows, strict=True))
        await store.views.apply(WORKER, [write(2, after=1, delete=keys[10:])])
        assert await store.views.count(TABLE, ViewQuery()) == 10

    @pytest.mark.parametrize(
        ("query", "keys"),
        [
            ({"equal": (("shop", "a"),)}, [("a", 1), ("a", 2)]),
            ({"equal": (("is_open", False),)}, [("a", 2)]),
            ({"equal": (("at", NOON),)}, [("a", 1)]),
            ({"equal": (("raw", b"\x00\xff"),)}, [("a", 1)]),
            ({"equal": (("select", None),)}, [("a", 1)]),
            ({"equal": (("shop", "a"), ("number", 7))}, []),
            ({"ranges": (("total", ">", 1.5),)}, [("é", 1)]),
            ({"ranges": (("total", ">=", 1.5), ("total", "<", 2.0))}, [("a", 1)]),
            ({"ranges": (("at", "<=", NOON),)}, [("a", 1)]),
            ({"limit": 2}, [("a", 1), ("a", 2)]),
        ],
    )
    async def test_rows_are_found_by_what_they_are(
        self, scene: Scene, query: dict[str, Any], keys: list[Any]
    ) -> None:
        store = await owned(scene)
        await store.views.apply(WORKER, [write(1, *ROWS)])
        assert await shown(store, "shop", "number", **query) == keys
        if "limit" not in query:
            assert await store.views.count(TABLE, ViewQuery(**query)) == len(keys)

    @pytest.mark.parametrize(
        ("by", "keys"),
        [
            (("-shop", "number"), [("é", 1), ("b", -(2**63)), ("a", 1), ("a", 2)]),
            (("total", "shop", "number"), [("b", -(2**63)), ("a", 2), ("a", 1), ("é", 1)]),
            (("-total", "shop", "number"), [("é", 1), ("a", 1), ("a", 2), ("b", -(2**63))]),
            (("select", "-number", "shop"), [("a", 1), ("a", 2), ("b", -(2**63)), ("é", 1)]),
            (("-at", "-shop", "number"), [("a", 2), ("a", 1), ("é", 1), ("b", -(2**63))]),
        ],
    )
    async def test_pages_follow_each_other_in_every_order(
        self, scene: Scene, by: tuple[str, ...], keys: list[Any]
    ) -> None:
        store = await owned(scene)
        await store.views.apply(WORKER, [write(1, *ROWS)])
        names = [column.name for column in TABLE.columns]
        found: list[Any] = []
        last = None
        for _ in range(len(ROWS)):
            page = await store.views.query(TABLE, ViewQuery(order=by, after=last, limit=1))
            found += [row[:2] for row in page]
            last = tuple(page[-1][names.index(one.lstrip("-"))] for one in by)
        assert found == keys
        assert await store.views.query(TABLE, ViewQuery(order=by, after=last, limit=1)) == []

    async def test_sums_are_of_the_rows_and_not_of_how_they_came(self, scene: Scene) -> None:
        store = await owned(scene)
        await store.views.apply(WORKER, [write(4, *ROWS)])
        first = await store.views.checksum(TABLE)
        other = TABLE._replace(build=2)
        await store.views.create(other, state="building")
        await store.views.own(WORKER, [ViewPart("orders", 1, 2)], 3600)
        extra = order("z", 1)
        await store.views.apply(WORKER, [ViewWrite(other, 0, 0, 2, [extra, *reversed(ROWS)])])
        assert (await store.views.checksum(other)).digest != first.digest
        await store.views.apply(WORKER, [ViewWrite(other, 0, 2, 4, delete=[extra[:2]])])
        assert await store.views.checksum(other) == first
        assert first[:2] == (4, 4)
        assert first.digest == 6763058692713950018


class ViewOwnerContract(Contract):
    """Who keeps a view, and how it changes hands."""

    async def test_a_new_build_stands_at_zero(self, store: Store) -> None:
        assert await store.views.create(TABLE, state="building", parts=2)
        assert not await store.views.create(TABLE, state="live")
        parts = await store.views.parts()
        assert [view._replace(idle=0.0) for view in parts] == [
            View(AT._replace(part=part), 2, "building", 0, "shape", None, None) for part in (0, 1)
        ]
        assert all(0 <= view.idle < 60 for view in parts)

    async def test_others_see_what_was_applied(self, scene: Scene, twin: Store) -> None:
        await owned(scene)
        await scene.store.views.apply(WORKER, [write(2, *ROWS)])
        (view,) = await twin.views.parts()
        assert (view.position, view.token) == (2, WORKER)
        assert len(await twin.views.get(TABLE, [row[:2] for row in ROWS])) == len(ROWS)

    async def test_only_the_owner_writes_and_only_where_it_stands(self, scene: Scene) -> None:
        store = await owned(scene)
        assert await store.views.apply(OTHER, [write(1, ROWS[0])]) == [False]
        assert await store.views.apply(WORKER, [write(5, ROWS[0], after=3)]) == [False]
        assert await store.views.count(TABLE, ViewQuery()) == 0
        assert await store.views.apply(WORKER, [write(5, ROWS[0])]) == [True]
        assert await store.views.apply(WORKER, [write(5, ROWS[1])]) == [False]
        assert await shown(store, "shop", "number") == [("a", 1)]

    async def test_what_is_refused_takes_nothing_else_with_it(self, scene: Scene) -> None:
        store = await owned(scene)
        await store.views.create(ONE_KEY, state="live")
        await store.views.own(OTHER, [ViewPart("days", 1, 1)], 3600)
        days = ViewWrite(ONE_KEY, 0, 0, 5, [("today",)])
        assert await store.views.apply(WORKER, [days, write(5, ROWS[0])]) == [False, True]
        assert await store.views.count(ONE_KEY, ViewQuery()) == 0

    async def test_a_move_without_rows_is_a_move(self, scene: Scene) -> None:
        store = await owned(scene)
        assert await store.views.apply(WORKER, [write(7)]) == [True]
        assert [view.position for view in await store.views.parts()] == [7]

    async def test_one_token_holds_a_part_until_its_lease_is_over(self, scene: Scene) -> None:
        store = scene.store
        await store.views.create(TABLE, state="live", parts=2)
        both = [AT, AT._replace(part=1)]
        held = await store.views.own(WORKER, both[:1], 30, now=NOON)
        assert [view.at for view in held] == both[:1]
        held = await store.views.own(OTHER, both, 30, now=after(29))
        assert [view.at for view in held] == both[1:]
        held = await store.views.own(OTHER, both, 30, now=after(30))
        assert [view.at for view in held] == both
        assert await store.views.apply(WORKER, [write(1, ROWS[0])]) == [False]

    async def test_renewing_keeps_a_part(self, store: Store) -> None:
        await store.views.create(TABLE, state="live")
        await store.views.own(WORKER, [AT], 30, now=NOON)
        await store.views.own(WORKER, [AT], 30, now=after(20))
        assert await store.views.own(OTHER, [AT], 30, now=after(40)) == []

    async def test_what_is_given_back_is_free(self, store: Store) -> None:
        await store.views.create(TABLE, state="live")
        await store.views.own(WORKER, [AT], 3600)
        await store.views.disown(OTHER)
        assert await store.views.own(OTHER, [AT], 3600) == []
        await store.views.disown(WORKER)
        assert len(await store.views.own(OTHER, [AT], 3600)) == 1

    async def test_what_stopped_says_why_and_is_taken_by_nobody(self, scene: Scene) -> None:
        store = await owned(scene)
        assert not await store.views.stop(OTHER, AT, "{}")
        assert await store.views.stop(WORKER, AT, '{"position": 3}')
        (view,) = await store.views.parts()
        assert (view.error, view.token) == ('{"position": 3}', None)
        assert await store.views.own(WORKER, [AT], 3600) == []
        assert await store.views.apply(WORKER, [write(1)]) == [False]
        assert await store.views.resume("orders") == 1
        assert await store.views.resume("orders") == 0
        assert len(await store.views.own(OTHER, [AT], 3600)) == 1

    async def test_what_was_made_for_another_log_says_so(
        self, scene: Scene, twin: Store, replace_log: Any
    ) -> None:
        await owned(scene)
        assert not (await twin.views.parts())[0].is_foreign
        replace_log()
        assert (await twin.views.parts())[0].is_foreign

    async def test_what_is_beyond_the_end_of_the_log_says_so(self, scene: Scene) -> None:
        store = await owned(scene, events=1)
        await store.views.apply(WORKER, [write(2)])
        assert (await store.views.parts())[0].is_foreign

    async def test_namespaces_have_views_of_their_own(self, scene: Scene, neighbour: Store) -> None:
        store = await owned(scene)
        assert await neighbour.views.parts() == []
        await neighbour.views.create(TABLE, state="live")
        await store.views.apply(WORKER, [write(2, *ROWS)])
        assert await neighbour.views.count(TABLE, ViewQuery()) == 0
        await neighbour.views.drop(TABLE)
        assert await store.views.count(TABLE, ViewQuery()) == len(ROWS)

    @pytest.fixture
    def neighbour(self, store: Store) -> Store:
        """Another namespace of the same database."""
        return store.attach("neighbour")

    @pytest.fixture
    def replace_log(self) -> Any:
        """Exchange the log for a copy of itself, as a restore does. Override to test it."""
        pytest.skip("this store has no `replace_log`: what a restore does is not tested")


class ViewSwitchContract(Contract):
    """A build beside the live one takes its place."""

    NEXT = TABLE._replace(version=2)
    NEXT_AT = ViewPart("orders", 2, 1)

    async def test_a_build_that_is_as_far_becomes_the_live_one(self, scene: Scene) -> None:
        store = await owned(scene)
        await store.views.apply(WORKER, [write(5, *ROWS)])
        await store.views.create(self.NEXT, state="building")
        await store.views.own(OTHER, [self.NEXT_AT], 3600)
        assert not await store.views.switch(self.NEXT)
        await store.views.apply(OTHER, [ViewWrite(self.NEXT, 0, 0, 5, ROWS[:1])])
        await store.views.index(self.NEXT)
        await store.views.index(self.NEXT)
        assert await store.views.switch(self.NEXT)
        assert not await store.views.switch(self.NEXT)
        assert [(v.at.version, v.state, v.token) for v in await store.views.parts()] == [
            (1, "old", None),
            (2, "live", OTHER),
        ]
        assert await store.views.count(TABLE, ViewQuery()) == len(ROWS)
        assert await store.views.apply(WORKER, [write(6, after=5)]) == [False]

    async def test_the_same_version_built_again_goes_to_who_kept_it(self, scene: Scene) -> None:
        store = await owned(scene)
        again, at = TABLE._replace(build=2), AT._replace(build=2)
        await store.views.create(again, state="building")
        await store.views.own(OTHER, [at], 3600)
        assert await store.views.switch(again)
        live = [view for view in await store.views.parts() if view.state == "live"]
        assert [(view.at, view.token) for view in live] == [(at, WORKER)]
        moved = ViewWrite(again, 0, 0, 3, ROWS)
        assert await store.views.apply(OTHER, [moved]) == [False]
        assert await store.views.apply(WORKER, [moved]) == [True]

    async def test_an_old_one_can_be_put_back_when_it_has_caught_up(self, scene: Scene) -> None:
        store = await owned(scene)
        await store.views.create(self.NEXT, state="building")
        assert await store.views.switch(self.NEXT)
        assert await store.views.switch(TABLE)
        assert [v.state for v in await store.views.parts()] == ["live", "old"]

    async def test_who_was_live_last_is_idle_the_shortest(self, scene: Scene) -> None:
        store = await owned(scene)
        second, third = TABLE._replace(build=2), TABLE._replace(build=3)
        for table in (second, third):
            await store.views.create(table, state="building")
            await store.views.own(OTHER, [ViewPart(*table[:3])], 3600)
            assert await store.views.apply(OTHER, [ViewWrite(table, 0, 0, 5, ROWS)]) == [True]
        # The first moves last of all.
        assert await store.views.apply(WORKER, [write(5, *ROWS)]) == [True]
        assert await store.views.switch(second)
        assert await store.views.switch(third)
        idle = {view.at.build: view.idle for view in await store.views.parts()}
        assert idle[2] < idle[1]

    async def test_parts_that_stand_together_become_one(self, scene: Scene) -> None:
        store = await owned(scene)
        parts = [self.NEXT_AT, self.NEXT_AT._replace(part=1)]
        await store.views.create(self.NEXT, state="building", parts=2)
        await store.views.own(OTHER, parts, 3600)
        first, second = (ViewWrite(self.NEXT, n, 0, 4 + n, [ROWS[n]]) for n in (0, 1))
        assert await store.views.apply(OTHER, [first, second]) == [True, True]
        assert not await store.views.switch(self.NEXT)
        assert await store.views.apply(OTHER, [first._replace(after=4, upto=5)]) == [True]
        assert await store.views.switch(self.NEXT)
        live = [view for view in await store.views.parts() if view.state == "live"]
        assert [(view.at, view.parts, view.position) for view in live] == [(self.NEXT_AT, 1, 5)]
        assert await store.views.count(self.NEXT, ViewQuery()) == 2

    async def test_a_dropped_build_is_gone(self, scene: Scene) -> None:
        store = await owned(scene)
        await store.views.drop(TABLE)
        await store.views.drop(TABLE)
        assert await store.views.parts() == []
        assert await store.views.create(TABLE, state="live")


class ViewContract(ViewTableContract, ViewOwnerContract, ViewSwitchContract):
    """Every behaviour of ``ports.Views``."""
