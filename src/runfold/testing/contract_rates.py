"""The contract of rates: so many starts in any span of time, and no moment later than needed."""

from __future__ import annotations

from runfold.ports import Item
from runfold.testing.contract_scene import Contract, Scene, after, event
from runfold.testing.contract_words import ALL, KEYED, QUEUE, STEP, STEPS, at_once, in_any


class RateContract(Contract):
    """So many starts in any span of time."""

    async def test_a_window_slides(self, scene: Scene) -> None:
        await scene.limit(QUEUE, in_any(60, ALL, 2))
        await scene.add(*"abcdef")
        assert await scene.take(1) == ["a"]
        assert await scene.take(now=after(20)) == ["b"]
        assert await scene.take(now=after(59.999999)) == []
        assert await scene.take(now=after(60)) == ["c"]
        assert await scene.take(now=after(79.999999)) == []
        assert await scene.take(now=after(80)) == ["d"]

    async def test_a_keyed_window_slides_for_each_key(self, scene: Scene) -> None:
        await scene.limit(QUEUE, in_any(60, KEYED, 1, keyed=True))
        await scene.add("a1", "a2", limits=(f"{KEYED}=a",))
        await scene.add("b1", "b2", limits=(f"{KEYED}=b",))
        assert await scene.take(1) == ["a1"]
        assert await scene.take(now=after(30)) == ["b1"]
        assert await scene.take(now=after(59.999999)) == []
        assert await scene.take(now=after(60)) == ["a2"]
        assert await scene.take(now=after(90)) == ["b2"]

    async def test_starts_count_and_not_ends(self, scene: Scene) -> None:
        await scene.limit(STEP, in_any(10, STEPS, 1))
        await scene.add("a", "b", limits=(STEPS,))
        (job,) = await scene.claim()
        await scene.finish(job, now=after(1))
        assert await scene.take(now=after(9)) == []
        assert await scene.take(now=after(10)) == ["b"]

    async def test_even_spacing_gives_one_at_a_time(self, scene: Scene) -> None:
        await scene.limit(STEP, in_any(0.25, STEPS, 1))
        await scene.add(*"abcdef", limits=(STEPS,))
        taken = [await scene.take(now=after(tenths / 8)) for tenths in range(7)]
        assert taken == [["a"], [], ["b"], [], ["c"], [], ["d"]]

    async def test_the_wait_is_told_to_the_microsecond(self, scene: Scene) -> None:
        await scene.limit(STEP, in_any(60, STEPS, 2))
        await scene.add(*"abcd", limits=(STEPS,))
        await scene.claim(1)
        await scene.claim(1, now=after(10))
        assert (await scene.served(now=after(20.5))).wait == 39.5
        assert (await scene.served(now=after(59))).wait == 1
        assert (await scene.served(now=after(60))).wait == 10
        assert await scene.store.counts() == {"default": (0, 3)}

    async def test_the_wait_of_a_whole_queue_is_told(self, scene: Scene) -> None:
        await scene.limit(QUEUE, in_any(60, ALL, 2))
        await scene.add(*"abc")
        assert (await scene.served(1)).wait is None
        assert (await scene.served(now=after(10))).wait == 50
        assert (await scene.served(now=after(15))).wait == 45

    async def test_there_is_no_wait_for_what_is_not_there(self, scene: Scene) -> None:
        await scene.limit(QUEUE, in_any(60, ALL, 1))
        await scene.limit(STEP, in_any(60, STEPS, 1))
        await scene.add("a", limits=(STEPS,))
        assert (await scene.served()).wait is None
        assert (await scene.served(now=after(1))).wait is None

    async def test_the_wait_ends_with_the_lane_that_waited(self, scene: Scene) -> None:
        await scene.limit(STEP, in_any(60, STEPS, 1))
        _, run = await scene.add("a", "b", limits=(STEPS,))
        await scene.claim(1)
        assert (await scene.served()).wait == 60
        await scene.record(Item([event("flow.cancelled")], run, clears=True))
        assert (await scene.served()).wait is None

    async def test_many_keys_that_wait_for_one_step_wake_in_turn(self, scene: Scene) -> None:
        await scene.limit(STEP, in_any(10, STEPS, 1))
        for key in "abc":
            await scene.add(f"{key}1", f"{key}2", limits=(f"{KEYED}={key}", STEPS))
        taken = [await scene.take(now=after(10 * turn)) for turn in range(6)]
        assert taken == [["a1"], ["b1"], ["c1"], ["a2"], ["b2"], ["c2"]]

    async def test_a_window_counts_what_started_before_it_was_smaller(self, scene: Scene) -> None:
        await scene.limit(STEP, in_any(60, STEPS, 3))
        await scene.add(*"abcdef", limits=(STEPS,))
        assert len(await scene.take()) == 3
        await scene.limit(STEP, in_any(30, STEPS, 2))
        assert await scene.take(now=after(29)) == []
        assert await scene.take(now=after(30)) == ["d", "e"]

    async def test_a_rate_and_places_hold_together(self, scene: Scene) -> None:
        more = f"{STEP}#1"
        await scene.limit(STEP, in_any(10, STEPS, 2), at_once(more, 1))
        await scene.add(*"abcd", limits=(STEPS, more))
        (job,) = await scene.claim()
        assert await scene.take(now=after(30)) == []
        await scene.finish(job, now=after(30))
        assert await scene.take(now=after(30)) == ["b"]
