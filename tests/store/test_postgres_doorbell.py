"""Rings between processes on PostgreSQL, with LISTEN and where it is silent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any

import pytest

from runfold.settings import Settings
from runfold.store.sql import postgres_doorbell
from runfold.store.sql.postgres import PostgresStore
from runfold.store.sql.postgres_doorbell import Ears
from runfold.testing.contract_scene import Scene

HEARD_SECONDS_MAX = 5.0


@pytest.fixture
def one(postgres_url: str) -> PostgresStore:
    return PostgresStore(postgres_url, Settings(poll_max=0.02))


@pytest.fixture
def other(postgres_url: str) -> PostgresStore:
    return PostgresStore(postgres_url, Settings(poll_max=0.02))


def run(test: Coroutine[Any, Any, None], *stores: PostgresStore) -> None:
    async def opened() -> None:
        for store in stores:
            await store.open()
        try:
            async with asyncio.timeout(HEARD_SECONDS_MAX):
                await test
        finally:
            for store in stores:
                await store.close()

    asyncio.run(opened())


async def proven(store: PostgresStore, rings: asyncio.Future[None]) -> Ears:
    """Return the ears of ``store``, which ``rings`` uses, when they have heard their own ring."""
    await asyncio.sleep(0)
    (ears,) = store._ears
    await ears.proven.wait()
    assert not rings.done()
    return ears


def test_a_ring_is_heard_by_another_process_without_any_commit(
    one: PostgresStore, other: PostgresStore
) -> None:
    async def test() -> None:
        rings = other.rings()
        heard = asyncio.ensure_future(anext(rings))
        await proven(other, heard)
        await one.ring()
        await heard
        await rings.aclose()

    run(test(), one, other)


def test_who_loses_the_connection_looks_at_once_and_listens_again(
    one: PostgresStore, other: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_listening = asyncio.Event()
    real = Ears.rang

    async def rang(self: Ears, within: float) -> bool:
        if self.proven.is_set() and not is_listening.is_set():
            self.rung.clear()  # Its own ring, should it have been taken for another's.
            is_listening.set()
        return await real(self, within)

    async def test() -> None:
        rings = other.rings()
        heard = asyncio.ensure_future(anext(rings))
        ears = await proven(other, heard)
        await is_listening.wait()
        lost = ears._link
        assert lost is not None
        lost.drop()
        await heard
        heard = asyncio.ensure_future(anext(rings))
        await asyncio.sleep(0)
        await ears.proven.wait()
        assert ears._link is not lost
        await one.ring()
        await heard
        await rings.aclose()

    monkeypatch.setattr(postgres_doorbell, "HEARD_POLL_SECONDS", 60.0)
    monkeypatch.setattr(Ears, "rang", rang)
    run(test(), one, other)


def proves_only(ears: Ears, pid: int) -> None:
    """Hear a notification, and lose the ring that it is."""
    ears.proven.set()


def test_a_lost_ring_is_found_by_the_next_question_of_a_timekeeper(
    one: PostgresStore, other: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        rings = other.rings()
        heard = asyncio.ensure_future(anext(rings))
        await proven(other, heard)
        await Scene(one).start("a")
        await other.pending()
        await heard
        heard = asyncio.ensure_future(anext(rings))
        await Scene(other, appender=2).start("b")  # What one has recorded oneself is no news,
        await other.pending()
        await other.pending()  # and what one was told of is none again,
        assert not heard.done()
        assert not other._ears[0].rung.is_set()
        await Scene(one, appender=3).start("c")
        await other.read(after=0, limit=10)  # but what only one reader has seen is for the others,
        await other.pending()
        await heard
        heard = asyncio.ensure_future(anext(rings))
        await Scene(one, appender=4).start("d")
        await Scene(other, appender=5).start("e")  # and so is what stands before one's own.
        await other.pending()
        await heard
        heard = asyncio.ensure_future(anext(rings))
        heard.cancel()
        await asyncio.gather(heard, return_exceptions=True)
        await rings.aclose()

    monkeypatch.setattr(postgres_doorbell, "HEARD_POLL_SECONDS", 60.0)
    monkeypatch.setattr(Ears, "_heard", proves_only)
    run(test(), one, other)


def test_the_end_is_polled_only_where_no_timekeeper_asks_for_it(
    one: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    pauses: asyncio.Queue[None] = asyncio.Queue()
    end, rang = PostgresStore._end, Ears.rang

    async def counted(self: PostgresStore, known: int) -> int:
        asked.append(known)
        return await end(self, known)

    async def soon(self: Ears, within: float) -> bool:
        if not self.proven.is_set():
            return await rang(self, within)
        pauses.put_nowait(None)
        return await rang(self, 0.001)

    async def test() -> None:
        rings = one.rings()
        heard = asyncio.ensure_future(anext(rings))
        await proven(one, heard)
        for told in (True, False):
            if told:
                await one.pending()
            else:
                one._told_at = -math.inf
            await pauses.get()  # One that may have begun before.
            before = len(asked)
            while not pauses.empty():
                pauses.get_nowait()
            for _ in range(3):
                await pauses.get()
            assert (len(asked) == before) is told
        heard.cancel()
        await asyncio.gather(heard, return_exceptions=True)
        await rings.aclose()

    monkeypatch.setattr(PostgresStore, "_end", counted)
    monkeypatch.setattr(Ears, "rang", soon)
    monkeypatch.setattr(Ears, "_heard", proves_only)
    run(test(), one)


def test_the_own_ring_is_not_heard(one: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        rings = one.rings()
        heard = asyncio.ensure_future(anext(rings))
        ears = await proven(one, heard)
        ears.proven.clear()
        await one.ring()
        await ears.proven.wait()
        assert not heard.done()
        heard.cancel()
        await asyncio.gather(heard, return_exceptions=True)
        await rings.aclose()

    monkeypatch.setattr(postgres_doorbell, "POLL_SECONDS_MIN", 60.0)
    run(test(), one)


def test_without_listen_a_commit_is_found_by_the_poll(
    one: PostgresStore, postgres_url: str
) -> None:
    deaf = PostgresStore(f"{postgres_url}&statement_cache_size=0", Settings(poll_max=0.02))

    async def test() -> None:
        await Scene(one).start("before")
        rings = deaf.rings()
        await anext(rings)
        await Scene(one, appender=2).start("after")
        await anext(rings)
        await rings.aclose()

    run(test(), one, deaf)


def test_a_pooler_that_swallows_notifications_costs_only_the_poll(
    one: PostgresStore, other: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        rings = other.rings()
        heard = asyncio.ensure_future(anext(rings))
        await Scene(one).start("a")
        await one.ring()
        await heard
        assert not other._ears[0].proven.is_set()
        await rings.aclose()

    monkeypatch.setattr(Ears, "_heard", lambda *_: None)
    run(test(), one, other)


def test_many_rings_at_once_become_few(one: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    real = PostgresStore._notify

    async def notify(self: PostgresStore) -> None:
        sent.append(1)
        await real(self)

    async def test() -> None:
        await asyncio.gather(*(one.ring() for _ in range(100)))
        assert len(sent) == 2

    monkeypatch.setattr(PostgresStore, "_notify", notify)
    run(test(), one)
