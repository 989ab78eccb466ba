"""The contract of limits: never one leased job more, and no place unused."""

from __future__ import annotations

from runfold.flow.work import Gate
from runfold.ports import Batch, Item, Member, Refusal
from runfold.testing.contract_scene import (
    NOON,
    OTHER,
    WORKER,
    Contract,
    Scene,
    after,
    claim,
    event,
    row,
)
from runfold.testing.contract_words import ALL, KEYED, QUEUE, STEP, STEPS, at_once, in_any


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
        await scene.meet(WORKER)
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
