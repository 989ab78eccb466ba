"""Drop every table but the log, rebuild: everything is as it was, and the runs go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runfold.errors import EngineRunning, LogUnreadable, StoreUnavailable
from runfold.flow import events as ev
from runfold.flow.definition import FlowDefinition
from runfold.flow.work import Gate
from runfold.ports import Batch, Encoded, Item, Member, Name
from runfold.runtime.dispatcher import CURSOR
from runfold.runtime.node import Node
from runfold.runtime.rebuild import rebuild
from runfold.settings import Settings
from runfold.store import open_store
from runfold.store.codec import JsonCodec
from runfold.store.memory import MemoryStore
from runfold.system import RandomIds
from runfold.testing.driver import play
from runfold.testing.machine_engine import NOON, Hand
from runfold.testing.strategies import definitions, script
from runtime.playing import LEASE, Play
from runtime.scene import TWO_STEPS
from runtime.tables import Tables, tables_of

MOVES = ("start", "replace", "decide", "decide", "decide", "claim", "claim", "claim", "answer",
         "answer", "answer", "answer", "tick", "release", "limit", "die", "pause", "resume",
         "cancel")  # fmt: skip
QUICK = settings(
    max_examples=12, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
Stores = Callable[[], Any]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    """A function that returns an empty store."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        return lambda: open_store(url, Settings(), f"log {uuid4()}")
    if request.param == "sqlite":
        return lambda: open_store(f"sqlite:///{tmp_path / uuid4().hex}.db", Settings(), "default")
    return lambda: MemoryStore(clock=Hand())


async def opened(store: Any, clock: Hand) -> Node:
    await store.open()
    node = Node(store, JsonCodec(), Settings(), clock, RandomIds())
    await node.start()
    return node


def table(rows: Tables, log: int) -> dict[str, Any]:
    """Return the rows of one log of a database."""
    return {
        name: {row for row in found if dict(row).get("log_id", log) == log}
        for name, found in rows.rows().items()
    }


async def moved(play: Play, moves: list[str]) -> None:
    """Make the moves."""
    await play.start()
    for move in moves:
        play.clock.seconds += 0.25
        if move == "start":
            begins: Any = play.rng.choice(
                ({}, {"delay": 6.0}, {"due_at": NOON}, {"deadline": 40.0})
            )
            await play.start(**begins)
        elif move == "pause":
            await play.request(ev.FlowPaused(), Gate.PAUSED)
        elif move == "resume":
            await play.request_all(ev.FlowResumed(), Gate.OPEN)
        elif move == "cancel":
            if play.rng.random() < 0.3:
                await play.request(ev.FlowCancelRequested(), Gate.CLOSED)
        else:
            await getattr(play, move)()


@given(
    definitions(steps_max=4),
    st.integers(0, 99),
    st.lists(st.sampled_from(MOVES), min_size=15, max_size=40),
    st.sampled_from([{}, {"keep": 500_000.0}, {"keep_failed": 500_000.0}]),
)
@QUICK
def test_what_was_dropped_is_rebuilt_and_the_runs_go_on(
    stores: Stores, definition: FlowDefinition, seed: int, moves: list[str], keep: dict[str, float]
) -> None:
    definition = definition.model_copy(update=keep)

    async def scenario() -> None:
        clock, store = Hand(), stores()
        handlers = script(definition, seed)
        node = await opened(store, clock)
        try:
            await node.definitions.define(definition, node.appender)
            played = Play(node, clock, definition, handlers, seed)
            await moved(played, moves)
            tables, log = tables_of(store), store.identity.log_id
            before = table(tables, log)
            tables.drop()
            done = await rebuild(store, node.codec)
            assert table(tables, log) == before
            assert done.events == await store.head()
            assert (done.runs, done.jobs, done.timers) == tuple(
                len(before[name]) for name in ("open_runs", "jobs", "timers")
            )
            played.jobs.clear()
            played.renew_roles()
            await played.finish()
            driven = play(definition, handlers)
            expected = (
                driven.run.status,
                driven.run.result,
                driven.run.values() if driven.run.status == "completed" else None,
            )
            others = [one for one in await played.outcomes() if one != expected]
            asked = [one for one in others if one[0] in {"cancelled", "failed"}]
            assert others == asked
        finally:
            await node.stop(drain=0)
            await store.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def on_each(test: Callable[..., Any]) -> Callable[..., None]:
    """Run an async test with a node on a store of ``stores`` that knows ``TWO_STEPS``."""

    def run(stores: Stores) -> None:
        async def main() -> None:
            clock, store = Hand(), stores()
            node = await opened(store, clock)
            try:
                await node.definitions.define(TWO_STEPS, node.appender)
                await test(Play(node, clock, TWO_STEPS, script(TWO_STEPS, 1, failing=False), 1))
            finally:
                await node.stop(drain=0)
                await store.close()

        asyncio.run(asyncio.wait_for(main(), 30))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_each
