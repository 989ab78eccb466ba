"""The contract of batch numbers: a commit whose answer was lost is sent again, and counts once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from runfold.ports import Batch, Committed, Item, Outcome, Refusal, Store
from runfold.testing.contract_scene import (
    NOON,
    WORKER,
    Contract,
    Scene,
    claim,
    event,
    member,
    new,
    row,
)


class BatchContract(Contract):
    """Batches that are sent twice."""

    async def test_a_batch_sent_again_is_answered_as_at_first(self, scene: Scene) -> None:
        run = await scene.start("a")
        batch = Batch(7, 1, [
            new("b", event(), event()),
            Item([event()], stream=99),
            new("a"),
            Item([event()], stream=run, version=5),
            Item([event()], stream=run),
        ], now=NOON)  # fmt: skip
        first, again = await scene.store.commit(batch), await scene.store.commit(batch)
        assert (
            list(first.outcomes)
            == list(again.outcomes)
            == [
                Outcome(None, 2, 2, 1),
                Outcome(Refusal.MISSING),
                Outcome(Refusal.EXISTS, run),
                Outcome(Refusal.VERSION),
                Outcome(None, run, 4, 2),
            ]
        )
        assert (first.repeated, again.repeated) == (False, True)
        assert again.first_position == first.first_position == 2
        assert again.ts == first.ts
        assert await scene.store.head() == 4

    async def test_a_claim_sent_again_gives_no_jobs(self, scene: Scene) -> None:
        await scene.start("a", row())
        await scene.meet(WORKER)
        batch = Batch(7, 1, claims=[claim()], now=NOON)
        first, again = await scene.store.commit(batch), await scene.store.commit(batch)
        assert (len(first.jobs), list(again.jobs), again.repeated) == (1, [], True)
        assert again.first_position == first.first_position == 2
        assert [job.id for job in await scene.store.leased(WORKER)] == [1]

    async def test_a_batch_that_was_refused_stays_refused(self, scene: Scene) -> None:
        batch = Batch(7, 1, [Item([event()], stream=1)], now=NOON)
        await scene.store.commit(batch)
        await scene.start("a")
        again = await scene.store.commit(batch)
        assert (again.repeated, list(again.outcomes)) == (True, [Outcome(Refusal.MISSING)])
        assert (again.first_position, await scene.store.head()) == (0, 1)

    async def test_an_empty_batch_is_a_batch(self, store: Store) -> None:
        batch = Batch(7, 1, now=NOON)
        first, again = await store.commit(batch), await store.commit(batch)
        assert (list(first.outcomes), first.first_position, first.repeated) == ([], 0, False)
        assert (list(again.outcomes), again.first_position, again.repeated) == ([], 0, True)

    async def test_numbers_are_counted_by_appender(self, store: Store) -> None:
        first = await store.commit(Batch(1, 1, [new("a")], now=NOON))
        second = await store.commit(Batch(2, 1, [new("b")], now=NOON))
        third = await store.commit(Batch(1, 2, [new("c")], now=NOON))
        assert [first.repeated, second.repeated, third.repeated] == [False] * 3
        assert await store.head() == 3

    async def test_large_tokens_are_numbers_like_others(self, store: Store) -> None:
        token = 2**62 - 1
        await store.join(member(token), 30, now=NOON)
        assert await store.lead(token, 30, now=NOON)
        item = new("a", rows=[row()], leader=token)
        done = await store.commit(Batch(token, 1, [item], [claim(token=token)], NOON))
        assert [outcome.refusal for outcome in done.outcomes] == [None]
        assert [job.id for job in await store.leased(token)] == [1]

    async def test_the_same_batch_twice_at_once_counts_once(
        self, store: Store, twin: Store
    ) -> None:
        batch = Batch(7, 1, [new("a"), new("b")], now=NOON)
        first, second = await asyncio.gather(store.commit(batch), twin.commit(batch))
        assert list(first.outcomes) == list(second.outcomes)
        assert sorted([first.repeated, second.repeated]) == [False, True]
        assert await store.head() == 2

    async def test_a_batch_that_raises_leaves_nothing(self, scene: Scene) -> None:
        await scene.start("a", row())
        before = await scene.everything()
        unwritable = Item([event("emit", step="\ud800")], stream=1)
        raised = await _raises(scene.commit(new("b"), unwritable, new("c"), claims=[claim()]))
        # Databases refuse half of a surrogate pair; memory has no reason to.
        assert not raised or await scene.everything() == before
        assert raised or await scene.store.head() == 5


async def _raises(committing: Awaitable[Committed]) -> bool:
    results = await asyncio.gather(committing, return_exceptions=True)
    return isinstance(results[0], Exception)
