"""Group commit: what shares a batch, what becomes of a lost answer, who is told of a failure."""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest

from runfold.errors import PayloadTooLarge, StoreUnavailable
from runfold.flow.events import FlowCancelRequested, FlowPaused, Log
from runfold.kernel.event import Draft
from runfold.ports import Refusal
from runfold.runtime.node import Node
from runtime.scene import Faulty, on_memory, start, topics

LINE = [Draft(Log(level="info", message="line"))]


@on_memory
async def test_items_that_wait_together_are_one_commit(node: Node, faults: Faulty) -> None:
    streams = [await start(node) for _ in range(3)]
    before = node.appender.counters.commits
    outcomes = await asyncio.gather(*(node.appender.submit(LINE, stream=one) for one in streams))
    assert node.appender.counters.commits == before + 1
    positions = [outcome.position for outcome in outcomes]
    assert positions == list(range(positions[0], positions[0] + 3))


@on_memory
async def test_an_item_that_sets_a_gate_has_its_stream_to_itself(
    node: Node, faults: Faulty
) -> None:
    stream = await start(node)
    before = node.appender.counters.commits
    await asyncio.gather(
        node.appender.submit(LINE, stream=stream),
        node.appender.submit([Draft(FlowPaused())], stream=stream, gate=1),
        node.appender.submit(LINE, stream=stream),
    )
    assert node.appender.counters.commits == before + 3
    assert (await topics(node, stream))[-3:] == ["log", "flow.paused", "log"]


@on_memory
async def test_a_lost_answer_repeats_nothing(node: Node, faults: Faulty) -> None:
    stream = await start(node)
    faults.lose_answers = 2
    outcome = await node.appender.submit(LINE, stream=stream)
    assert outcome.refusal is None
    assert (await topics(node, stream)).count("log") == 1
    assert node.appender.counters.repeated == 1


@on_memory
async def test_a_lost_answer_starts_a_run_once(node: Node, faults: Faulty) -> None:
    faults.lose_answers = 1
    stream = await start(node, key="a")
    assert await start(node, key="a") == stream
    assert await topics(node, stream) == ["flow.start", "step.scheduled"]


@on_memory
async def test_a_database_that_is_away_delays_and_loses_nothing(node: Node, faults: Faulty) -> None:
    stream = await start(node)
    faults.refuse = 3
    outcomes = await asyncio.gather(*(node.appender.submit(LINE, stream=stream) for _ in range(5)))
    assert [outcome.refusal for outcome in outcomes] == [None] * 5
    assert (await topics(node, stream)).count("log") == 5


@on_memory
async def test_a_value_that_is_too_large_fails_its_own_item_alone(
    node: Node, faults: Faulty
) -> None:
    stream = await start(node)
    large = [Draft(Log(level="info", message="x" * (node.settings.payload_max + 1)))]
    fine = node.appender.submit(LINE, stream=stream)
    with pytest.raises(PayloadTooLarge, match="payload_max"):
        node.appender.submit(large, stream=stream)
    assert (await fine).refusal is None
    assert (await topics(node, stream)).count("log") == 1


@on_memory
async def test_an_item_that_the_store_chokes_on_fails_alone(node: Node, faults: Faulty) -> None:
    stream, other = await start(node), await start(node)

    async def choke(batch: object) -> None:
        if any(item.stream == other for item in batch.items):  # type: ignore[attr-defined]
            raise ZeroDivisionError("the database would not take it")

    faults.before = choke
    fine, bad = (
        node.appender.submit(LINE, stream=stream),
        node.appender.submit(LINE, stream=other),
    )
    assert (await fine).refusal is None
    with pytest.raises(ZeroDivisionError):
        await bad
    assert (await topics(node, stream)).count("log") == 1