async def test_a_process_that_runs_a_role_is_named(played: Play) -> None:
    store = played.node.store
    await store.join(Member(7, "host:1234", "worker"), 5, now=NOON)
    before = tables_of(store).rows()
    with pytest.raises(EngineRunning, match="'host:1234' runs on this log"):
        async with store.rebuild(now=NOON):
            raise AssertionError("a worker is alive")
    assert tables_of(store).rows() == before
    await store.expire(10, now=NOON.replace(hour=13))
    await rebuild(store, played.node.codec)
    assert not await store.renew(7, 5, now=NOON)


@on_each
async def test_a_dispatcher_that_leads_refuses_it(played: Play) -> None:
    await played.node.store.lead(1, 30, now=NOON)
    with pytest.raises(EngineRunning, match="a dispatcher runs on this log"):
        async with played.node.store.rebuild(now=NOON):
            raise AssertionError("somebody leads")


@on_each
async def test_what_fails_in_the_middle_changes_nothing(played: Play) -> None:
    await played.start()
    await played.claim()
    await played.node.store.leave(played.jobs[3][1])
    tables = tables_of(played.node.store)
    before = tables.rows()

    def full(*_: int) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await rebuild(played.node.store, played.node.codec, progress=full)
    assert tables.rows() == before
    await played.answer()  # It is still leased.
    assert await played.node.store.head() == 6


@on_each
async def test_an_event_of_a_newer_release_stops_it_by_name_and_position(played: Play) -> None:
    store = played.node.store
    stream = await played.start()
    await store.commit(Batch(9, 9, [Item([Encoded("step.teleported", b"{}")], stream=stream)]))
    tables = tables_of(store)
    before = tables.rows()
    with pytest.raises(LogUnreadable, match=r"event 4 of type 'step\.teleported'") as caught:
        await rebuild(store, played.node.codec)
    assert (caught.value.position, caught.value.topic) == (4, "step.teleported")
    assert tables.rows() == before


@on_each
async def test_a_stream_that_begins_with_anything_is_refused(played: Play) -> None:
    store = played.node.store
    odd = Item([Encoded("log", b'{"level":"info","message":"m"}')], id=b"x" * 16)
    await store.commit(Batch(9, 9, [odd]))
    with pytest.raises(LogUnreadable, match=r"event 2 of type 'log'.*no stream begins"):
        await rebuild(store, played.node.codec)


@on_each
async def test_a_run_without_its_definition_is_refused(played: Play) -> None:
    store = played.node.store
    start = ev.FlowStart(run_id="0" * 32, flow="gone", definition="h")
    item = Item([Encoded("flow.start", start.model_dump_json(by_alias=True).encode())],
                id=bytes(16), flow="gone")  # fmt: skip
    await store.commit(Batch(9, 9, [item]))
    with pytest.raises(LogUnreadable, match="follows definition h of flow 'gone'"):
        await rebuild(store, played.node.codec)


