"""The contract of what stands beside the log: cursors, inbox, doorbell, namespaces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from runfold.errors import InvalidInput
from runfold.ports import Outcome, Refusal, Store
from runfold.testing.contract_scene import Contract, Scene, event, key_of, new, row

Transaction = Callable[[], AbstractContextManager[Any]]
"""Begins a caller's transaction on the store's database; the block has its connection."""
RING_SECONDS_MAX = 5.0
"""How long a test waits for a doorbell."""


class CursorContract(Contract):
    """How far readers have come."""

    async def test_a_reader_begins_at_the_beginning(self, store: Store) -> None:
        assert await store.cursor("reader") == 0

    async def test_a_reader_goes_on_where_it_was(self, scene: Scene, twin: Store) -> None:
        await scene.record(new("a", event(), event(), event()))
        await scene.store.save_cursor("reader", 2)
        await scene.store.save_cursor("other", 1)
        assert await twin.cursor("reader") == 2
        await twin.save_cursor("reader", 3)
        assert await scene.store.cursor("reader") == 3
        assert await scene.store.cursor("other") == 1

    async def test_a_cursor_may_be_set_back(self, scene: Scene) -> None:
        await scene.record(new("a", event(), event()))
        await scene.store.save_cursor("reader", 2)
        await scene.store.save_cursor("reader", 1)
        assert await scene.store.cursor("reader") == 1

    async def test_a_cursor_beyond_the_end_is_of_another_log(self, scene: Scene) -> None:
        await scene.start("a")
        await scene.store.save_cursor("reader", 2)
        assert await scene.store.cursor("reader") == 0

    @pytest.fixture
    def replace_log(self) -> Callable[[], None]:
        """Makes the log of ``store`` another one: the next generation, as after a restore."""
        pytest.skip("the adapter's tests have no fixture `replace_log`")

    async def test_a_cursor_of_another_log_is_refused(
        self, scene: Scene, replace_log: Callable[[], None]
    ) -> None:
        await scene.start("a")
        await scene.store.save_cursor("reader", 1)
        replace_log()
        assert await scene.store.cursor("reader") == 0
        await scene.store.save_cursor("reader", 1)
        assert await scene.store.cursor("reader") == 1


class InboxContract(Contract):
    """Starts that callers write inside their own transactions."""

    @pytest.fixture
    def transaction(self) -> Transaction:
        """What begins a caller's transaction: committed at the block's end, else rolled back."""
        pytest.skip("the adapter's tests have no fixture `transaction`")

    async def test_rows_arrive_with_the_commit(
        self, store: Store, transaction: Transaction
    ) -> None:
        rows = [(key_of("a"), '{"target":"é"}'), (key_of("b"), "{}")]
        with transaction() as connection:
            store.enlist(connection, rows)
        assert [(row.run_id, row.body) for row in await store.inbox(10)] == rows
        assert len(await store.inbox(1)) == 1

    async def test_a_rollback_leaves_nothing(self, store: Store, transaction: Transaction) -> None:
        with pytest.raises(KeyError):
            _enlist_and_fail(store, transaction)
        assert await store.inbox(10) == []
        assert not (await store.pending()).inbox

    async def test_a_row_is_pending_until_it_is_recorded(
        self, scene: Scene, transaction: Transaction
    ) -> None:
        assert not (await scene.store.pending()).inbox
        with transaction() as connection:
            scene.store.enlist(connection, [(key_of("a"), "{}")])
        assert (await scene.store.pending()).inbox
        (found,) = await scene.store.inbox(10)
        await scene.record(new("a", inbox=found.id))
        assert not (await scene.store.pending()).inbox

    async def test_a_row_is_recorded_once(self, scene: Scene, transaction: Transaction) -> None:
        with transaction() as connection:
            scene.store.enlist(connection, [(key_of("a"), "{}"), (key_of("b"), "{}")])
        first, second = await scene.store.inbox(10)
        assert (await scene.attempt(new("a", inbox=first.id))).refusal is None
        assert (await scene.attempt(new("c", inbox=first.id))).refusal is Refusal.TIMER
        assert await scene.store.inbox(10) == [second]

    async def test_a_row_goes_away_when_its_run_exists(
        self, scene: Scene, transaction: Transaction
    ) -> None:
        run = await scene.start("a")
        with transaction() as connection:
            scene.store.enlist(connection, [(key_of("a"), "{}")])
        (found,) = await scene.store.inbox(10)
        outcome = await scene.attempt(new("a", inbox=found.id))
        assert outcome == Outcome(Refusal.EXISTS, run)
        assert await scene.store.inbox(10) == []

    async def test_a_foreign_connection_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidInput, match="object"):
            store.enlist(object(), [(key_of("a"), "{}")])


class DoorbellContract(Contract):
    """Hints between processes."""

    async def test_a_ring_wakes_who_listens(self, store: Store, twin: Store) -> None:
        woken, _ = await asyncio.gather(_heard(twin.rings()), _commit_and_ring(store))
        assert woken

    async def test_the_doorbell_ends_when_the_store_closes(self, store: Store) -> None:
        await store.open()
        rings = store.rings()
        heard, _ = await asyncio.gather(_heard_all(rings), _close_twice(store))
        assert heard
        await store.open()


class NamespaceContract(Contract):
    """Logs that share a database and nothing else."""

    @pytest.fixture
    def neighbour(self, store: Any) -> Store:
        """A store of another namespace in the same database."""
        found: Store = store.attach("neighbour")
        return found

    async def test_a_namespace_has_a_log_of_its_own(self, scene: Scene, neighbour: Store) -> None:
        other = Scene(neighbour, scene.appender)
        await scene.start("a", row())
        assert await neighbour.head() == 0
        assert await neighbour.find([key_of("a")]) == {}
        assert await neighbour.counts() == {}
        assert await other.start("a", row(kind="start", delay=1)) == 1
        assert await scene.store.open_timers() == 0
        assert [job.stream for job in await scene.claim()] == [1]

    async def test_leaders_members_and_cursors_are_of_one_namespace(
        self, store: Store, neighbour: Store
    ) -> None:
        await Scene(store).start("a")
        await Scene(neighbour).start("a")
        assert await store.lead(1, 30)
        assert await neighbour.lead(2, 30)
        await store.save_cursor("reader", 1)
        assert await neighbour.cursor("reader") == 0
        assert not await neighbour.renew(1, 30)

    async def test_the_default_is_log_one(self, store: Store, neighbour: Store) -> None:
        assert store.identity.log_id == 1
        assert neighbour.identity.log_id != 1
        assert neighbour.identity.identity != store.identity.identity

    async def test_every_process_sees_one_identity(self, store: Store, twin: Store) -> None:
        assert store.identity == twin.identity

    async def test_health_is_one_line(self, store: Store) -> None:
        assert len((await store.health()).splitlines()) == 1


def _enlist_and_fail(store: Store, transaction: Transaction) -> None:
    with transaction() as connection:
        store.enlist(connection, [(key_of("a"), "{}")])
        raise KeyError


async def _heard(rings: Any) -> bool:
    async with asyncio.timeout(RING_SECONDS_MAX):
        await anext(rings)
    await rings.aclose()
    return True


async def _commit_and_ring(store: Store) -> None:
    """Commit and ring a few times: a ring before the listener stands there is lost."""
    scene = Scene(store)
    for number in range(10):
        await scene.start(f"run {number}")
        await store.ring()
        await asyncio.sleep(0.01)


async def _heard_all(rings: Any) -> bool:
    async with asyncio.timeout(RING_SECONDS_MAX):
        async for _ in rings:
            pass
    return True


async def _close_twice(store: Store) -> None:
    await asyncio.sleep(0.01)
    await store.close()
    await store.close()