@on_memory
async def test_a_batch_that_may_be_recorded_never_goes_again_under_another_number(
    node: Node, faults: Faulty
) -> None:
    stream, other = await start(node), await start(node)
    errors = [ZeroDivisionError("rolled back"), ZeroDivisionError("once more")]

    async def err_after_the_first(batch: object) -> None:
        # The first answer is lost after the commit; what follows is no answer either.
        if faults.lose_answers == 0 and errors:
            raise errors.pop()

    faults.lose_answers, faults.before = 1, err_after_the_first
    outcomes = await asyncio.gather(
        node.appender.submit(LINE, stream=stream), node.appender.submit(LINE, stream=other)
    )
    assert [outcome.refusal for outcome in outcomes] == [None, None]
    assert (await topics(node, stream)).count("log") == 1
    assert (await topics(node, other)).count("log") == 1


@on_memory
async def test_a_batch_in_doubt_is_given_up_and_whoever_waits_is_told(
    node: Node, faults: Faulty
) -> None:
    stream = await start(node)

    async def never_answer(batch: object) -> None:
        if faults.lose_answers == 0:
            raise ZeroDivisionError("rolled back")

    faults.lose_answers, faults.before = 1, never_answer
    with (
        mock.patch("runfold.runtime.appender.RETRY_DELAY_MAX", 0.001),
        pytest.raises(StoreUnavailable, match="did not say whether it has recorded this"),
    ):
        await node.appender.submit(LINE, stream=stream)
    faults.before = None
    assert (await node.appender.submit(LINE, stream=stream)).refusal is None
    assert (await topics(node, stream)).count("log") == 2


@on_memory
async def test_nothing_follows_in_a_stream_that_was_closed_before(
    node: Node, faults: Faulty
) -> None:
    stream = await start(node)
    cancel = [Draft(FlowCancelRequested())]
    one, other = await asyncio.gather(
        node.appender.submit(cancel, stream=stream, gates=0b0011, gate=2),
        node.appender.submit(cancel, stream=stream, gates=0b0011, gate=2),
    )
    assert (one.refusal, other.refusal) == (None, Refusal.GATE)


@on_memory
async def test_an_appender_that_was_closed_refuses(node: Node, faults: Faulty) -> None:
    stream = await start(node)
    node.appender.close()
    with pytest.raises(StoreUnavailable, match="enter it again"):
        node.appender.submit(LINE, stream=stream)


@on_memory
async def test_what_is_submitted_together_is_answered_in_its_order(
    node: Node, faults: Faulty
) -> None:
    streams = [await start(node) for _ in range(3)]
    outcomes = await node.appender.submit_together(
        [(LINE, {"stream": stream}) for stream in (streams[1], 10**6, streams[0])]
    )
    assert [outcome.refusal for outcome in outcomes] == [None, Refusal.MISSING, None]
    assert [outcome.version for outcome in outcomes][::2] == [3, 3]
    assert [(await topics(node, stream)).count("log") for stream in streams] == [1, 1, 0]


@on_memory
async def test_what_is_submitted_together_fails_together(node: Node, faults: Faulty) -> None:
    streams = [await start(node) for _ in range(2)]

    async def refuse(batch: object) -> None:
        raise ZeroDivisionError("rolled back")

    faults.before = refuse
    with pytest.raises(ZeroDivisionError):
        await node.appender.submit_together([(LINE, {"stream": stream}) for stream in streams])


@on_memory
async def test_who_gives_up_waiting_leaves_what_was_submitted_together(
    node: Node, faults: Faulty
) -> None:
    streams = [await start(node) for _ in range(2)]
    waiting = node.appender.submit_together([(LINE, {"stream": stream}) for stream in streams])
    waiting.cancel()
    assert (await node.appender.submit(LINE, stream=streams[0])).refusal is None
    assert [(await topics(node, stream)).count("log") for stream in streams] == [2, 1]


@on_memory
async def test_an_appender_is_not_idle_while_a_batch_commits(node: Node, faults: Faulty) -> None:
    stream = await start(node)
    sent, may_commit = asyncio.Event(), asyncio.Event()

    async def hold(batch: object) -> None:
        sent.set()
        await may_commit.wait()

    faults.before = hold
    line = node.appender.submit(LINE, stream=stream)
    await sent.wait()
    assert not node.appender.idle
    may_commit.set()
    assert (await line).refusal is None
    await asyncio.sleep(0)
    assert node.appender.idle
