"""The contract of working rows: jobs, timers and gates follow what was recorded."""

from __future__ import annotations

from dataclasses import astuple

from runfold.flow.work import Gate
from runfold.ports import Change, Due, Item, Refusal
from runfold.testing.contract_scene import WORKER, Contract, Scene, after, claim, event, new, row


class RowContract(Contract):
    """Jobs and gates."""

    async def test_a_job_has_the_id_of_the_event_that_made_it(self, scene: Scene) -> None:
        await scene.start("a")
        await scene.record(new("b", event(), event(), event(), rows=[row(2), row(1)]))
        assert [job.id for job in await scene.claim()] == [3, 4]

    async def test_a_freed_job_is_gone(self, scene: Scene) -> None:
        job = await scene.leased_job()
        await scene.record(Item([event()], stream=job.stream, lease=(job.id, WORKER), frees=True))
        assert await scene.store.counts() == {}
        assert await scene.store.leased(WORKER) == []

    async def test_a_lease_is_kept_unless_freed(self, scene: Scene) -> None:
        job = await scene.leased_job()
        await scene.record(Item([event()], stream=job.stream, lease=(job.id, WORKER)))
        assert await scene.store.counts() == {"default": (0, 1)}

    async def test_drops_remove_jobs_and_timers_of_an_activation(self, scene: Scene) -> None:
        events = [event()] * 4
        run = (await scene.record(new("a", *events, rows=[
            row(0, activation=1), row(1, activation=2),
            row(2, "retry", activation=1, delay=9), row(3, "retry", activation=2, delay=9),
        ]))).stream  # fmt: skip
        await scene.start("b", row(activation=1))
        await scene.record(Item([event()], stream=run, drops=[("step", 1), ("other", 2)]))
        assert [job.id for job in await scene.claim()] == [2, 5]
        assert [timer.id for timer in await scene.store.due(9, now=after(99))] == [4]

    async def test_drops_remove_a_leased_job(self, scene: Scene) -> None:
        job = await scene.leased_job()
        await scene.record(Item([event()], stream=job.stream, drops=[("step", 1)]))
        assert await scene.store.leased(WORKER) == []

    async def test_an_activation_is_dropped_and_scheduled_again_at_once(self, scene: Scene) -> None:
        run = await scene.start("a", row())
        again = Item([event()], stream=run, drops=[("step", 1)], rows=[row(attempt=2)])
        await scene.record(again)
        assert [(job.id, job.attempt) for job in await scene.claim()] == [(2, 2)]

    async def test_a_changed_job_keeps_its_place(self, scene: Scene) -> None:
        first, _ = await scene.add("a", "b")
        change = Change(first, "c")
        await scene.record(Item([event()], stream=first, changes=[change]))
        assert await scene.take() == ["c", "b"]

    async def test_a_changed_job_is_claimed_as_it_is_then_in_one_batch(self, scene: Scene) -> None:
        (run,) = await scene.add("a")
        item = Item([event()], stream=run, version=1, changes=[Change(run, "b")])
        assert (await scene.commit(item, claims=[claim()])).jobs[0].inputs == "b"
        item = Item([event()], stream=run, version=2, changes=[Change(run, "c")])
        assert (await scene.attempt(item)).refusal == Refusal.VERSION
        assert [job.inputs for job in await scene.store.leased(WORKER)] == ["b"]

    async def test_a_changed_job_keeps_its_place_in_its_lane(self, scene: Scene) -> None:
        runs = await scene.add("a", "b", "c", limits=("queue:default#1:k=x",))
        for run, inputs in zip(runs, "def", strict=True):
            await scene.record(Item([event()], stream=run, changes=[Change(run, inputs)]))
        assert await scene.take() == ["d", "e", "f"]

    async def test_a_changed_timer_is_due_then_and_becomes_what_it_is(self, scene: Scene) -> None:
        run = await scene.start("a", row(0, "start", due_at=after(5), inputs="a"))
        other = await scene.start("b", row(0, "start", due_at=after(6), inputs="b"))
        for change in (Change(run, "c"), Change(run, None, delay=7), Change(other, "d", after(8))):
            stream = change.id
            await scene.record(Item([event()], stream=stream, changes=[change]), now=after(3))
        assert (await scene.store.pending(now=after(3))).due == 5
        due = [timer.id for timer in await scene.store.due(9, now=after(10))]
        assert due == [other, run]
        early = Item([event("timer.due")], stream=run, timer=run)
        assert (await scene.attempt(early, now=after(9))).refusal == Refusal.TIMER
        for stream in (run, other):
            fired = Item([event("timer.due")], stream=stream, timer=stream)
            await scene.record(fired, now=after(10))
        assert await scene.take(now=after(10)) == ["c", "d"]

    async def test_a_change_of_what_is_gone_changes_nothing(self, scene: Scene) -> None:
        run = await scene.start("a", row(inputs="a"))
        await scene.record(Item([event()], stream=run, changes=[Change(99, "b", after(1))]))
        assert await scene.take() == ["a"]
        assert await scene.store.open_timers() == 0

    async def test_clears_remove_everything_of_the_run(self, scene: Scene) -> None:
        run = (await scene.record(new("a", event(), event(), event(), rows=[
            row(0), row(1, activation=2), row(2, "deadline", delay=9),
        ]))).stream  # fmt: skip
        await scene.start("b", row())
        await scene.claim(1)
        await scene.record(Item([event("flow.completed")], stream=run, clears=True))
        assert await scene.store.leased(WORKER) == []
        assert await scene.store.open_timers() == 0
        assert await scene.store.counts() == {"default": (1, 0)}

    async def test_a_paused_run_is_not_claimed(self, scene: Scene) -> None:
        run = await scene.start("a", row())
        await scene.record(Item([event("flow.paused")], stream=run, gate=Gate.PAUSED))
        assert await scene.claim() == []
        assert await scene.store.counts() == {}

    async def test_a_resumed_run_goes_to_the_end_of_the_line(self, scene: Scene) -> None:
        run = await scene.start("a", row())
        await scene.start("b", row())
        await scene.record(Item([event("flow.paused")], stream=run, gate=Gate.PAUSED))
        await scene.record(Item([event("flow.resumed")], stream=run, gate=Gate.OPEN))
        assert [job.id for job in await scene.claim()] == [2, 1]

    async def test_what_a_paused_run_schedules_waits_for_its_resume(self, scene: Scene) -> None:
        run = await scene.start("a")
        await scene.record(Item([event("flow.paused")], stream=run, gate=Gate.PAUSED))
        await scene.record(Item([event("step.scheduled")], stream=run, rows=[row()]))
        assert await scene.claim() == []
        await scene.record(Item([event("flow.resumed")], stream=run, gate=Gate.OPEN))
        assert [job.id for job in await scene.claim()] == [3]

    async def test_pausing_again_and_resuming_twice_changes_nothing(self, scene: Scene) -> None:
        run = await scene.start("a", row())
        await scene.record(Item([event()], stream=run, gate=Gate.PAUSED))
        await scene.record(Item([event()], stream=run, gate=Gate.PAUSED))
        await scene.record(Item([event()], stream=run, gate=Gate.OPEN))
        await scene.record(Item([event()], stream=run, gate=Gate.OPEN))
        assert [job.id for job in await scene.claim()] == [1]
        assert await scene.claim() == []

    async def test_a_pause_leaves_leases_alone(self, scene: Scene) -> None:
        job = await scene.leased_job()
        await scene.record(Item([event()], stream=job.stream, gate=Gate.PAUSED))
        assert await scene.store.counts() == {"default": (0, 1)}
        await scene.record(Item([event()], stream=job.stream, gate=Gate.OPEN))
        assert await scene.claim() == []
        await scene.record(Item([event()], stream=job.stream, lease=(job.id, WORKER)))

    async def test_a_closed_run_is_not_claimed_but_its_compensations_are(
        self, scene: Scene
    ) -> None:
        run = await scene.start("a", row())
        await scene.record(Item([event()], stream=run, gate=Gate.CLOSED))
        assert await scene.claim() == []
        compensates = Item(
            [event()],
            stream=run,
            gate=Gate.COMPENSATING,
            drops=[("step", 1)],
            rows=[row(step="other")],
        )
        await scene.record(compensates)
        assert [job.step for job in await scene.claim()] == ["other"]

    async def test_a_run_that_starts_paused_waits(self, scene: Scene) -> None:
        await scene.record(new("a", rows=[row()], gate=Gate.PAUSED))
        assert await scene.claim() == []

    async def test_a_holder_sees_the_gates_of_its_runs(self, scene: Scene) -> None:
        job, other = await scene.leased_job("a"), await scene.leased_job("b")
        await scene.record(Item([event()], stream=job.stream, gate=Gate.CLOSED))
        assert await scene.store.held(WORKER) == {job.id: Gate.CLOSED, other.id: Gate.OPEN}
        assert await scene.store.held(99) == {}


