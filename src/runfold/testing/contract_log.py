"""The contract of ``EventLog``: what is appended is read by every reader, once, in one order."""

from __future__ import annotations

import asyncio
from datetime import datetime

from runfold.flow.events import ENDS
from runfold.ports import Item, Name, Store, Stored
from runfold.testing.contract_scene import NOON, Contract, Scene, after, event, key_of, new

LARGE = b'{"payload":"' + b"x" * 200_000 + b'"}'
"""Above any ``Settings.blob_min`` that is sensible."""


class LogContract(Contract):
    """Appending and reading."""

    async def test_a_store_implements_the_ports(self, store: Store) -> None:
        assert isinstance(store, Store)

    async def test_an_empty_log_has_nothing(self, store: Store) -> None:
        assert await store.head() == 0
        assert await store.read(after=0, limit=10) == []
        assert await store.read_stream(1) == []
        assert await store.runs(flow=None, before=None, limit=10) == []
        assert await store.open_runs(after=0, limit=10) == []

    async def test_a_stream_is_numbered_by_the_position_of_its_first_event(
        self, scene: Scene
    ) -> None:
        first = await scene.record(new("a", event(), event()))
        second = await scene.record(new("b"))
        assert (first.stream, first.position, first.version) == (1, 1, 1)
        assert (second.stream, second.position, second.version) == (3, 3, 1)

    async def test_events_of_an_item_are_contiguous(self, scene: Scene) -> None:
        run = await scene.start("a")
        await scene.record(Item([event(), event(), event()], stream=run))
        assert _places(await scene.store.read(after=0, limit=10)) == [
            (1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 1, 4),
        ]  # fmt: skip

    async def test_items_of_a_batch_are_recorded_in_order(self, scene: Scene) -> None:
        a, b = await scene.start("a"), await scene.start("b")
        done = await scene.commit(
            Item([event("emit")], stream=b),
            new("c"),
            Item([event("log"), event("state")], stream=a),
        )
        read = await scene.store.read(after=2, limit=10)
        assert [stored.topic for stored in read] == ["emit", "flow.start", "log", "state"]
        assert [outcome.position for outcome in done.outcomes] == [3, 4, 5]
        assert [outcome.stream for outcome in done.outcomes] == [b, 4, a]
        assert done.first_position == 3

    async def test_two_items_on_one_stream_get_consecutive_versions(self, scene: Scene) -> None:
        run = await scene.start("a")
        done = await scene.commit(Item([event(), event()], stream=run), Item([event()], stream=run))
        assert [outcome.version for outcome in done.outcomes] == [2, 4]

    async def test_the_envelope_comes_back_as_it_was(self, scene: Scene) -> None:
        state = bytes(range(256))
        full = event("emit", state, step="é", activation=7, attempt=2, key="", cause=1)
        await scene.record(new("a", event("flow.start"), full))
        assert await scene.store.read(after=0, limit=10) == [
            Stored(1, 1, 1, NOON, "flow.start", b"{}", None, None, None, None, None),
            Stored(2, 1, 2, NOON, "emit", state, "é", 7, 2, "", 1),
        ]

    async def test_time_is_that_of_the_commit_in_utc_to_the_microsecond(self, scene: Scene) -> None:
        done = await scene.commit(new("a"), now=after(0.123456))
        assert done.ts == datetime.fromisoformat("2030-01-01T12:00:00.123456+00:00")
        assert [e.ts for e in await scene.store.read(after=0, limit=1)] == [done.ts]

    async def test_each_event_has_the_time_of_its_own_commit(self, scene: Scene) -> None:
        one, other = await scene.start("a", now=after(1)), await scene.start("b", now=after(2))
        await scene.commit(Item([event(), event()], stream=one), now=after(2.000001))
        await scene.commit(Item([event()], stream=other), now=after(2.000001))
        await scene.commit(Item([event()], stream=one), now=after(3))
        told = [after(1), after(2), *[after(2.000001)] * 3, after(3)]
        assert [e.ts for e in await scene.store.read(after=0, limit=9)] == told
        assert [e.ts for e in await scene.store.read_stream(one)] == [
            *told[:1],
            *told[2:4],
            told[5],
        ]
        read = await scene.store.read_streams([one, other], upto=9)
        assert sorted((e.position, e.ts) for e in read) == [*enumerate(told, 1)]

    async def test_time_never_runs_backwards(self, scene: Scene) -> None:
        await scene.start("a", now=after(60))
        done = await scene.commit(new("b"), now=NOON)
        assert done.ts == after(60)

    async def test_without_a_given_moment_the_store_has_the_time(self, store: Store) -> None:
        before = await store.now()
        assert before.tzinfo is not None
        assert await store.now() >= before

    async def test_pages_follow_one_another(self, scene: Scene) -> None:
        await scene.record(new("a", *[event()] * 5))
        assert _positions(await scene.store.read(after=0, limit=2)) == [1, 2]
        assert _positions(await scene.store.read(after=2, limit=2)) == [3, 4]
        assert _positions(await scene.store.read(after=4, limit=2)) == [5]
        assert _positions(await scene.store.read(after=5, limit=2)) == []
        assert _positions(await scene.store.read(after=1, limit=9, upto=3)) == [2, 3]

    async def test_a_stream_is_read_by_version(self, scene: Scene) -> None:
        run = await scene.start("a")
        await scene.start("b")
        await scene.record(Item([event()] * 4, stream=run))
        read = scene.store.read_stream
        assert [e.version for e in await read(run)] == [1, 2, 3, 4, 5]
        assert [e.version for e in await read(run, after=3)] == [4, 5]
        assert [e.version for e in await read(run, after=1, limit=2)] == [2, 3]
        assert [e.version for e in await read(run, after=1, upto=4)] == [2, 3, 4]
        assert {e.stream for e in await read(run)} == {run}

    async def test_a_stream_knows_its_last_version(self, scene: Scene) -> None:
        run = (await scene.record(new("a", event(), event(), event()))).stream
        await scene.start("b")
        assert await scene.store.last_version(run) == 3
        assert await scene.store.last_version(99) == 0

    async def test_events_are_read_at_their_places(self, scene: Scene) -> None:
        a = await scene.start("a")
        b = (await scene.record(new("b", event(), event()))).stream
        found = await scene.store.read_versions([(b, 2), (a, 1), (a, 9), (99, 1)])
        assert sorted(_places(found)) == [(1, a, 1), (3, b, 2)]
        assert await scene.store.read_versions([]) == []

    async def test_ids_lead_to_streams_and_back(self, scene: Scene) -> None:
        a = await scene.start("a")
        plain = (await scene.record(new("plain", flow=None))).stream
        ids = [key_of("a"), key_of("plain"), key_of("nobody")]
        assert await scene.store.find(ids) == {key_of("a"): a, key_of("plain"): plain}
        assert await scene.store.names([a, plain, 99]) == {
            a: Name(key_of("a"), "flow"), plain: Name(key_of("plain"), None),
        }  # fmt: skip

    async def test_runs_are_listed_newest_first(self, scene: Scene) -> None:
        a = await scene.start("a")
        await scene.record(new("no run", flow=None))
        b = (await scene.record(new("b", flow="another"))).stream
        c = await scene.start("c")
        runs = scene.store.runs
        assert await runs(flow=None, before=None, limit=10) == [c, b, a]
        assert await runs(flow=None, before=c, limit=1) == [b]
        assert await runs(flow="flow", before=None, limit=10) == [c, a]

    async def test_open_runs_are_those_without_an_end(self, scene: Scene) -> None:
        a, b, c = [await scene.start(name) for name in "abc"]
        await scene.record(new("no run", flow=None))
        await scene.record(Item([event("flow.completed")], stream=b, clears=True))
        assert await scene.store.open_runs(after=0, limit=10) == [a, c]
        assert await scene.store.open_runs(after=a, limit=10) == [c]
        assert await scene.store.open_runs(after=0, limit=1) == [a]

    async def test_every_kind_of_end_closes_a_run(self, scene: Scene) -> None:
        await scene.commit(*[new(end, event(end)) for end in sorted(ENDS)])
        assert await scene.store.open_runs(after=0, limit=10) == []

    async def test_a_large_event_comes_back_on_every_way(self, scene: Scene) -> None:
        await scene.record(new("a", event(), event("emit", LARGE), event()))
        await scene.record(new("b", event("emit", LARGE)))
        store = scene.store
        assert [e.state for e in await store.read(after=0, limit=9)] == [
            b"{}", LARGE, b"{}", LARGE,
        ]  # fmt: skip
        assert [e.state for e in await store.read_stream(1)] == [b"{}", LARGE, b"{}"]
        assert [e.state for e in await store.read_versions([(1, 2)])] == [LARGE]

    async def test_a_batch_may_be_large(self, scene: Scene) -> None:
        done = await scene.commit(*[new(f"run {n}", event(), event()) for n in range(300)])
        assert [outcome.stream for outcome in done.outcomes] == list(range(1, 601, 2))
        assert _positions(await scene.store.read(after=0, limit=1000)) == list(range(1, 601))

    async def test_concurrent_commits_leave_no_hole(self, store: Store, twin: Store) -> None:
        scenes = [Scene(one, appender) for appender, one in enumerate([store, twin] * 10, start=1)]
        await asyncio.gather(*[
            scene.commit(new(f"run {scene.appender}", event(), event())) for scene in scenes
        ])  # fmt: skip
        assert _positions(await store.read(after=0, limit=100)) == list(range(1, 41))

    async def test_what_one_process_records_another_reads(self, scene: Scene, twin: Store) -> None:
        await scene.start("a")
        assert await twin.read(after=0, limit=10) == await scene.store.read(after=0, limit=10)

    async def test_closing_loses_nothing(self, scene: Scene) -> None:
        await scene.start("a")
        await scene.store.close()
        await scene.store.open(migrate=True)
        assert await scene.store.head() == 1


def _positions(events: list[Stored]) -> list[int]:
    return [stored.position for stored in events]


def _places(events: list[Stored]) -> list[tuple[int, int, int]]:
    return [(stored.position, stored.stream, stored.version) for stored in events]