@on_each
async def test_an_empty_log_is_rebuilt(played: Play) -> None:
    store = played.node.store.attach("empty")
    await store.open()
    try:
        done = await rebuild(store, played.node.codec)
        assert (done.events, done.streams, done.runs) == (0, 0, 0)
    finally:
        await store.close()


@on_each
async def test_another_log_of_the_database_keeps_its_rows(played: Play) -> None:
    await played.start()
    other = played.node.store.attach("other")
    await other.open()
    try:
        before = tables_of(played.node.store).rows()
        await rebuild(other, played.node.codec)
        assert tables_of(played.node.store).rows() == before
    finally:
        await other.close()


@on_each
async def test_an_attempt_that_was_open_is_stalled_and_charged(played: Play) -> None:
    store, stream = played.node.store, await played.start()
    await played.claim()
    tables_of(store).drop()
    done = await rebuild(store, played.node.codec)
    assert (done.jobs, done.stalled) == (1, 1)
    played.clock.seconds += 2 * LEASE
    await played.tick()
    await played.decide()
    topics = [stored.topic for stored in await store.read_stream(stream)]
    assert topics == ["flow.start", "step.scheduled", "step.started", "step.stalled", "step.retry"]
    assert (await store.read_stream(stream))[-1].state.find(b'"nextAttempt":2') > 0


@on_each
async def test_a_key_stays_taken(played: Play) -> None:
    stream = await played.start()
    tables_of(played.node.store).drop()
    await rebuild(played.node.store, played.node.codec)
    played.streams.clear()
    assert await played.start() == stream


@on_each
async def test_what_was_undecided_is_looked_at_first(played: Play) -> None:
    store = played.node.store
    for _ in range(3):
        await played.start()
    await played.claim()
    await played.answer()
    undecided = await store.head()
    await played.start()
    tables_of(store).drop()
    await rebuild(store, played.node.codec)
    assert await store.cursor(CURSOR) == undecided - 1
    played.renew_roles()
    await played.decide()
    assert (await store.read(after=await store.head() - 1, limit=1))[0].topic == "step.scheduled"


@on_each
async def test_a_run_longer_than_a_page_is_rebuilt(played: Play) -> None:
    store, stream = played.node.store, await played.start()
    line = Encoded("log", b'{"level":"info","message":"m"}')
    for number in range(5):
        await store.commit(Batch(9, number, [Item([line] * 1000, stream=stream)]))
    await played.claim()
    before = tables_of(store).rows()
    tables_of(store).drop()
    assert (await rebuild(store, played.node.codec)).stalled == 1
    assert tables_of(store).rows() == before


@on_each
async def test_progress_is_told_to_its_end(played: Play) -> None:
    await played.start()
    told: list[tuple[int, int]] = []
    await rebuild(played.node.store, played.node.codec, progress=lambda *at: told.append(at))
    assert told == [(3, 3)]


def test_what_is_recorded_meanwhile_ends_a_rebuild_in_memory() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        with pytest.raises(EngineRunning, match="1 events were recorded during the rebuild"):
            async with store.rebuild():
                await store.commit(Batch(1, 1, [Item([Encoded("log", b"{}")], id=bytes(16))]))
        assert await store.find([bytes(16)]) == {bytes(16): 1}

    asyncio.run(scenario())


def test_a_connection_that_is_lost_leaves_nothing_of_it(postgres_url: str) -> None:
    async def scenario() -> None:
        store = open_store(postgres_url, Settings(), "default")
        await store.open()
        try:
            await store.commit(Batch(1, 1, [Item([Encoded("log", b"{}")], id=bytes(16))]))
            with pytest.raises(StoreUnavailable, match="of which nothing is left"):
                await _cut(store, postgres_url)
            assert await store.find([bytes(16)]) == {bytes(16): 1}
        finally:
            await store.close()

    asyncio.run(scenario())


async def _cut(store: Any, url: str) -> None:
    async with store.rebuild() as tables:
        with psycopg.connect(url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks "
                "WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
            )
        await tables.name([(1, Name(bytes(16), None))], [])
