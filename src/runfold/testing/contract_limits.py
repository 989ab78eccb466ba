"""The contract of limits and closures: never one job more, and no moment later than needed."""

from __future__ import annotations

from runfold.flow.work import Gate
from runfold.ports import Batch, Claim, Item, Member, Refusal
from runfold.testing.contract_scene import (
    NEVER,
    NOON,
    OTHER,
    WORKER,
    Contract,
    Scene,
    after,
    at_once,
    claim,
    event,
    in_any,
    new,
    row,
)

QUEUE = "queue:default"
STEP = "step:flow/step"
ALL = f"{QUEUE}#0"
"""A limit of the whole queue: rows do not name it."""
KEYED = f"{QUEUE}#1"
STEPS = f"{STEP}#0"


class LimitContract(Contract):
    """So many leased jobs at once."""

    async def test_a_queue_gives_no_more_than_its_limit(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(ALL, 2))
        await scene.add("a", "b", "c", "d")
        assert await scene.take() == ["a", "b"]
        assert await scene.take(token=OTHER) == []
        assert await scene.store.counts() == {"default": (2, 2)}

    async def test_a_limit_of_one_queue_is_none_of_another(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(ALL, 1))
        await scene.add("a", "b", queue="cpu")
        assert await scene.take(queue="cpu") == ["a", "b"]

    async def test_two_claims_of_one_batch_share_a_limit(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(ALL, 3))
        await scene.add(*"abcde")
        done = await scene.commit(claims=[claim(2, WORKER), claim(2, OTHER)])
        assert [job.inputs for job in done.jobs] == ["a", "b", "c"]

    async def test_a_finished_job_gives_its_place_back(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(ALL, 1))
        await scene.add("a", "b")
        (job,) = await scene.claim()
        await scene.finish(job)
        assert await scene.take() == ["b"]

    async def test_a_place_is_taken_in_the_batch_that_frees_it(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(ALL, 1))
        await scene.add("a", "b")
        (job,) = await scene.claim()
        frees = Item([event()], job.stream, lease=(job.id, WORKER), frees=True)
        done = await scene.commit(frees, claims=[claim()])
        assert [job.inputs for job in done.jobs] == ["b"]

    async def test_a_stalled_job_gives_its_place_back(self, scene: Scene) -> None:
        await scene.store.join(Member(WORKER, "me", "worker"), 30, now=NOON)
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.add("a", "b", limits=(STEPS,))
        (job,) = await scene.claim()
        again = row(attempt=2, inputs="a again", limits=(STEPS,))
        stalls = Item([event()], job.stream, stalled=job.id, rows=[again])
        await scene.record(stalls, now=after(31))
        assert await scene.take(token=OTHER, now=after(31)) == ["b"]

    async def test_dropped_and_cleared_jobs_give_their_places_back(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 2))
        await scene.add(*"abcd", limits=(STEPS,))
        first, second = await scene.claim()
        drops = Item([event()], first.stream, drops=[("step", 1)])
        clears = Item([event("flow.cancelled")], second.stream, clears=True)
        done = await scene.commit(drops, clears, claims=[claim()])
        assert [job.inputs for job in done.jobs] == ["c", "d"]

    async def test_a_lease_without_its_run_s_gate_keeps_its_place(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.add("a", "b", limits=(STEPS,))
        (job,) = await scene.claim()
        await scene.record(Item([event()], job.stream, gate=Gate.PAUSED))
        assert await scene.take() == []
        await scene.record(Item([event()], job.stream, gate=Gate.OPEN))
        assert await scene.take() == []
        await scene.finish(job)
        assert await scene.take() == ["b"]

    async def test_a_refused_completion_frees_nothing(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.add("a", "b", limits=(STEPS,))
        (job,) = await scene.claim()
        stale = Item([event()], job.stream, version=1, lease=(job.id, WORKER), frees=True)
        assert (await scene.attempt(stale)).refusal is Refusal.VERSION
        assert await scene.take() == []

    async def test_each_key_has_its_own_places(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(KEYED, 1, keyed=True))
        await scene.add("a1", "a2", key="a", limits=(f"{KEYED}=a",))
        await scene.add("b1", "b2", key="b", limits=(f"{KEYED}=b",))
        jobs = await scene.claim()
        assert [job.inputs for job in jobs] == ["a1", "b1"]
        await scene.finish(jobs[1])
        assert await scene.take() == ["b2"]

    async def test_a_step_s_limit_holds_in_every_queue(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.add("a", limits=(STEPS,))
        await scene.add("b", queue="cpu", limits=(STEPS,))
        (job,) = await scene.claim()
        assert await scene.take(queue="cpu") == []
        await scene.finish(job)
        assert await scene.take(queue="cpu") == ["b"]

    async def test_all_limits_of_a_job_must_admit_it(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(ALL, 2), at_once(KEYED, 1, keyed=True))
        await scene.limit(STEP, at_once(STEPS, 2))
        for key in "abc":
            both = (f"{KEYED}={key}", STEPS)
            await scene.add(f"{key}1", f"{key}2", key=key, limits=both)
        await scene.add("free")
        jobs = await scene.claim()
        assert [job.inputs for job in jobs] == ["a1", "b1"]
        await scene.finish(jobs[0])
        assert await scene.take() == ["c1"]

    async def test_a_lower_limit_waits_until_enough_are_free(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 3))
        await scene.add(*"abcde", limits=(STEPS,))
        jobs = await scene.claim()
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.finish(jobs[0])
        assert await scene.take() == []
        await scene.finish(jobs[1])
        assert await scene.take() == []
        await scene.finish(jobs[2])
        assert await scene.take() == ["d"]

    async def test_a_higher_limit_holds_at_once(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.add(*"abcd", limits=(STEPS,))
        assert await scene.take() == ["a"]
        assert await scene.take() == []
        await scene.limit(STEP, at_once(STEPS, 3))
        assert await scene.take() == ["b", "c"]

    async def test_a_limit_that_is_taken_away_admits_all(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.limit(QUEUE, at_once(ALL, 2))
        await scene.add(*"abcd", limits=(STEPS,))
        assert await scene.take() == ["a"]
        await scene.limit(STEP)
        assert await scene.take() == ["b"]
        await scene.limit(QUEUE)
        assert await scene.take() == ["c", "d"]

    async def test_a_new_limit_counts_what_is_leased_already(self, scene: Scene) -> None:
        await scene.add("a", "b")
        await scene.add("c", "d", limits=(STEPS,))
        jobs = await scene.claim(3)
        await scene.limit(QUEUE, at_once(ALL, 3))
        await scene.limit(STEP, at_once(STEPS, 1))
        assert await scene.take() == []
        await scene.finish(jobs[0])
        assert await scene.take() == []
        await scene.finish(jobs[2])
        assert await scene.take() == ["d"]

    async def test_limits_said_again_change_nothing(self, scene: Scene) -> None:
        limits = at_once(KEYED, 1, keyed=True), in_any(60, f"{QUEUE}#2", 1, keyed=True)
        await scene.limit(QUEUE, *limits)
        await scene.add("a", "b", limits=(f"{KEYED}=k", f"{QUEUE}#2=k"))
        (job,) = await scene.claim()
        await scene.limit(QUEUE, *limits)
        await scene.finish(job)
        assert await scene.take(now=after(59)) == []
        assert await scene.take(now=after(60)) == ["b"]

    async def test_a_bucket_without_a_limit_admits_all(self, scene: Scene) -> None:
        await scene.add(*"abc", limits=("queue:default#7=k",))
        assert await scene.take() == ["a", "b", "c"]

    async def test_a_key_may_look_like_anything(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(KEYED, 1, keyed=True))
        for key in ("", "=", "a=b#c", "é \x00\x1f".replace("\x00", "")):
            await scene.add(f"1 {key}", f"2 {key}", key=key, limits=(f"{KEYED}={key}",))
        assert len(await scene.take()) == 4
        assert await scene.take() == []

    async def test_a_batch_sent_again_takes_no_place(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 2))
        await scene.add(*"abc", limits=(STEPS,))
        batch = Batch(9, 1, claims=[claim(1)], now=NOON)
        first, again = await scene.store.commit(batch), await scene.store.commit(batch)
        assert (len(first.served), list(again.served)) == (1, [])
        assert await scene.take() == ["b"]

    async def test_a_claim_that_only_parks_may_be_sent_again(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.add("a", "b", limits=(STEPS,))
        (job,) = await scene.claim(1)
        batch = Batch(9, 1, claims=[claim()], now=NOON)
        first, again = await scene.store.commit(batch), await scene.store.commit(batch)
        assert (list(first.jobs), again.repeated) == ([], True)
        await scene.finish(job)
        assert await scene.take() == ["b"]


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
        twice = limited._replace(events=[event(), event()], rows=[row(0), row(1)])
        asked: list[Claim] = [claim()]
        assert len((await scene.commit(twice, claims=asked)).jobs) == 1
