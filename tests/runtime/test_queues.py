"""What is said about a queue: by code, at run time, by several processes at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from runfold import Concurrency, InvalidInput, RateLimit
from runfold.flow.streams import queue_id
from runfold.runtime.node import Node
from runfold.runtime.queues import Queues
from runtime.scene import Faulty, on_memory, topics

TWO, THREE = (Concurrency(2).definition,), (Concurrency(3).definition,)


def another(node: Node) -> Queues:
    """Return what another process knows: nothing yet."""
    return Queues(node.store, node.codec, node.store.identity, node.appender)


async def told(node: Node, queue: str = "mail") -> list[str]:
    id = queue_id(node.store.identity.log_id, queue)
    stream = (await node.store.find([id])).get(id)
    return [] if stream is None else await topics(node, stream)


async def limits(node: Node) -> list[tuple[str, int]]:
    """Return the limits that the store enforces on the queue."""
    states = {state.name: state for state in await node.store.queues()}
    return [(limit.kind, limit.max) for limit in states["mail"].limits]


@on_memory
async def test_a_queue_that_says_nothing_leaves_no_trace(node: Node, faults: Faulty) -> None:
    await node.queues.define("mail", ())
    assert await told(node) == []


@on_memory
async def test_what_the_code_says_is_recorded_once(node: Node, faults: Faulty) -> None:
    for queues in (node.queues, node.queues, another(node)):
        await queues.define("mail", TWO)
    assert await told(node) == ["queue.defined"]
    assert await limits(node) == [("concurrency", 2)]


@on_memory
async def test_code_that_takes_its_limits_back_is_heard(node: Node, faults: Faulty) -> None:
    await node.queues.define("mail", TWO)
    await another(node).define("mail", ())
    assert await told(node) == ["queue.defined", "queue.defined"]
    assert (await another(node).said("mail")).limits == ()


@on_memory
async def test_processes_that_serve_at_once_record_it_once(node: Node, faults: Faulty) -> None:
    await asyncio.gather(*(another(node).define("mail", TWO) for _ in range(5)))
    assert await told(node) == ["queue.defined"]


@on_memory
async def test_what_is_said_at_run_time_holds_until_the_code_changes(
    node: Node, faults: Faulty
) -> None:
    await node.queues.define("mail", TWO)
    await node.queues.limit("mail", THREE)
    await another(node).define("mail", TWO)
    assert await limits(node) == [("concurrency", 3)]
    await another(node).define("mail", (RateLimit(4, 60).definition,))
    assert await limits(node) == [("rate", 4)]
    assert await told(node) == ["queue.defined", "queue.limited", "queue.defined"]


@on_memory
async def test_a_queue_that_no_code_defines_can_be_limited(node: Node, faults: Faulty) -> None:
    await node.queues.limit("mail", TWO)
    assert node.queues.holds_back("mail")
    assert not node.queues.holds_back("other")


@pytest.mark.parametrize("key", [None, "zoe", 7])
def test_pause_and_resume_are_recorded_once_each(key: Any) -> None:
    @on_memory
    async def test(node: Node, faults: Faulty) -> None:
        for queues in (node.queues, another(node)):
            await queues.pause("mail", key=key)
        assert node.queues.holds_back("mail")
        for queues in (another(node), node.queues):
            await queues.resume("mail", key=key)
        assert not node.queues.holds_back("mail")
        assert await told(node) == ["queue.paused", "queue.resumed"]

    test()


@on_memory
async def test_a_pause_may_be_given_another_end(node: Node, faults: Faulty) -> None:
    until = datetime(2100, 1, 1, tzinfo=UTC)
    await node.queues.pause("mail")
    await node.queues.pause("mail", until=until)
    (state,) = await node.store.queues()
    assert state.closed_until == until
    assert await told(node) == ["queue.paused", "queue.paused"]


@on_memory
async def test_resuming_what_is_not_paused_records_nothing(node: Node, faults: Faulty) -> None:
    await node.queues.resume("mail")
    assert await told(node) == []


@on_memory
async def test_a_moment_without_a_time_zone_is_refused(node: Node, faults: Faulty) -> None:
    with pytest.raises(InvalidInput, match="expected a datetime with a time zone"):
        await node.queues.pause("mail", until=datetime(2100, 1, 1))  # noqa: DTZ001 - the point
    assert await told(node) == []


@on_memory
async def test_a_lost_answer_changes_a_queue_once(node: Node, faults: Faulty) -> None:
    faults.lose_answers = 1
    await node.queues.limit("mail", TWO)
    assert await told(node) == ["queue.limited"]


@on_memory
async def test_a_change_elsewhere_is_learnt_from_the_log(node: Node, faults: Faulty) -> None:
    await another(node).limit("mail", TWO)
    assert node.hub is not None
    await node.hub.turn()
    assert node.queues.holds_back("mail")