class TimerContract(Contract):
    """What happens later."""

    async def test_a_timer_is_no_job_before_it_is_due(self, scene: Scene) -> None:
        await scene.start("a", row(kind="start", delay=60))
        assert await scene.claim() == []
        assert await scene.store.counts() == {}
        assert await scene.store.open_timers() == 1

    async def test_a_due_timer_says_what_it_is(self, scene: Scene) -> None:
        await scene.start("a", row(
            kind="retry", delay=60, activation=2, attempt=3, queue="cpu", key="k",
        ))  # fmt: skip
        assert await scene.store.due(10, now=after(59)) == []
        assert await scene.store.due(10, now=after(60)) == [
            Due(1, 1, "retry", "step", 2, 3, "cpu", "k")
        ]

    async def test_timers_are_due_soonest_first(self, scene: Scene) -> None:
        await scene.start("a", row(kind="start", due_at=after(30)))
        await scene.start("b", row(kind="start", due_at=after(10)))
        await scene.start("c", row(kind="start", due_at=after(20)))
        await scene.start("d", row(kind="start", due_at=after(40)))
        assert [timer.id for timer in await scene.store.due(9, now=after(30))] == [2, 3, 1]
        assert [timer.id for timer in await scene.store.due(2, now=after(30))] == [2, 3]

    async def test_a_delay_counts_from_the_commit(self, scene: Scene) -> None:
        await scene.start("a", row(kind="start", delay=1.5), now=after(100))
        assert await scene.store.due(9, now=after(101.4)) == []
        assert len(await scene.store.due(9, now=after(101.5))) == 1

    async def test_a_moment_wins_over_a_delay(self, scene: Scene) -> None:
        await scene.start("a", row(kind="start", due_at=after(10), delay=99))
        assert len(await scene.store.due(9, now=after(10))) == 1

    async def test_the_next_due_time_is_told_in_seconds(self, scene: Scene) -> None:
        assert (await scene.store.pending(now=after(0))).due is None
        await scene.start("a", row(kind="start", due_at=after(30)))
        await scene.start("b", row(kind="start", due_at=after(10)))
        assert (await scene.store.pending(now=after(0))).due == 10
        assert (await scene.store.pending(now=after(9.5))).due == 0.5
        assert (await scene.store.pending(now=after(99))).due == 0

    async def test_a_due_start_becomes_a_job_of_the_fact_that_says_so(self, scene: Scene) -> None:
        later = row(
            kind="retry", delay=5, activation=2, attempt=3, queue="cpu", priority=9, key="k",
            inputs='["x"]',
        )  # fmt: skip
        run = await scene.start("a", later)
        fact = Item([event("timer.due"), event()], stream=run, timer=run)
        assert (await scene.record(fact, now=after(5))).position == 2
        (job,) = await scene.claim(queue="cpu", now=after(5))
        assert astuple(job)[:11] == (
            2, run, job.run_id, "flow", "step", 2, 3, "cpu", 9, "k", '["x"]',
        )  # fmt: skip
        assert await scene.store.open_timers() == 0

    async def test_a_deadline_becomes_no_job(self, scene: Scene) -> None:
        run = await scene.start("a", row(kind="deadline", delay=5))
        await scene.record(Item([event("timer.due")], stream=run, timer=run), now=after(5))
        assert await scene.claim() == []
        assert await scene.store.open_timers() == 0

    async def test_what_comes_due_in_a_paused_run_waits_for_its_resume(self, scene: Scene) -> None:
        run = await scene.start("a", row(kind="start", delay=5))
        await scene.record(Item([event()], stream=run, gate=Gate.PAUSED))
        await scene.record(Item([event("timer.due")], stream=run, timer=run), now=after(5))
        assert await scene.claim(now=after(5)) == []
        await scene.record(Item([event()], stream=run, gate=Gate.OPEN), now=after(6))
        assert [job.id for job in await scene.claim(now=after(6))] == [3]

    async def test_a_job_and_a_timer_of_one_event_live_side_by_side(self, scene: Scene) -> None:
        run = await scene.start("a", row(), row(kind="deadline", step="", activation=0, delay=5))
        job = (await scene.claim(1))[0]
        await scene.record(Item([event()], stream=run, lease=(job.id, WORKER), frees=True))
        assert await scene.store.open_timers() == 1
