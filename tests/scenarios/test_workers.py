"""``rf.workers``: who serves a log, and the slots of this process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runfold import InvalidInput, Queue, Runfold
from runfold.client.workers import Slots
from scenarios.floor import Floor, done
from scenarios.scene import scenario


def queues(floor: Floor | None = None) -> list[Queue]:
    mail, cpu = Queue("mail"), Queue("cpu")

    @mail.job()
    async def send(data: Any) -> Any:
        if floor is not None:
            await floor.visit(data)
        return data

    @cpu.job()
    async def count(data: Any) -> Any:
        return data

    return [mail, cpu]


@scenario
async def test_processes_are_listed_while_they_serve(shared_url: str) -> None:
    async with Runfold(shared_url, queues=queues()).connect() as client:
        assert await client.workers.list() == []
        async with (
            Runfold(shared_url, queues=queues()).serve({"worker"}) as one,
            Runfold(shared_url, queues=queues()).serve({"dispatcher", "timekeeper"}),
        ):
            found = await client.workers.list()
            assert sorted(info.roles for info in found) == [
                ["dispatcher", "timekeeper"], ["worker"],
            ]  # fmt: skip
            assert [info.here for info in found] == [False, False]
            assert all(info.alive_until > datetime.now(UTC) for info in found)
            here = [info.roles for info in await one.workers.list() if info.here]
            assert here == [["worker"]]
        assert await client.workers.list() == []


@scenario
async def test_slots_grow_and_shrink_at_run_time(url: str) -> None:
    floor = Floor()
    rf = Runfold(url, queues=queues(floor))
    async with rf.serve(queues={"mail": 1}):
        runs = await rf.start_many("mail/send", list(range(6)))
        await floor.holds(1)
        assert await rf.workers.stats() == [Slots("mail", 1, 1)]
        await rf.workers.scale("mail", 4)
        await floor.holds(4)
        await rf.workers.scale("mail", 2)
        assert await rf.workers.stats() == [Slots("mail", 2, 4)]
        floor.free.set()
        await done(runs)
    assert floor.most[None] == 4


@scenario
async def test_a_queue_scaled_to_nothing_is_served_again_when_it_is_scaled_up(url: str) -> None:
    rf = Runfold(url, queues=queues())
    async with rf.serve(queues={"mail": 2}):
        await rf.workers.scale("mail", 0)
        waiting = await rf.start("mail/send", 1)
        other = await rf.start("cpu/count", 2)
        assert (await waiting.state()).started_at is None
        await rf.workers.scale("cpu", 1)
        assert await other.result(timeout=10) == 2
        assert (await waiting.state()).started_at is None
        await rf.workers.scale(Queue("mail"), 1)
        assert await waiting.result(timeout=10) == 1


@pytest.mark.parametrize("slots", [-1, True, 1.5, "2", 10_001, None])
@scenario
async def test_slots_that_cannot_be_are_refused(url: str, slots: Any) -> None:
    async with Runfold(url, queues=queues()) as rf:
        with pytest.raises(InvalidInput, match="expected 0 to 10000"):
            await rf.workers.scale("mail", slots)
        with pytest.raises(InvalidInput, match="used by no step or job here"):
            await rf.workers.scale("nothing", 1)
        assert {one.slots for one in await rf.workers.stats()} == {10}


@scenario
async def test_a_client_has_no_slots(url: str) -> None:
    async with Runfold(url, queues=queues()).connect() as rf:
        assert await rf.workers.stats() == []
        with pytest.raises(InvalidInput, match="no worker"):
            await rf.workers.scale("mail", 1)
