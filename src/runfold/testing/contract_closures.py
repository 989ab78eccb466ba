"""The contract of closures: nothing is admitted for a time, or until somebody opens it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from runfold.ports import Claim, Item, Refusal
from runfold.testing.contract_scene import (
    OTHER,
    WORKER,
    Contract,
    Scene,
    after,
    claim,
    event,
    new,
    row,
)
from runfold.testing.contract_words import ALL, KEYED, NEVER, QUEUE, STEPS, at_once


class ClosureContract(Contract):
    """What admits nothing for a time, or until somebody opens it."""

    async def test_a_closed_queue_gives_nothing_until_then(self, scene: Scene) -> None:
        await scene.add("a", "b")
        await scene.close(QUEUE, after(60))
        served = await scene.served(now=after(1))
        assert served.wait == 59
        assert await scene.take(now=after(59.999999)) == []
        assert await scene.take(now=after(60)) == ["a", "b"]

    async def test_a_queue_that_nobody_opens_stays_closed(self, scene: Scene) -> None:
        await scene.add("a")
        await scene.close(QUEUE, NEVER)
        assert (await scene.served(now=after(10**8))).wait is None
        assert await scene.take(now=after(10**8)) == []
        await scene.close(QUEUE, None)
        assert await scene.take() == ["a"]

    async def test_closing_again_moves_the_end(self, scene: Scene) -> None:
        await scene.add("a")
        await scene.close(QUEUE, NEVER)
        await scene.close(QUEUE, after(10))
        assert await scene.take(now=after(10)) == ["a"]

    async def test_other_queues_stay_open(self, scene: Scene) -> None:
        await scene.add("a", queue="cpu")
        await scene.close(QUEUE, NEVER)
        assert await scene.take(queue="cpu") == ["a"]

    async def test_a_closed_key_holds_up_nobody_else(self, scene: Scene) -> None:
        await scene.add("a1", "a2", key="a", limits=(f"{KEYED}=a",))
        await scene.add("b1", key="b", limits=(f"{KEYED}=b",))
        await scene.close(f"{QUEUE}=a", after(60))
        assert await scene.take() == ["b1"]
        assert (await scene.served(now=after(1))).wait == 59
        assert await scene.take(now=after(60)) == ["a1", "a2"]

    async def test_an_opened_key_is_served_at_once(self, scene: Scene) -> None:
        await scene.add("a1", key="a", limits=(f"{KEYED}=a",))
        await scene.close(f"{QUEUE}=a", NEVER)
        assert await scene.take() == []
        await scene.close(f"{QUEUE}=a", None)
        assert await scene.take() == ["a1"]

    @pytest.mark.parametrize("until", [NEVER, after(60)])
    async def test_a_key_that_is_closed_for_less_is_served_in_time(
        self, scene: Scene, until: datetime
    ) -> None:
        for name in ("a1", "a2"):  # Two lanes, which wait for the first end.
            await scene.add(name, key="a", limits=(f"{KEYED}={name}", STEPS))
        await scene.close(f"{QUEUE}=a", until)
        assert await scene.take() == []
        await scene.close(f"{QUEUE}=a", after(10))
        assert (await scene.served(now=after(1))).wait == 9
        assert sorted(await scene.take(now=after(10)), key=str) == ["a1", "a2"]

    async def test_a_key_that_is_closed_for_longer_stays_closed(self, scene: Scene) -> None:
        await scene.add("a1", key="a", limits=(f"{KEYED}=a",))
        await scene.close(f"{QUEUE}=a", after(10))
        assert await scene.take() == []
        await scene.close(f"{QUEUE}=a", after(60))
        assert await scene.take(now=after(10)) == []
        assert (await scene.served(now=after(11))).wait == 49
        assert await scene.take(now=after(60)) == ["a1"]

    async def test_all_lanes_of_an_opened_bucket_are_served(self, scene: Scene) -> None:
        for key in "abc":
            await scene.add(f"{key}1", limits=(f"{KEYED}={key}", STEPS))
        await scene.close(STEPS, NEVER)
        assert await scene.take() == []
        await scene.close(STEPS, None)
        assert await scene.take() == ["a1", "b1", "c1"]

    async def test_all_lanes_of_a_bucket_whose_closure_ends_are_served(self, scene: Scene) -> None:
        for key in "abc":
            await scene.add(f"{key}1", limits=(f"{KEYED}={key}", STEPS))
        await scene.close(STEPS, after(10))
        assert await scene.take() == []
        assert await scene.take(now=after(10)) == ["a1", "b1", "c1"]

    async def test_a_handler_that_was_told_to_wait_closes_its_limits(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(KEYED, 2, keyed=True))
        await scene.add("a1", "a2", limits=(f"{KEYED}=a",))
        await scene.add("b1", limits=(f"{KEYED}=b",))
        (job,) = await scene.claim(1)
        again = row(kind="retry", delay=30, inputs="a1 again", limits=(f"{KEYED}=a",))
        told = Item([event()], job.stream, lease=(job.id, WORKER), frees=True, holds=30.0,
                    rows=[again])  # fmt: skip
        await scene.record(told, now=after(5))
        assert await scene.take(now=after(5)) == ["b1"]
        assert (await scene.served(now=after(6))).wait == 29
        assert await scene.take(now=after(35)) == ["a2"]

    async def test_it_closes_the_limits_of_its_whole_queue(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(ALL, 5))
        await scene.add("a", "b")
        (job,) = await scene.claim(1)
        await scene.record(Item([event()], job.stream, lease=(job.id, WORKER), holds=after(30)))
        assert (await scene.served()).wait == 30
        assert await scene.take(now=after(29)) == []
        assert await scene.take(now=after(30)) == ["b"]

    async def test_without_limits_it_closes_nothing(self, scene: Scene) -> None:
        await scene.add("a", "b")
        (job,) = await scene.claim(1)
        await scene.record(Item([event()], job.stream, lease=(job.id, WORKER), holds=30.0))
        assert await scene.take() == ["b"]

    async def test_a_shorter_hold_does_not_open_a_longer_one(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(ALL, 5))
        await scene.add("a", "b", "c")
        first, second = await scene.claim(2)
        for job, until in ((first, after(60)), (second, after(10))):
            await scene.record(Item([event()], job.stream, lease=(job.id, WORKER), holds=until))
        assert await scene.take(now=after(59)) == []
        assert await scene.take(now=after(60)) == ["c"]

    async def test_a_hold_of_a_lost_lease_closes_nothing(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(ALL, 5))
        await scene.add("a", "b")
        (job,) = await scene.claim(1)
        late = Item([event()], job.stream, lease=(job.id, OTHER), holds=30.0)
        assert (await scene.attempt(late)).refusal is Refusal.LEASE
        assert await scene.take() == ["b"]

    async def test_what_a_refused_item_says_about_limits_is_not_heard(self, scene: Scene) -> None:
        run = (await scene.add("a"))[0]
        refused = Item([event()], run, version=9, limits=[(QUEUE, [at_once(ALL, 0)])])
        assert (await scene.attempt(refused)).refusal is Refusal.VERSION
        assert await scene.take() == ["a"]

    async def test_settings_count_for_the_claims_of_their_batch(self, scene: Scene) -> None:
        limited = new("a", rows=[row(), row()], flow="flow", limits=[(QUEUE, [at_once(ALL, 1)])])
        twice = replace(limited, events=[event(), event()], rows=[row(0), row(1)])
        asked: list[Claim] = [claim()]
        assert len((await scene.commit(twice, claims=asked)).jobs) == 1
