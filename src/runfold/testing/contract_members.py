"""The contract of ``Members``: leases end with their member, and one token leads."""

from __future__ import annotations

import asyncio

from runfold.ports import Item, Member, Refusal, Stalled, Store
from runfold.testing.contract_scene import (
    NOON,
    OTHER,
    WORKER,
    Contract,
    Scene,
    after,
    event,
    row,
)

ME, HER = Member(WORKER, "me", "worker"), Member(OTHER, "her", "worker,dispatcher")
"""Two processes."""


class MemberContract(Contract):
    """Leases by member."""

    async def test_a_living_member_keeps_its_jobs(self, scene: Scene) -> None:
        await scene.store.join(ME, 30, now=NOON)
        await scene.leased_job()
        assert await scene.store.stalled(10, now=after(29.9)) == []

    async def test_jobs_of_a_dead_member_are_stalled(self, scene: Scene) -> None:
        await scene.store.join(ME, 30, now=NOON)
        await scene.start("a", row(activation=2, attempt=3, queue="cpu", key="k"))
        await scene.claim(1, queue="cpu")
        assert await scene.store.stalled(10, now=after(30)) == [
            Stalled(1, 1, "step", 2, 3, "cpu", "k")
        ]

    async def test_only_the_dead_are_stalled(self, scene: Scene) -> None:
        await scene.store.join(ME, 30, now=NOON)
        await scene.store.join(HER, 90, now=NOON)
        await scene.leased_job("a")
        await scene.start("b", row())
        await scene.claim(1, token=OTHER)
        assert [job.id for job in await scene.store.stalled(10, now=after(60))] == [1]
        assert [job.id for job in await scene.store.stalled(10, now=after(90))] == [1, 3]
        assert len(await scene.store.stalled(1, now=after(90))) == 1

    async def test_renewing_keeps_the_jobs(self, scene: Scene) -> None:
        await scene.store.join(ME, 30, now=NOON)
        await scene.leased_job()
        assert await scene.store.renew(WORKER, 30, now=after(20))
        assert await scene.store.stalled(10, now=after(45)) == []

    async def test_leaving_gives_the_jobs_up(self, scene: Scene) -> None:
        await scene.store.join(ME, 30, now=NOON)
        await scene.leased_job()
        await scene.store.leave(WORKER)
        assert len(await scene.store.stalled(10, now=after(1))) == 1

    async def test_joining_again_begins_anew(self, scene: Scene) -> None:
        await scene.store.join(ME, 30, now=NOON)
        await scene.store.join(ME, 30, now=after(20))
        await scene.leased_job()
        assert await scene.store.stalled(10, now=after(45)) == []

    async def test_who_was_swept_cannot_renew(self, scene: Scene) -> None:
        await scene.store.join(ME, 30, now=NOON)
        await scene.store.join(HER, 90, now=NOON)
        assert await scene.store.expire(10, now=after(29)) == 0
        assert await scene.store.expire(10, now=after(30)) == 1
        assert not await scene.store.renew(WORKER, 30, now=after(31))
        assert await scene.store.renew(OTHER, 30, now=after(31))

    async def test_a_member_is_over_when_its_lease_is(self, scene: Scene) -> None:
        await scene.store.join(ME, 30, now=NOON)
        assert not (await scene.store.pending(sweeps=True, now=after(29.9))).over
        assert not (await scene.store.pending(now=after(30))).over
        assert (await scene.store.pending(sweeps=True, now=after(30))).over
        await scene.store.expire(10, now=after(30))
        assert not (await scene.store.pending(sweeps=True, now=after(31))).over

    async def test_a_job_of_nobody_is_over_until_it_is_recorded(self, scene: Scene) -> None:
        await scene.store.join(ME, 30, now=NOON)
        job = await scene.leased_job()
        assert not (await scene.store.pending(sweeps=True, now=NOON)).over
        await scene.store.leave(WORKER)
        assert (await scene.store.pending(sweeps=True, now=NOON)).over
        assert not (await scene.store.pending(now=NOON)).over
        await scene.record(Item([event("step.stalled")], stream=job.stream, stalled=job.id))
        assert not (await scene.store.pending(sweeps=True, now=NOON)).over

    async def test_a_stranger_cannot_renew(self, store: Store) -> None:
        assert not await store.renew(404, 30, now=NOON)

    async def test_a_renewer_renews_from_its_own_thread(self, store: Store) -> None:
        await store.join(ME, 60)
        renewer = store.renewer(WORKER, 60)
        assert await asyncio.to_thread(renewer.renew)
        await store.leave(WORKER)
        assert not await asyncio.to_thread(renewer.renew)
        await asyncio.to_thread(renewer.close)

    async def test_a_stalled_job_is_taken_and_a_late_completion_fenced(self, scene: Scene) -> None:
        await scene.store.join(ME, 30, now=NOON)
        job = await scene.leased_job()
        stalls = Item(
            [event("step.stalled"), event("step.retry")],
            stream=job.stream,
            stalled=job.id,
            rows=[row(1, attempt=2)],
        )
        completes = Item(
            [event("step.completed")], stream=job.stream, lease=(job.id, WORKER), frees=True
        )
        await scene.record(stalls, now=after(31))
        assert (await scene.attempt(completes, now=after(32))).refusal is Refusal.LEASE
        assert [j.attempt for j in await scene.claim(token=OTHER, now=after(32))] == [2]

    async def test_a_completion_before_the_sweep_counts(self, scene: Scene) -> None:
        await scene.store.join(ME, 30, now=NOON)
        job = await scene.leased_job()
        completes = Item(
            [event("step.completed")], stream=job.stream, lease=(job.id, WORKER), frees=True
        )
        await scene.record(completes, now=after(31))
        assert await scene.store.stalled(10, now=after(32)) == []


class LeaderContract(Contract):
    """The dispatcher lease."""

    async def test_one_token_leads(self, store: Store) -> None:
        assert await store.lead(WORKER, 30, now=NOON)
        assert not await store.lead(OTHER, 30, now=after(29))
        assert await store.lead(WORKER, 30, now=after(29))
        assert not await store.lead(OTHER, 30, now=after(58))

    async def test_a_lead_that_ran_out_is_taken_over(self, store: Store) -> None:
        assert await store.lead(WORKER, 30, now=NOON)
        assert await store.lead(OTHER, 30, now=after(30))
        assert not await store.lead(WORKER, 30, now=after(31))

    async def test_a_lead_that_was_given_back_is_free(self, store: Store) -> None:
        assert await store.lead(WORKER, 30, now=NOON)
        await store.resign(OTHER)
        assert not await store.lead(OTHER, 30, now=after(1))
        await store.resign(WORKER)
        assert await store.lead(OTHER, 30, now=after(1))

    async def test_a_token_that_was_overtaken_records_nothing(self, scene: Scene) -> None:
        run = await scene.start("a")
        await scene.store.lead(WORKER, 30, now=NOON)
        await scene.store.lead(OTHER, 30, now=after(30))
        decides = Item([event()], stream=run, leader=WORKER)
        assert (await scene.attempt(decides, now=after(31))).refusal is Refusal.LEADER
        assert await scene.store.head() == 1

    async def test_a_leader_decides_until_it_is_overtaken(self, scene: Scene) -> None:
        run = await scene.start("a")
        await scene.store.lead(WORKER, 30, now=NOON)
        await scene.record(Item([event()], stream=run, leader=WORKER), now=after(31))
