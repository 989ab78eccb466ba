"""The contract of guards: an item takes effect whole, or is refused and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from runfold.flow.work import ACCEPTING, Gate
from runfold.ports import Item, Member, Outcome, Refusal
from runfold.testing.contract_scene import (
    NOON,
    OTHER,
    WORKER,
    Contract,
    Scene,
    after,
    event,
    new,
    row,
)


class GuardContract(Contract):
    """Each refusal, and their order."""

    async def test_an_id_is_taken_once(self, scene: Scene) -> None:
        run = await scene.start("a")
        before = await scene.everything()
        assert await scene.attempt(new("a")) == Outcome(Refusal.EXISTS, run)
        assert await scene.everything() == before

    async def test_an_id_is_taken_once_within_a_batch(self, scene: Scene) -> None:
        done = await scene.commit(new("b"), new("a"), new("a"))
        assert done.outcomes == [Outcome(None, 1, 1, 1), Outcome(None, 2, 2, 1),
                                 Outcome(Refusal.EXISTS, 2)]  # fmt: skip

    async def test_an_id_stays_taken_after_the_end(self, scene: Scene) -> None:
        run = await scene.start("a")
        await scene.record(Item([event("flow.completed")], stream=run, clears=True))
        assert await scene.attempt(new("a")) == Outcome(Refusal.EXISTS, run)

    async def test_a_stream_must_be_there(self, scene: Scene) -> None:
        await scene.start("a")
        assert await scene.attempt(Item([event()], stream=7)) == Outcome(Refusal.MISSING)

    async def test_a_leader_must_hold_the_lease(self, scene: Scene) -> None:
        run = await scene.start("a")
        item = Item([event()], stream=run, leader=WORKER)
        assert (await scene.attempt(item)).refusal is Refusal.LEADER
        assert await scene.store.lead(OTHER, 30, now=NOON)
        assert (await scene.attempt(item)).refusal is Refusal.LEADER
        await scene.store.resign(OTHER)
        assert await scene.store.lead(WORKER, 30, now=NOON)
        assert (await scene.attempt(item)).refusal is None

    async def test_a_worker_must_hold_the_job(self, scene: Scene) -> None:
        run = await scene.start("a", row())
        assert await _refused_lease(scene, run, 1, WORKER)
        job = (await scene.claim(1))[0]
        assert await _refused_lease(scene, run, job.id, OTHER)
        assert await _refused_lease(scene, run, job.id + 1, WORKER)
        assert not await _refused_lease(scene, run, job.id, WORKER)

    async def test_a_job_is_freed_once(self, scene: Scene) -> None:
        job = await scene.leased_job()
        done = Item([event()], stream=job.stream, lease=(job.id, WORKER), frees=True)
        assert (await scene.attempt(done)).refusal is None
        assert (await scene.attempt(done)).refusal is Refusal.LEASE

    async def test_a_timer_must_be_there_and_due(self, scene: Scene) -> None:
        run = await scene.start("a", row(kind="deadline", delay=60))
        item = Item([event("timer.due")], stream=run, timer=run)
        assert (await scene.attempt(item, now=after(59.9))).refusal is Refusal.TIMER
        assert (await scene.attempt(item, now=after(60))).refusal is None
        assert (await scene.attempt(item, now=after(61))).refusal is Refusal.TIMER

    async def test_a_stalled_job_must_have_lost_its_member(self, scene: Scene) -> None:
        await scene.store.join(Member(WORKER, "w", "worker"), 30, now=NOON)
        job = await scene.leased_job()
        item = Item([event("step.stalled")], stream=job.stream, stalled=job.id)
        assert (await scene.attempt(item, now=after(29))).refusal is Refusal.TIMER
        assert (await scene.attempt(item, now=after(31))).refusal is None
        assert (await scene.attempt(item, now=after(32))).refusal is Refusal.TIMER

    async def test_a_ready_job_is_not_stalled(self, scene: Scene) -> None:
        run = await scene.start("a", row())
        item = Item([event("step.stalled")], stream=run, stalled=run)
        assert (await scene.attempt(item)).refusal is Refusal.TIMER

    async def test_a_row_of_the_inbox_must_be_there(self, scene: Scene) -> None:
        assert (await scene.attempt(new("a", inbox=1))).refusal is Refusal.TIMER
        assert await scene.store.head() == 0

    @pytest.mark.parametrize("end", ["flow.completed", "flow.failed", "flow.cancelled"])
    async def test_ends_are_final(self, scene: Scene, end: str) -> None:
        run = await scene.start("a")
        await scene.record(Item([event(), event(end)], stream=run, clears=True))
        assert (await scene.attempt(Item([event()], stream=run))).refusal is Refusal.ENDED
        assert await scene.store.head() == 3

    async def test_a_gate_lets_through_what_the_mask_says(self, scene: Scene) -> None:
        run = await scene.start("a")
        await scene.record(Item([event()], stream=run, gate=Gate.CLOSED))
        asks = Item([event()], stream=run, gates=ACCEPTING)
        closed = Item([event()], stream=run, gates=1 << Gate.CLOSED)
        assert (await scene.attempt(asks)).refusal is Refusal.GATE
        assert (await scene.attempt(closed)).refusal is None

    async def test_the_gate_of_a_new_run_is_open(self, scene: Scene) -> None:
        assert (await scene.attempt(new("a", gates=1 << Gate.OPEN))).refusal is None

    async def test_a_version_must_be_exact(self, scene: Scene) -> None:
        run = (await scene.record(new("a", event(), event()))).stream
        for version in (0, 1, 3):
            wrong = Item([event()], stream=run, version=version)
            assert (await scene.attempt(wrong)).refusal is Refusal.VERSION
        assert (await scene.attempt(Item([event()], stream=run, version=2))).version == 3

    async def test_the_first_broken_guard_is_the_answer(self, scene: Scene) -> None:
        taken = await scene.start("taken")
        ended = (await scene.record(new("ended", event("flow.failed"), gate=Gate.CLOSED))).stream
        shut = (await scene.record(new("shut", gate=Gate.CLOSED))).stream
        late: dict[str, Any] = {"gates": ACCEPTING, "version": 9}
        gone: dict[str, Any] = {"timer": 5, **late}
        lost: dict[str, Any] = {"lease": (5, WORKER), **gone}
        stale: dict[str, Any] = {"leader": OTHER, **lost}
        done = await scene.commit(
            new("taken", **stale),
            Item([event()], stream=99, **stale),
            Item([event()], stream=ended, **stale),
            Item([event()], stream=ended, **lost),
            Item([event()], stream=ended, **gone),
            Item([event()], stream=ended, **late),
            Item([event()], stream=shut, **late),
            Item([event()], stream=taken, **late),
        )
        assert [outcome.refusal for outcome in done.outcomes] == list(Refusal)

    async def test_a_refused_item_changes_nothing(self, scene: Scene) -> None:
        run = await scene.start("a", row(), row(kind="deadline", delay=60))
        job = (await scene.claim(1))[0]
        before = await scene.everything()
        refused = await scene.attempt(
            Item(
                [event("flow.completed"), event()],
                stream=run,
                version=99,
                lease=(job.id, WORKER),
                frees=True,
                rows=[row(1, step="other", activation=2)],
                drops=[("step", 1)],
                clears=True,
                gate=Gate.CLOSED,
            )
        )
        assert refused == Outcome(Refusal.VERSION)
        assert await scene.everything() == before

    async def test_a_refused_item_leaves_the_others_alone(self, scene: Scene) -> None:
        run = await scene.start("a")
        done = await scene.commit(
            Item([event(), event()], stream=run),
            Item([event()], stream=99),
            new("b", rows=[row()]),
            Item([event()], stream=run),
        )
        assert [outcome.position for outcome in done.outcomes] == [2, 0, 4, 5]
        assert await scene.store.counts() == {"default": (1, 0)}

    async def test_guards_see_the_log_as_it_was_before_the_batch(self, scene: Scene) -> None:
        run = await scene.start("a")
        done = await scene.commit(
            Item([event()], stream=run, version=1), Item([event()], stream=run, version=1)
        )
        assert done.outcomes == [Outcome(None, run, 2, 2), Outcome(None, run, 3, 3)]

    async def test_a_batch_of_nothing_but_refusals_records_nothing(self, scene: Scene) -> None:
        done = await scene.commit(Item([event()], stream=5), Item([event()], stream=6))
        assert [outcome.refusal for outcome in done.outcomes] == [Refusal.MISSING] * 2
        assert (done.first_position, await scene.store.head()) == (0, 0)


async def _refused_lease(scene: Scene, run: int, job: int, token: int) -> bool:
    refusal = (await scene.attempt(Item([event()], stream=run, lease=(job, token)))).refusal
    assert refusal in {None, Refusal.LEASE}
    return refusal is Refusal.LEASE
