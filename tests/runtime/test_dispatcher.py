"""One writer of decisions: takeover, a lost cursor, a frozen leader, requests that overtake."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from runfold.flow.events import FlowCancelRequested
from runfold.kernel.event import Draft
from runfold.runtime.dispatcher import CURSOR, Dispatcher
from runfold.runtime.node import Node
from runfold.runtime.runs import Runs
from runfold.runtime.tail import Tail
from runtime.scene import Faulty, claim, complete, on_memory, start, topics


def dispatcher(node: Node, token: int) -> Dispatcher:
    """Return a dispatcher that moves only when told to."""
    tail = Tail(node.store, node.codec, position=0)
    runs = Runs(node.store, node.codec, node.definitions)
    return Dispatcher(
        node.store, node.store, node.store, node.appender, runs, node.clock,
        tail=tail, tokens=lambda: token, lease=30, grace=30,
    )  # fmt: skip


async def settle(one: Dispatcher) -> None:
    """Turn until there is nothing left to do."""
    one.tail.stale = True
    while await one.turn():
        pass


@on_memory
async def test_a_completion_leads_to_the_next_step_and_the_end(node: Node, faults: Faulty) -> None:
    leader = dispatcher(node, 1)
    stream = await start(node)
    for _ in range(2):
        for job in await claim(node):
            await complete(node, job)
        await settle(leader)
    assert await topics(node, stream) == [
        "flow.start", "step.scheduled", "step.started", "step.completed",
        "step.scheduled", "step.started", "step.completed", "flow.completed",
    ]  # fmt: skip


@on_memory
async def test_a_second_dispatcher_stands_by_until_the_first_resigns(
    node: Node, faults: Faulty
) -> None:
    leader, other = dispatcher(node, 1), dispatcher(node, 2)
    await settle(leader)
    await settle(other)
    assert (leader.leading, other.leading) == (True, False)
    stream = await start(node)
    for job in await claim(node):
        await complete(node, job)
    await leader.resign()
    await settle(other)
    assert other.leading
    assert (await topics(node, stream))[-1] == "step.scheduled"


@on_memory
async def test_a_dispatcher_that_has_not_asked_for_the_lead_is_not_caught_up(
    node: Node, faults: Faulty
) -> None:
    leader, other = dispatcher(node, 1), dispatcher(node, 2)
    await start(node)
    head = await node.store.head()
    assert not leader.caught_up(head)
    await settle(leader)
    assert leader.caught_up(head)
    assert not other.caught_up(head)
    await settle(other)
    assert other.caught_up(head)  # It stands by: the other decides.


@on_memory
async def test_a_dispatcher_that_has_resigned_does_not_lead_again(
    node: Node, faults: Faulty
) -> None:
    leader, other = dispatcher(node, 1), dispatcher(node, 2)
    await settle(leader)
    await leader.resign()
    # Its loop has one more turn before it ends: the lease would be held by nobody alive.
    assert not await leader.turn()
    await settle(other)
    assert (leader.leading, other.leading) == (False, True)


@on_memory
async def test_a_turn_that_failed_costs_no_lease(node: Node, faults: Faulty) -> None:
    tokens = iter(range(1, 100))
    leader = dispatcher(node, 0)
    leader._tokens = lambda: next(tokens)
    await settle(leader)
    stream = await start(node)
    for job in await claim(node):
        await complete(node, job)
    failing = mock.patch.object(leader, "_fold", side_effect=ZeroDivisionError)
    with failing, pytest.raises(ZeroDivisionError):
        await settle(leader)
    await settle(leader)  # Under another token, and with the clock where it was.
    assert leader.leading
    assert (await topics(node, stream))[-1] == "step.scheduled"


@on_memory
async def test_a_dispatcher_is_not_caught_up_while_it_decides(node: Node, faults: Faulty) -> None:
    leader = dispatcher(node, 1)
    await settle(leader)
    await start(node)
    for job in await claim(node):
        await complete(node, job)
    seen: list[bool] = []
    preload = leader.preload

    async def look(streams: Any) -> Any:
        seen.append(leader.caught_up(await node.store.head()))
        return await preload(streams)

    with mock.patch.object(leader, "preload", look):
        await settle(leader)
    assert seen
    assert not any(seen)
    await settle(leader)
    assert leader.caught_up(await node.store.head())


@on_memory
async def test_a_frozen_dispatcher_that_wakes_up_decides_nothing(
    node: Node, faults: Faulty
) -> None:
    frozen, other = dispatcher(node, 1), dispatcher(node, 2)
    await settle(frozen)
    stream = await start(node)
    for job in await claim(node):
        await complete(node, job)

    async def take_over(batch: object) -> None:
        faults.before = None
        await node.store.resign(1)
        assert await node.store.lead(2, 30)

    faults.before = take_over
    await settle(frozen)
    assert not frozen.leading
    assert (await topics(node, stream)).count("step.scheduled") == 1
    await settle(other)
    assert other.leading
    assert (await topics(node, stream)).count("step.scheduled") == 2


@on_memory
async def test_a_lost_cursor_decides_nothing_twice(node: Node, faults: Faulty) -> None:
    leader = dispatcher(node, 1)
    stream = await start(node)
    for job in await claim(node):
        await complete(node, job)
    await settle(leader)
    decided = await topics(node, stream)
    await leader.resign()
    await node.store.save_cursor(CURSOR, 1)
    again = dispatcher(node, 3)
    await settle(again)
    assert await topics(node, stream) == decided


@on_memory
async def test_a_page_that_ends_inside_a_commit_decides_nothing_twice(
    node: Node, faults: Faulty
) -> None:
    leader = dispatcher(node, 1)
    await settle(leader)
    streams = [await start(node) for _ in range(5)]
    # One event each page: every start is read without the decision that stands beside it.
    with mock.patch("runfold.runtime.dispatcher.PAGE", 1):
        await settle(leader)
    for stream in streams:
        assert await topics(node, stream) == ["flow.start", "step.scheduled"]


@on_memory
async def test_an_open_run_that_no_cursor_leads_to_is_found(node: Node, faults: Faulty) -> None:
    stream = await start(node)
    for job in await claim(node):
        await complete(node, job)
    await node.store.save_cursor(CURSOR, await node.store.head())
    leader = dispatcher(node, 1)
    await settle(leader)
    assert (await topics(node, stream))[-1] == "step.scheduled"


@on_memory
async def test_a_lost_answer_to_a_decision_decides_nothing_twice(
    node: Node, faults: Faulty
) -> None:
    leader = dispatcher(node, 1)
    await settle(leader)
    stream = await start(node)
    for job in await claim(node):
        await complete(node, job)
    faults.lose_answers = 1
    await settle(leader)
    assert (await topics(node, stream)).count("step.scheduled") == 2


@on_memory
async def test_a_cancel_between_deciding_and_recording_wins(node: Node, faults: Faulty) -> None:
    leader = dispatcher(node, 1)
    await settle(leader)
    stream = await start(node)
    for job in await claim(node):
        await complete(node, job)

    async def cancel_first(batch: object) -> None:
        faults.before = None
        await node.store.commit(
            type(batch)(  # type: ignore[call-arg]
                appender=99, number=1,
                items=[_cancel(node, stream)],
            )
        )  # fmt: skip

    faults.before = cancel_first
    await settle(leader)
    story = await topics(node, stream)
    assert story[-2:] == ["flow.cancel_requested", "flow.cancelled"]
    assert story.count("step.scheduled") == 1


def _cancel(node: Node, stream: int) -> object:
    from runfold.ports import Item

    encoded = node.codec.encode(Draft(FlowCancelRequested()))
    return Item([encoded], stream=stream, gates=0b0011, gate=2)
