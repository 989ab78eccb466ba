"""Runs leave the log when their time is over, and everything derived is as it would be anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from runfold.flow.definition import FlowDefinition
from runfold.ports_archive import AGAIN_SECONDS
from runfold.runtime.node import Node
from runfold.runtime.rebuild import rebuild
from runfold.runtime.verify import verify
from runfold.settings import Settings
from runfold.store import open_store
from runfold.store.codec import JsonCodec
from runfold.store.memory import MemoryStore
from runfold.system import RandomIds
from runfold.testing.machine_engine import Hand
from runfold.testing.strategies import script
from runtime.playing import Play
from runtime.scene import TWO_STEPS
from runtime.tables import tables_of

KEPT = TWO_STEPS.model_copy(update={"keep": 60.0, "keep_failed": 60.0})
AT_ONCE = TWO_STEPS.model_copy(update={"keep": 0.0})


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """A function that returns an empty store."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        return lambda: open_store(url, Settings(), f"log {uuid4()}")
    if request.param == "sqlite":
        return lambda: open_store(f"sqlite:///{tmp_path / uuid4().hex}.db", Settings(), "default")
    return lambda: MemoryStore(clock=Hand())


def of(definition: FlowDefinition) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Run an async test with a node on a store of ``stores`` that knows ``definition``."""

    def on_each(test: Callable[..., Any]) -> Callable[..., None]:
        def run(stores: Callable[[], Any]) -> None:
            async def main() -> None:
                clock, store = Hand(), stores()
                await store.open()
                node = Node(store, JsonCodec(), Settings(), clock, RandomIds())
                await node.start()
                try:
                    await node.definitions.define(definition, node.appender)
                    handlers = script(definition, 1, failing=False)
                    await test(Play(node, clock, definition, handlers, 1))
                finally:
                    await node.stop(drain=0)
                    await store.close()

            asyncio.run(asyncio.wait_for(main(), 30))

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return on_each


async def ended(played: Play, count: int) -> None:
    for _ in range(count):
        await played.start()
        await played.finish()


@of(KEPT)
async def test_a_run_leaves_when_its_time_is_over(played: Play) -> None:
    store = played.node.store
    await ended(played, 2)
    await played.start()
    await played.tick()
    assert (await store.counted()).archive == 0
    played.clock.seconds += 60
    await played.tick()
    assert await store.archived(played.streams) == set(played.streams[:2])
    assert await store.open_timers() == 0
    assert (await verify(store, played.node.codec)).ok


@of(KEPT)
async def test_what_came_due_while_nobody_looked_leaves_after_a_restart(played: Play) -> None:
    await ended(played, 2)
    await played.start()
    played.clock.seconds += 10_000
    played.renew_roles()
    await played.tick()
    assert await played.node.store.archived(played.streams) == set(played.streams[:2])


@of(AT_ONCE)
async def test_the_newest_run_waits_for_another_and_is_asked_for_again(played: Play) -> None:
    store = played.node.store
    await ended(played, 1)
    played.timekeeper.look()
    await played.timekeeper.turn()
    assert (await store.counted()).archive == 0
    soonest = (await store.pending(now=played.clock.now())).due
    assert soonest is not None
    assert 0 < soonest <= AGAIN_SECONDS
    await played.start()
    played.clock.seconds += AGAIN_SECONDS
    await played.tick()
    assert await store.archived(played.streams) == set(played.streams[:1])


@of(TWO_STEPS)
async def test_without_keep_nothing_ever_leaves(played: Play) -> None:
    await ended(played, 2)
    await played.start()
    played.clock.seconds += 10**8
    await played.tick()
    assert (await played.node.store.counted()).archive == 0


@of(KEPT)
async def test_a_rebuild_beside_an_archive_makes_what_was_there(played: Play) -> None:
    store, codec = played.node.store, played.node.codec
    await ended(played, 2)
    played.clock.seconds += 60
    await played.start()
    await played.tick()
    await played.finish()
    await played.start()
    assert await store.archived(played.streams) == set(played.streams[:2])
    tables = tables_of(store)
    before, events = tables.rows(), await store.read(after=0, limit=1000)
    tables.drop()
    done = await rebuild(store, codec)
    assert tables.rows() == before
    assert (done.events, done.timers, done.runs) == (await store.head(), 1, 1)
    assert await store.read(after=0, limit=1000) == events
    played.clock.seconds += 60
    played.renew_roles()
    await played.tick()
    assert await store.archived(played.streams) == set(played.streams[:3])
    await played.finish()


@of(KEPT)
async def test_an_event_in_both_is_found(played: Play) -> None:
    store = played.node.store
    if isinstance(store, MemoryStore):
        return  # There is one list, and a mark.
    await ended(played, 1)
    await played.start()
    await store.archive(played.streams)
    tables = tables_of(store)
    schema = tables.schema
    tables.execute(
        f"INSERT INTO {schema}events SELECT * FROM {schema}archive WHERE version = 1 "
        f"AND stream = {played.streams[0]}"
    )
    found = await verify(store, played.node.codec)
    assert not found.ok
    assert "in the archive, expected" in found.findings[-1].what


@of(KEPT)
async def test_events_that_were_taken_from_the_archive_are_missed(played: Play) -> None:
    store = played.node.store
    if isinstance(store, MemoryStore):
        return  # Nobody can take them.
    await ended(played, 1)
    await played.start()
    await store.archive(played.streams)
    tables = tables_of(store)
    tables.execute(f"DELETE FROM {tables.schema}archive WHERE version = 2")
    found = await verify(store, played.node.codec)
    assert any("are missing" in one.what for one in found.findings)
