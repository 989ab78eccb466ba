"""What parts of a process ask a store in which nothing happens: as little as they can."""

from __future__ import annotations

from collections import Counter
from typing import Any

from runfold.runtime.erasure import Erasure
from runfold.runtime.node import Node
from runfold.runtime.sweep import EVERY, PAGE, Sweep
from runfold.runtime.timekeeper import Timekeeper
from runtime.scene import Faulty, HandClock, claim, on_memory, start


class Asked:
    """A store that counts what it is asked."""

    def __init__(self, store: Any) -> None:
        self._store, self.counts = store, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        self.counts[name] += 1
        return getattr(self._store, name)


def timekeeper(node: Node, store: Any) -> Timekeeper:
    """Return a timekeeper on ``store`` that moves only when told to."""
    erasure = Erasure(node.store, node.store, node.codec)
    return Timekeeper(
        store, store, store, store, erasure, node.appender, node.clock,
        accept=node.starter.accept, lease=30,
    )  # fmt: skip


@on_memory
async def test_an_idle_timekeeper_asks_one_question_a_turn(node: Node, faults: Faulty) -> None:
    clock, asked = node.clock, Asked(faults)
    assert isinstance(clock, HandClock)
    keeper = timekeeper(node, asked)
    for _ in range(20):
        assert not await keeper.turn()
        assert await keeper.pause(1.0) == 1.0
        clock.seconds += 1.0
    assert asked.counts == {"pending": 20}


@on_memory
async def test_a_timekeeper_looks_for_the_dead_at_times_only(node: Node, faults: Faulty) -> None:
    clock, asked = node.clock, Asked(faults)
    assert isinstance(clock, HandClock)
    keeper = timekeeper(node, asked)
    await start(node)
    (job,) = await claim(node)
    await keeper.turn()
    await node.store.leave(1)
    for _ in range(4):
        clock.seconds += 1.0
        assert not await keeper.turn()
    assert not asked.counts["stalled"]
    clock.seconds += 1.0
    assert await keeper.turn()
    assert (asked.counts["expire"], asked.counts["stalled"]) == (1, 1)
    (found, *_) = (await node.store.read_stream(job.stream))[-1:]
    assert found.topic == "step.stalled"


@on_memory
async def test_a_sweep_rests_until_the_log_grows(node: Node, faults: Faulty) -> None:
    clock, asked = HandClock(), Asked(faults)
    sweep = Sweep(asked, clock)
    streams = {await start(node) for _ in range(PAGE + 1)}
    head = await node.store.head()

    async def rounds(count: int) -> list[int]:
        found = []
        for _ in range(count):
            clock.seconds += EVERY
            found.append(len(await sweep.page(head)))
        return found

    assert await rounds(5) == [PAGE, 1, 0, 0, 0]
    assert asked.counts == {"open_runs": 2}
    streams.add(await start(node))
    head = await node.store.head()
    assert await rounds(3) == [PAGE, 2, 0]
    sweep.restart()
    assert await rounds(3) == [PAGE, 2, 0]


@on_memory
async def test_what_is_recorded_during_a_sweep_is_swept_as_well(node: Node, faults: Faulty) -> None:
    clock, asked = HandClock(), Asked(faults)
    sweep = Sweep(asked, clock)
    for _ in range(PAGE):
        await start(node)
    before = await node.store.head()
    clock.seconds += EVERY
    assert len(await sweep.page(before)) == PAGE
    await start(node)  # Above the reader: no page shows it before it is folded.
    clock.seconds += EVERY
    assert await sweep.page(before) == set()
    clock.seconds += EVERY
    assert len(await sweep.page(await node.store.head())) == PAGE
