"""The contract of claims: the best ready jobs, each to one claimer, with its event."""

from __future__ import annotations

import asyncio
from dataclasses import astuple

from runfold.ports import Batch, Item, Job, Limit, Served, Store, Stored
from runfold.testing.contract_scene import (
    NOON,
    OTHER,
    WORKER,
    Contract,
    Scene,
    after,
    claim,
    event,
    key_of,
    member,
    new,
    row,
)


class ClaimContract(Contract):
    """Who gets which job."""

    async def test_nothing_ready_is_no_job_and_no_event(self, scene: Scene) -> None:
        await scene.start("a")
        done = await scene.commit(claims=[claim()])
        assert (list(done.jobs), done.first_position, await scene.store.head()) == ([], 0, 1)

    async def test_a_claimed_job_is_complete(self, scene: Scene) -> None:
        full = row(activation=2, attempt=3, queue="cpu", priority=9, key="k", inputs="[1]")
        run = await scene.start("a", full)
        assert await scene.claim(queue="cpu", now=after(1)) == [
            Job(1, run, key_of("a"), "flow", "step", 2, 3, "cpu", 9, "k", "[1]", 2, 2, after(1))
        ]

    async def test_a_claim_is_recorded_in_the_stream_of_its_run(self, scene: Scene) -> None:
        run = await scene.start("a", row(activation=2, attempt=3, key="k"))
        await scene.claim(state=b'{"worker":"me"}', now=after(1))
        assert (await scene.store.read_stream(run))[1:] == [
            Stored(2, run, 2, after(1), "step.started", b'{"worker":"me"}', "step", 2, 3, "k", None)
        ]

    async def test_the_best_priority_is_served_first(self, scene: Scene) -> None:
        await scene.start("low", row(priority=1))
        await scene.start("high", row(priority=10))
        await scene.start("middle", row(priority=5))
        assert [job.priority for job in await scene.claim()] == [10, 5, 1]

    async def test_equals_are_served_in_the_order_they_became_ready(self, scene: Scene) -> None:
        await scene.commit(*[new(name, rows=[row()]) for name in "abcde"])
        assert [job.id for job in await scene.claim(2)] == [1, 2]
        assert [job.id for job in await scene.claim(2)] == [3, 4]

    async def test_a_claim_takes_no_more_than_its_limit(self, scene: Scene) -> None:
        await scene.commit(*[new(name, rows=[row()]) for name in "abc"])
        assert await scene.claim(0) == []
        assert len(await scene.claim(2)) == 2
        assert await scene.store.counts() == {"default": (1, 2)}

    async def test_a_claim_looks_at_one_queue(self, scene: Scene) -> None:
        await scene.start("a", row(queue="cpu"))
        assert await scene.claim(queue="default") == []
        assert len(await scene.claim(queue="cpu")) == 1

    async def test_a_claim_takes_only_its_targets(self, scene: Scene) -> None:
        await scene.start("a", row(step="other", priority=10))
        await scene.start("b", row(flow="another"))
        await scene.start("c", row())
        found = await scene.claim(targets=[("flow", "step"), ("another", "other")])
        assert [job.id for job in found] == [3]
        assert await scene.claim(targets=[]) == []

    async def test_jobs_without_a_taker_do_not_hide_the_others(self, scene: Scene) -> None:
        await scene.commit(*[new(f"x{n}", rows=[row(step="gone")]) for n in range(30)])
        await scene.start("a", row())
        assert [job.id for job in await scene.claim(1)] == [31]

    async def test_a_claim_sees_the_jobs_of_its_own_batch(self, scene: Scene) -> None:
        done = await scene.commit(new("a", rows=[row()]), claims=[claim()])
        assert [(job.id, job.position, job.version) for job in done.jobs] == [(1, 2, 2)]

    async def test_events_of_claims_follow_those_of_items(self, scene: Scene) -> None:
        await scene.start("a", row())
        done = await scene.commit(new("b", event(), event(), rows=[row(1)]), claims=[claim()])
        assert done.first_position == 2
        assert [(job.id, job.position) for job in done.jobs] == [(1, 4), (3, 5)]

    async def test_jobs_of_one_run_are_started_one_after_the_other(self, scene: Scene) -> None:
        events = [event(), event()]
        rows = [row(0, activation=1), row(1, activation=2)]
        await scene.record(new("a", *events, rows=rows))
        assert [(job.activation, job.version) for job in await scene.claim()] == [(1, 3), (2, 4)]

    async def test_two_claims_of_one_batch_take_different_jobs(self, scene: Scene) -> None:
        await scene.commit(*[new(name, rows=[row()]) for name in "abc"])
        done = await scene.commit(claims=[claim(2, WORKER), claim(2, OTHER)])
        assert [job.id for job in done.jobs] == [1, 2, 3]
        assert [job.id for job in await scene.store.leased(WORKER)] == [1, 2]
        assert [job.id for job in await scene.store.leased(OTHER)] == [3]

    async def test_a_claim_starts_at_its_floors(self, scene: Scene) -> None:
        await scene.start("a", row(priority=10))
        await scene.start("b", row(priority=5))
        await scene.start("c", row(priority=5))
        floors = [2, *[0] * 4, 3, *[0] * 4]
        assert [job.id for job in await scene.claim(floors=floors)] == [3]

    async def test_a_leased_job_is_known_to_its_holder(self, scene: Scene) -> None:
        run = await scene.start("a", row(inputs="[1]"))
        await scene.claim()
        (job,) = await scene.store.leased(WORKER)
        assert astuple(job)[:-1] == (
            1, run, key_of("a"), "flow", "step", 1, 1, "default", 5, None, "[1]", 0, 0,
        )  # fmt: skip
        assert await scene.store.leased(OTHER) == []

    async def test_counts_are_by_queue(self, scene: Scene) -> None:
        await scene.commit(*[new(name, rows=[row(queue="cpu")]) for name in "abc"])
        await scene.start("d", row())
        await scene.claim(1, queue="cpu")
        assert await scene.store.counts() == {"cpu": (2, 1), "default": (1, 0)}

    async def test_ten_claimers_of_one_job(self, store: Store, twin: Store) -> None:
        await Scene(store, 99).start("a", row())
        assert await _race(store, twin, claimers=10) == [1]

    async def test_fifteen_claims_of_five_jobs(self, store: Store, twin: Store) -> None:
        await Scene(store, 99).commit(*[new(name, rows=[row()]) for name in "abcde"])
        assert await _race(store, twin, claimers=15) == [1, 2, 3, 4, 5]

    async def test_a_retry_is_a_new_job_at_the_end_of_the_line(self, scene: Scene) -> None:
        job = await scene.leased_job("a")
        await scene.start("b", row())
        fails = Item(
            [event("step.errored"), event("step.retry")],
            stream=job.stream,
            lease=(job.id, WORKER),
            frees=True,
            rows=[row(1, attempt=2)],
        )
        await scene.record(fails, now=NOON)
        assert [(job.stream, job.attempt) for job in await scene.claim()] == [(3, 1), (1, 2)]


