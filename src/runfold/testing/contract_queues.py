"""The contract of what people are told about queues and members."""

from __future__ import annotations

from runfold.flow.work import Gate
from runfold.ports import BucketUse, Holder, Item, Member, QueueState
from runfold.testing.contract_scene import NOON, OTHER, WORKER, Contract, Scene, after, event, row
from runfold.testing.contract_words import NEVER, at_once, in_any

QUEUE = "queue:default"


class QueueContract(Contract):
    """Listings."""

    async def test_an_empty_log_has_no_queues(self, scene: Scene) -> None:
        assert await scene.store.queues(now=NOON) == []
        await scene.start("a", row(kind="deadline", delay=5))
        assert await scene.store.queues(now=NOON) == []

    async def test_a_queue_says_where_its_jobs_are(self, scene: Scene) -> None:
        await scene.add("a", "b", "c")
        await scene.add("k1", "k2", limits=(f"{QUEUE}#0=k",))
        await scene.claim(1)
        paused = (await scene.add("p"))[0]
        await scene.record(Item([event()], paused, gate=Gate.PAUSED))
        await scene.start("later", row(kind="start", delay=5))
        await scene.start("elsewhere", row(queue="cpu"))
        assert await scene.store.queues(now=NOON) == [
            QueueState("cpu", 1, 0, 0, 0, None, (), ()),
            QueueState("default", 3, 2, 1, 1, None, (), ()),
        ]

    async def test_a_queue_says_what_limits_and_closes_it(self, scene: Scene) -> None:
        limits = (at_once(f"{QUEUE}#0", 3), in_any(0.5, f"{QUEUE}#1", 2, keyed=True))
        await scene.limit(QUEUE, *limits)
        await scene.limit("step:flow/step", at_once("step:flow/step#0", 1))
        await scene.close("queue:other", after(60))
        await scene.close("queue:forever", NEVER)
        await scene.close("queue:keys=b=c", after(30))
        await scene.close("queue:keys=a", NEVER)
        await scene.close("queue:keys#0=a", after(30))
        expected = [
            QueueState("default", 0, 0, 0, 0, None, (), limits),
            QueueState("forever", 0, 0, 0, 0, NEVER, (), ()),
            QueueState("keys", 0, 0, 0, 0, None, (("a", NEVER), ("b=c", after(30))), ()),
            QueueState("other", 0, 0, 0, 0, after(60), (), ()),
        ]
        assert await scene.store.queues(now=after(29)) == expected
        assert [queue.name for queue in await scene.store.queues(now=after(60))] == [
            "default", "forever", "keys",
        ]  # fmt: skip

    async def test_what_is_over_or_taken_away_is_not_told(self, scene: Scene) -> None:
        await scene.limit(QUEUE, at_once(f"{QUEUE}#0", 3))
        await scene.close(QUEUE, NEVER)
        await scene.limit(QUEUE)
        await scene.close(QUEUE, None)
        assert await scene.store.queues(now=NOON) == []

    async def test_what_counts_against_a_bucket_is_told(self, scene: Scene) -> None:
        full, rate = f"{QUEUE}#0", f"{QUEUE}#1"
        at_most, per_key = at_once(full, 2), in_any(60, rate, 1, keyed=True)
        await scene.limit(QUEUE, at_most, per_key)
        await scene.add("a", "b", "c", limits=(f"{rate}=k",))
        (job,) = await scene.claim(1, now=after(1))
        await scene.close(f"{QUEUE}=k", NEVER)
        await scene.close("queue:over", after(5))
        asked = (f"{rate}=k", full, f"{QUEUE}=k", "queue:over", "nothing")
        holder = Holder(job.stream, job.step, job.activation)
        assert await scene.store.usage(asked, now=after(10)) == [
            BucketUse(f"{rate}=k", per_key, None, (), (after(1),)),
            BucketUse(full, at_most, None, (holder,), ()),
            BucketUse(f"{QUEUE}=k", None, NEVER, (), ()),
            BucketUse("queue:over", None, None, (), ()),
            BucketUse("nothing", None, None, (), ()),
        ]
        assert (await scene.store.usage([f"{rate}=k"], now=after(61)))[0].starts == ()

    async def test_members_are_told_with_the_end_of_their_lease(self, scene: Scene) -> None:
        me, her = Member(WORKER, "me", "worker"), Member(OTHER, "her", "worker,dispatcher")
        assert await scene.store.members() == []
        await scene.store.join(me, 30, now=NOON)
        await scene.store.join(her, 60, now=NOON)
        assert await scene.store.members() == [(her, after(60)), (me, after(30))]
        await scene.store.leave(OTHER)
        await scene.store.renew(WORKER, 30, now=after(15))
        assert await scene.store.members() == [(me, after(45))]
