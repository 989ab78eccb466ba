"""The contract of claims: the best ready jobs, each to one claimer, with its event."""

from __future__ import annotations

import asyncio

from runfold.ports import Item, Job, Store, Stored
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
        assert job[:-1] == (
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


async def _race(store: Store, twin: Store, claimers: int) -> list[int]:
    """Return the ids that so many claims at once were given, sorted."""
    scenes = [Scene((store, twin)[n % 2], appender=n) for n in range(claimers)]
    given = await asyncio.gather(*[scene.claim(1, token=scene.appender) for scene in scenes])
    return sorted(job.id for jobs in given for job in jobs)
