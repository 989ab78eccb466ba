"""The contract of lanes: FIFO inside, in turn among each other, and nobody holds up another."""

from __future__ import annotations

from typing import Any

from runfold.flow.work import Gate
from runfold.ports import Item
from runfold.testing.contract_scene import OTHER, WORKER, Contract, Scene, after, event, new, row
from runfold.testing.contract_words import NEVER, at_once, in_any

QUEUE, STEP = "queue:default", "step:flow/step"
STEPS = f"{STEP}#0"


def lane(key: str, *more: str, **columns: Any) -> dict[str, Any]:
    """Return the columns of a job with ``key`` in a queue with a keyed limit."""
    return {"key": key, "limits": (f"{QUEUE}#0={key}", *more), **columns}


def keyed(most: int) -> Any:
    """Return the keyed limit of the queue."""
    return at_once(f"{QUEUE}#0", most, keyed=True)


class LaneContract(Contract):
    """Turns, priorities, and what happens to a head."""

    async def test_a_key_with_a_hundred_jobs_lets_another_be_second(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(100))
        await scene.add(*[f"a{n}" for n in range(100)], **lane("a"))
        await scene.add("b0", "b1", **lane("b"))
        assert await scene.take(5) == ["a0", "b0", "a1", "b1", "a2"]

    async def test_lanes_take_turns_over_many_claims(self, scene: Scene) -> None:
        for key in "abc":
            await scene.add(*[f"{key}{n}" for n in range(4)], **lane(key))
        taken = [label for _ in range(9) for label in await scene.take(1)]
        assert taken == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]

    async def test_a_lane_is_first_in_first_out(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(1))
        await scene.add(*"abcdef", **lane("k"))
        taken = []
        for _ in range(6):
            (job,) = await scene.claim()
            taken.append(job.inputs)
            await scene.finish(job)
        assert taken == list("abcdef")

    async def test_priorities_come_before_turns(self, scene: Scene) -> None:
        await scene.add("a low", **lane("a", priority=1))
        await scene.add("b1", "b2", **lane("b"))
        await scene.add("a high", **lane("a", priority=9))
        await scene.add("plain", priority=5)
        assert await scene.take(4) == ["a high", "b1", "plain", "b2"]
        assert await scene.take() == ["a low"]

    async def test_jobs_without_lanes_and_lanes_take_turns(self, scene: Scene) -> None:
        await scene.add("a0", "a1", "a2", **lane("a"))
        await scene.add("x", "y")
        assert await scene.take(1) == ["a0"]
        assert await scene.take() == ["x", "y", "a1", "a2"]

    async def test_a_full_lane_holds_up_nobody(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(1))
        await scene.add(*[f"a{n}" for n in range(50)], **lane("a", priority=9))
        await scene.add("b0", **lane("b"))
        await scene.add("plain", priority=1)
        assert await scene.take() == ["a0", "b0", "plain"]

    async def test_the_best_of_those_that_wait_comes_next(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.add("first", limits=(STEPS,))
        (job,) = await scene.claim()
        await scene.add("low", **lane("a", STEPS, priority=2))
        await scene.add("high", **lane("b", STEPS, priority=8))
        assert await scene.take() == []
        await scene.finish(job)
        assert await scene.take() == ["high"]

    async def test_a_better_job_that_comes_to_a_parked_lane_is_next(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.add("first", limits=(STEPS,))
        (job,) = await scene.claim()
        await scene.add("b", **lane("b", STEPS))
        await scene.add("low", **lane("a", STEPS, priority=2))
        assert await scene.take() == []
        await scene.add("high", **lane("a", STEPS, priority=8))
        await scene.finish(job)
        assert await scene.take() == ["high"]

    async def test_a_lane_that_is_woken_in_vain_lets_the_next_try(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(1))
        await scene.limit(STEP, at_once(STEPS, 2))
        await scene.add("a0", "a1", "a2", **lane("a", STEPS))
        await scene.add("b0", **lane("b", STEPS))
        first, second = await scene.claim()
        await scene.add("c0", **lane("c", STEPS))
        assert await scene.take() == []
        await scene.finish(second)
        # The step has a place again; lane a, which is first, is full by itself.
        assert await scene.take() == ["c0"]
        await scene.finish(first)
        assert await scene.take() == ["a1"]

    async def test_a_lane_that_is_woken_late_in_a_claim_is_served_by_it(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(1))
        await scene.limit(STEP, in_any(10, STEPS, 1))
        await scene.add("b0", "b1", **lane("b", STEPS))
        await scene.add("a1", **lane("a", STEPS))
        (job,) = await scene.claim(1)
        await scene.finish(job)
        assert await scene.take() == []
        await scene.add("a0", **lane("a"))
        assert await scene.take() == ["a0"]
        # Of the two that wait for the step, a1 is first, and its key is taken by now.
        assert await scene.take(now=after(10)) == ["b1"]

    async def test_a_queue_that_nobody_serves_starves_no_other(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.add("first", limits=(STEPS,))
        (job,) = await scene.claim()
        await scene.add("elsewhere", queue="cpu", limits=(STEPS,))
        await scene.add("here", limits=(STEPS,))
        assert await scene.take(queue="cpu") == await scene.take() == []
        await scene.finish(job)
        assert await scene.take() == ["here"]
        assert await scene.take(queue="cpu") == []

    async def test_a_head_that_nobody_knows_blocks_its_own_lane_only(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(5))
        await scene.add("strange", **lane("a", step="gone"))
        await scene.add("a1", **lane("a"))
        await scene.add("b0", "b1", **lane("b"))
        assert await scene.take() == ["b0", "b1"]
        taken = await scene.take(targets=[("flow", "step"), ("flow", "gone")])
        assert taken == ["strange", "a1"]

    async def test_a_claim_takes_no_more_of_a_lane_than_it_knows(self, scene: Scene) -> None:
        await scene.add("a", "b", limits=(STEPS,))
        await scene.add("c", limits=(STEPS,), step="other")
        await scene.add("d", limits=(STEPS,))
        assert await scene.take(targets=[("flow", "step")]) == ["a", "b"]
        assert await scene.take() == ["c", "d"]

    async def test_a_closed_key_stops_the_lane_where_it_comes(self, scene: Scene) -> None:
        await scene.add("a", "b", limits=(STEPS,), key="open")
        await scene.add("c", limits=(STEPS,), key="closed")
        await scene.add("d", limits=(STEPS,), key="open")
        await scene.close(f"{QUEUE}=closed", NEVER)
        assert await scene.take() == ["a", "b"]
        await scene.close(f"{QUEUE}=closed", None)
        assert await scene.take() == ["c", "d"]

    async def test_a_lane_gives_as_many_as_its_buckets_have_room_for(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 3))
        await scene.add(*"abcde", limits=(STEPS,))
        assert await scene.take(2) == ["a", "b"]
        assert await scene.take() == ["c"]
        (job, *_) = await scene.store.leased(WORKER)
        await scene.finish(job)
        assert await scene.take() == ["d"]

    async def test_a_woken_head_that_nobody_knows_lets_the_next_try(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(1))
        await scene.add("a0", **lane("a"))
        (job,) = await scene.claim()
        await scene.add("strange", **lane("a", "step:flow/gone#0", step="gone"))
        await scene.add("a1", **lane("a"))
        assert await scene.take(targets=[("flow", "step"), ("flow", "gone")]) == []
        await scene.finish(job)
        assert await scene.take() == ["a1"]

    async def test_a_removed_head_lets_the_next_step_up(self, scene: Scene) -> None:
        runs = await scene.add("a", "b", "c", **lane("k"))
        drops = Item([event()], runs[0], drops=[("step", 1)])
        clears = Item([event("flow.cancelled")], runs[1], clears=True)
        await scene.commit(drops, clears)
        assert await scene.take() == ["c"]

    async def test_a_woken_lane_that_vanishes_lets_the_next_try(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.add("first", limits=(STEPS,))
        (job,) = await scene.claim()
        run = (await scene.add("a", **lane("a", STEPS)))[0]
        await scene.add("b", **lane("b", STEPS))
        assert await scene.take() == []
        await scene.finish(job)
        await scene.record(Item([event("flow.cancelled")], run, clears=True))
        assert await scene.take() == ["b"]

    async def test_a_woken_lane_whose_run_is_paused_lets_the_next_try(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.add("first", limits=(STEPS,))
        (job,) = await scene.claim()
        run = (await scene.add("a", **lane("a", STEPS)))[0]
        await scene.add("b", **lane("b", STEPS))
        assert await scene.take() == []
        await scene.finish(job)
        await scene.record(Item([event()], run, gate=Gate.PAUSED))
        assert await scene.take() == ["b"]

    async def test_a_paused_head_is_passed_and_resumes_in_its_lane(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(1))
        run, *_ = await scene.add("a", "b", "c", **lane("k"))
        await scene.record(Item([event()], run, gate=Gate.PAUSED))
        (job,) = await scene.claim()
        assert job.inputs == "b"
        await scene.record(Item([event()], run, gate=Gate.OPEN))
        assert await scene.take() == []
        await scene.finish(job)
        (job,) = await scene.claim()
        assert job.inputs == "a"
        await scene.finish(job)
        assert await scene.take() == ["c"]

    async def test_pausing_what_waits_in_a_lane_keeps_it_out(self, scene: Scene) -> None:
        _, run, _ = await scene.add("a", "b", "c", **lane("k"))
        await scene.record(Item([event()], run, gate=Gate.PAUSED))
        assert await scene.take() == ["a", "c"]
        await scene.record(Item([event()], run, gate=Gate.OPEN))
        assert await scene.take() == ["b"]

    async def test_a_paused_run_of_a_parked_lane_waits_for_both(self, scene: Scene) -> None:
        await scene.close(STEPS, NEVER)
        run = (await scene.add("a", limits=(STEPS,)))[0]
        assert await scene.take() == []
        await scene.record(Item([event()], run, gate=Gate.PAUSED))
        await scene.close(STEPS, None)
        assert await scene.take() == []
        await scene.record(Item([event()], run, gate=Gate.OPEN))
        assert await scene.take() == ["a"]

    async def test_a_run_that_starts_paused_waits_outside_its_lane(self, scene: Scene) -> None:
        paused = new("p", rows=[row(inputs="p", **lane("k"))], gate=Gate.PAUSED)
        run = (await scene.record(paused)).stream
        await scene.add("a", **lane("k"))
        assert await scene.take() == ["a"]
        await scene.record(Item([event()], run, gate=Gate.OPEN))
        assert await scene.take() == ["p"]

    async def test_a_timer_becomes_a_job_of_its_lane(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(1))
        later = row(kind="retry", delay=5, inputs="later", **lane("k"))
        run = await scene.start("later", later)
        await scene.add("a", "b", **lane("k"))
        fact = Item([event("timer.due")], run, timer=run)
        await scene.record(fact, now=after(5))
        taken = []
        for _ in range(3):
            (job,) = await scene.claim(now=after(5))
            taken.append(job.inputs)
            await scene.finish(job, now=after(5))
        assert taken == ["a", "b", "later"]

    async def test_a_job_comes_to_a_lane_that_is_parked(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(1))
        await scene.add("a", "b", **lane("k"))
        (job,) = await scene.claim()
        await scene.add("c", **lane("k"))
        assert await scene.take() == []
        assert await scene.store.counts() == {"default": (0, 1)}
        await scene.finish(job)
        assert await scene.take() == ["b"]

    async def test_two_claimers_take_turns_as_one_would(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(2))
        for key in "ab":
            await scene.add(*[f"{key}{n}" for n in range(4)], **lane(key))
        taken = [await scene.take(1, token=token) for token in (WORKER, OTHER) * 3]
        assert taken == [["a0"], ["b0"], ["a1"], ["b1"], [], []]

    async def test_a_claim_gives_up_on_too_many_full_lanes_and_says_so(self, scene: Scene) -> None:
        await scene.limit(QUEUE, in_any(60, f"{QUEUE}#0", 1, keyed=True))
        for n in range(30):
            await scene.add(f"{n}", f"{n} again", **lane(f"{n}"))
        await scene.claim(30)
        await scene.add("free", priority=1)
        served = await scene.served(1)
        assert (served.wait, served.floors[9]) == (0.0, 0)
        assert await scene.store.counts() == {"default": (11, 30)}
        assert await scene.take(1, floors=served.floors) == ["free"]

    async def test_floors_leave_nothing_behind(self, scene: Scene) -> None:
        await scene.add("a", priority=7)
        await scene.add("b", "c")
        filled = await scene.served(2)
        assert filled.floors == (4, 4, 4, 4, 4, 2, 0, 0, 0, 0)
        ended = await scene.served(2, floors=filled.floors)
        assert ended.floors == (6,) * 10
        assert (await scene.served(0, floors=ended.floors)).floors == ended.floors

    async def test_what_becomes_ready_again_is_above_every_floor(self, scene: Scene) -> None:
        await scene.limit(QUEUE, keyed(1))
        paused, *_ = await scene.add("p", "a0", "a1", **lane("a"))
        plain = (await scene.add("plain"))[0]
        for run in (paused, plain):
            await scene.record(Item([event()], run, gate=Gate.PAUSED))
        (job,) = await scene.claim()
        floors = (await scene.served()).floors
        for run in (plain, paused):
            await scene.record(Item([event()], run, gate=Gate.OPEN))
        await scene.finish(job)
        assert await scene.take(floors=floors) == ["plain", "p"]
