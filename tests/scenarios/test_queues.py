"""``rf.queues``: what waits where, pausing it, and limits that are said at run time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runfold import Concurrency, InvalidInput, Queue, RateLimit, Runfold
from runfold.client.queues import LimitInfo, QueueInfo
from scenarios.floor import Floor, done
from scenarios.scene import finished, scenario


def mail(floor: Floor | None = None, **options: Any) -> Queue:
    queue = Queue("mail", **options)

    @queue.job()
    async def send(data: Any) -> Any:
        if floor is not None:
            await floor.visit(data)
        return data

    return queue


@scenario
async def test_queues_say_how_many_jobs_are_where(url: str) -> None:
    floor = Floor()
    async with Runfold(url, queues=[mail(floor, concurrency=2), Queue("idle")]) as rf:
        assert (await rf.queues.list())[0].name == "mail"
        assert await rf.queues.stats("mail") == QueueInfo(
            "mail", limits=(LimitInfo("concurrency", 2, None, keyed=False),)
        )
        runs = await rf.start_many("mail/send", list(range(5)))
        later = await rf.start("mail/send", 5, delay=3600)
        await floor.holds(2)
        one = await rf.queues.stats("mail")
        assert (one.leased, one.ready + one.blocked, one.delayed) == (2, 3, 1)
        floor.free.set()
        await done(runs)
        one = await rf.queues.stats("mail")
        assert (one.leased, one.ready, one.blocked, one.delayed) == (0, 0, 0, 1)
        await later.cancel()
        assert await rf.queues.stats("never-used") == QueueInfo("never-used")


@scenario
async def test_a_paused_queue_stays_paused_for_everybody_until_it_is_resumed(
    shared_url: str,
) -> None:
    async with Runfold(shared_url, queues=[mail()]) as rf:
        before = await finished(rf, "mail/send", 0)
        await rf.queues.pause("mail")
        run = await rf.start("mail/send", 1)
        await rf.run_until_idle()
        assert await run.status() == "running"
        assert (await rf.queues.stats("mail")).paused
    async with Runfold(shared_url, queues=[mail()]) as rf, Runfold(shared_url).connect() as other:
        again = await rf.get(run.id)
        await rf.run_until_idle()
        assert (await again.state()).started_at is None
        [listed] = await other.queues.list()
        assert (listed.name, listed.paused, listed.paused_until) == ("mail", True, None)
        await other.queues.resume(mail())
        assert await again.result(timeout=10) == 1
        await other.queues.resume("mail")
        assert not (await other.queues.stats("mail")).paused
        types = [e.type async for e in other.events(types=["queue.paused", "queue.resumed"])]
        assert types == ["queue.paused", "queue.resumed"]
    assert before.id != run.id


@scenario
async def test_what_runs_goes_on_while_its_queue_is_paused(url: str) -> None:
    floor = Floor()
    async with Runfold(url, queues=[mail(floor)]) as rf:
        inside = await rf.start("mail/send", 1)
        await floor.holds(1)
        await rf.queues.pause("mail")
        waiting = await rf.start("mail/send", 2)
        floor.free.set()
        assert await inside.result(timeout=10) == 1
        await rf.run_until_idle()
        assert (await waiting.state()).started_at is None
        await waiting.cancel()
        await rf.run_until_idle()
        assert await waiting.status() == "cancelled"
    assert floor.order == [1]


@scenario
async def test_a_queue_goes_on_by_itself_when_its_pause_is_over(url: str) -> None:
    async with Runfold(url, queues=[mail()]) as rf:
        until = datetime.now(UTC) + timedelta(seconds=0.7)
        await rf.queues.pause("mail", until=until)
        run = await rf.start("mail/send", 1)
        assert (await rf.queues.stats("mail")).paused_until is not None
        assert await run.result(timeout=10) == 1
        started = (await run.state()).started_at
        assert started is not None
        assert started >= until


@pytest.mark.parametrize("key", [None, "zoe"])
@scenario
async def test_a_pause_may_be_made_shorter(url: str, key: str | None) -> None:
    queue = mail(limits=[Concurrency(5, key="to")])
    async with Runfold(url, queues=[queue]) as rf:
        await rf.queues.pause("mail", key=key)
        run = await rf.start("mail/send", {"to": "zoe"})
        await rf.run_until_idle()
        assert (await run.state()).started_at is None
        until = datetime.now(UTC) + timedelta(seconds=0.3)
        await rf.queues.pause("mail", key=key, until=until)
        await run.result(timeout=10)


@scenario
async def test_one_key_of_a_queue_is_paused_alone(url: str) -> None:
    queue = mail(limits=[Concurrency(5, key="to")])
    async with Runfold(url, queues=[queue]) as rf:
        await rf.queues.pause("mail", key="zoe")
        zoe, adam = await rf.start_many("mail/send", [{"to": "zoe"}, {"to": "adam"}])
        await adam.result(timeout=10)
        await rf.run_until_idle()
        assert (await zoe.state()).started_at is None
        one = await rf.queues.stats("mail")
        assert (one.paused, dict(one.paused_keys)) == (False, {"zoe": None})
        await rf.queues.resume("mail", key="zoe")
        await zoe.result(timeout=10)
        assert (await rf.queues.stats("mail")).paused_keys == {}


@scenario
async def test_limits_are_said_at_run_time(url: str) -> None:
    floor = Floor()
    async with Runfold(url, queues=[mail(floor)]) as rf:
        await rf.queues.limit("mail", Concurrency(1))
        runs = await rf.start_many("mail/send", list(range(4)))
        await floor.holds(1)
        await rf.queues.limit("mail", [Concurrency(3), RateLimit(100, 60)])
        await floor.holds(3)
        assert (await rf.queues.stats("mail")).limits == (
            LimitInfo("concurrency", 3, None, keyed=False),
            LimitInfo("rate", 100, 60.0, keyed=False),
        )
        await rf.queues.limit("mail", [])
        await floor.holds(4)
        floor.free.set()
        await done(runs)
        assert (await rf.queues.stats("mail")).limits == ()


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda q: q.pause(""), "name"),
        (lambda q: q.pause(None), "name"),
        (lambda q: q.resume(7), "name"),
        (lambda q: q.stats(7), "name"),
        (lambda q: q.pause("mail", until=datetime(2030, 1, 1)), "until"),  # noqa: DTZ001
        (lambda q: q.pause("mail", key="zoe"), "key"),
        (lambda q: q.pause("unheard of", key=7), "key"),
        (lambda q: q.limit("mail", 3), "limits"),
        (lambda q: q.limit("mail", ["3"]), "limits"),
        (lambda q: q.limit("mail", Concurrency(1, key="to")), "limits"),
    ],
)
@scenario
async def test_what_cannot_be_said_of_a_queue_is_refused(url: str, call: Any, field: str) -> None:
    async with Runfold(url, queues=[mail()]) as rf:
        head = await rf._node.store.head()
        with pytest.raises(InvalidInput) as caught:
            await call(rf.queues)
        assert caught.value.details[0]["loc"] == field
        assert await rf._node.store.head() == head
        assert not (await rf.queues.stats("mail")).paused


def test_the_same_with_calls_that_block(url: str) -> None:
    with Runfold(url, queues=[mail()]).sync as sync:
        sync.queues.pause("mail", until=datetime.now(UTC) + timedelta(hours=1))
        assert sync.queues.stats("mail").paused
        sync.queues.resume("mail")
        sync.queues.limit("mail", [Concurrency(3)])
        assert [len(one.limits) for one in sync.queues.list()] == [1]
        assert sync.start("mail/send", 1).result(timeout=10) == 1
        sync.workers.scale("mail", 3)
        assert [one.slots for one in sync.workers.stats()] == [3]
        assert [one.here for one in sync.workers.list()] == [True]