class ClaimerContract(Contract):
    """Only members claim: what nobody would be found to hold is not given away."""

    async def test_a_claim_of_nobody_takes_nothing(self, scene: Scene) -> None:
        await scene.start("a", row())
        stranger = Batch(404, 1, claims=[claim(token=404, floors=[1] * 10)], now=NOON)
        done = await scene.store.commit(stranger)
        assert (list(done.jobs), list(done.served)) == ([], [Served((1,) * 10, None, False)])
        assert await scene.store.head() == 1
        assert [job.id for job in await scene.claim()] == [1]

    async def test_who_was_swept_takes_nothing(self, scene: Scene) -> None:
        await scene.store.join(member(WORKER), 30, now=NOON)
        await scene.start("a", row())
        await scene.start("b", row())
        assert len(await scene.claim(1, now=after(31))) == 1  # Until the sweep it is one.
        await scene.store.expire(10, now=after(31))
        assert await scene.claim(now=after(31)) == []
        assert not (await scene.served(now=after(31))).is_member
        assert await scene.store.counts() == {"default": (1, 1)}

    async def test_who_has_left_takes_nothing_until_it_joins_again(self, scene: Scene) -> None:
        await scene.start("a", row())
        await scene.meet(WORKER)
        await scene.store.leave(WORKER)
        assert await scene.claim() == []
        await scene.store.join(member(WORKER), 30, now=NOON)
        assert (await scene.served()).is_member
        assert len(await scene.store.leased(WORKER)) == 1

    async def test_claims_of_others_in_the_batch_are_served(self, scene: Scene) -> None:
        await scene.meet(OTHER)
        await scene.store.leave(OTHER)
        jobs = [new(name, rows=[row()]) for name in "ab"]
        done = await scene.commit(*jobs, claims=[claim(1, OTHER), claim(1)])
        assert [told.is_member for told in done.served] == [False, True]
        assert [job.id for job in done.jobs] == [1]
        assert await scene.store.leased(OTHER) == []

    async def test_a_member_of_a_neighbour_is_none(self, scene: Scene) -> None:
        await scene.start("a", row())
        await scene.meet(WORKER)
        neighbour = scene.store.attach("neighbour")
        await neighbour.open()
        try:
            other = Batch(7, 1, [new("a", rows=[row()])], [claim(1)], NOON)
            assert list((await neighbour.commit(other)).jobs) == []
        finally:
            await neighbour.close()

    async def test_lanes_and_alarms_stay_as_they_are(self, scene: Scene) -> None:
        bucket = "queue:default#1"
        await scene.limit("queue:default", Limit(bucket, "rate", 1, 10.0, False))
        await scene.add("a", "b", limits=("step:flow/step#1:k=x",))
        await scene.meet(WORKER)
        await scene.store.leave(WORKER)
        told = await scene.served()
        assert (told.is_member, told.wait) == (False, None)
        assert await scene.take(5, token=OTHER) == ["a"]


async def _race(store: Store, twin: Store, claimers: int) -> list[int]:
    """Return the ids that so many claims at once were given, sorted."""
    scenes = [Scene((store, twin)[n % 2], appender=n) for n in range(claimers)]
    given = await asyncio.gather(*[scene.claim(1, token=scene.appender) for scene in scenes])
    return sorted(job.id for jobs in given for job in jobs)
