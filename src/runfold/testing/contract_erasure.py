"""The contract of erasure: events of an ended run are written over, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest

from runfold.ports import Item, Stored
from runfold.ports_archive import Rest
from runfold.testing.contract_scene import NOON, Contract, Scene, after, event, new, row

END = "flow.completed"
LARGE = b'{"a":"' + b"x" * 100_000 + b'"}'


async def _ended(scene: Scene, name: str, *states: bytes) -> int:
    """Record a run that has ended, with an event for each of ``states``."""
    run = await scene.start(name)
    for state in states:
        await scene.record(Item([event(state=state, key="ann", step="pay")], stream=run))
    await scene.record(Item([event(END)], stream=run, clears=True))
    return run


async def _erasing(scene: Scene, name: str, delay: float = 10) -> int:
    """Record that a run is to be erased; return the id of the timer that says so."""
    timer = row(kind="erase", step="", activation=0, queue="", delay=delay)
    return (await scene.record(new(f"erase {name}", event(), flow=None, rows=[timer]))).stream


def _over(stored: Stored) -> Stored:
    return stored._replace(state=b"gone", key=None)


class ErasureContract(Contract):
    """``Archives.erase``."""

    @pytest.mark.parametrize("is_archived", [False, True], ids=["log", "archive"])
    async def test_an_event_is_written_over_where_it_is(
        self, scene: Scene, is_archived: bool
    ) -> None:
        runs = [await _ended(scene, name, b'{"n":1}', LARGE) for name in "ab"]
        await scene.start("last")
        if is_archived:
            await scene.store.archive(runs, now=NOON)
        before = await scene.store.read(after=0, limit=99)
        await scene.store.erase(runs[0], [Rest(2, b"gone"), Rest(3, b"gone")])
        expected = [
            _over(one) if (one.stream, one.version) in {(runs[0], 2), (runs[0], 3)} else one
            for one in before
        ]
        assert await scene.store.read(after=0, limit=99) == expected
        of_run = [one for one in expected if one.stream == runs[0]]
        assert await scene.store.read_stream(runs[0]) == of_run
        assert await scene.store.read_streams([runs[0]], upto=99) == of_run
        assert await scene.store.read_versions([(runs[0], 2)]) == of_run[1:2]
        counted = await scene.store.counted()
        assert counted.log + counted.archive == counted.head == len(before)

    async def test_a_blob_stays_as_long_as_another_event_has_it(self, scene: Scene) -> None:
        one, other = [await _ended(scene, name, LARGE, LARGE) for name in "ab"]
        await scene.start("last")
        await scene.store.archive([other], now=NOON)
        await scene.store.erase(one, [Rest(2, b"gone")])
        assert [found.state for found in await scene.store.read_stream(one)][1:3] == [
            b"gone", LARGE,
        ]  # fmt: skip
        await scene.store.erase(one, [Rest(3, b"gone")])
        assert [found.state for found in await scene.store.read_stream(other)][1:3] == [LARGE] * 2
        await scene.store.erase(other, [Rest(2, b"gone"), Rest(3, b"gone")])
        again = await _ended(scene, "c", LARGE)
        assert (await scene.store.read_stream(again))[1].state == LARGE

    async def test_erased_twice_it_is_as_once(self, scene: Scene) -> None:
        run = await _ended(scene, "a", LARGE)
        for _ in range(2):
            await scene.store.erase(run, [Rest(2, b"gone")])
        assert (await scene.store.read_stream(run))[1].state == b"gone"

    async def test_the_last_page_takes_the_timer_with_it(self, scene: Scene) -> None:
        runs = [await _ended(scene, name, b"{}") for name in "ab"]
        timers = [await _erasing(scene, name) for name in "ab"]
        assert (await scene.store.pending(now=NOON)).due == 10
        assert [(due.kind, due.stream) for due in await scene.store.due(9, now=after(10))] == [
            ("erase", timer) for timer in timers
        ]
        await scene.store.erase(runs[0], [Rest(1, b"gone")])
        assert await scene.store.open_timers() == 2
        await scene.store.erase(runs[0], [Rest(2, b"gone")], timer=timers[0])
        (left,) = await scene.store.due(9, now=after(10))
        assert left.stream == timers[1]
        await scene.store.erase(runs[1], [], timer=timers[1])
        assert await scene.store.open_timers() == 0

    async def test_namespaces_do_not_meet(self, scene: Scene, neighbour: Any) -> None:
        there = Scene(neighbour, appender=2)
        runs = [await _ended(where, "a", LARGE) for where in (scene, there)]
        assert runs[0] == runs[1]
        timer = await _erasing(there, "a")
        await scene.store.erase(runs[0], [Rest(2, b"gone")], timer=timer)
        assert (await there.store.read_stream(runs[1]))[1].state == LARGE
        assert await there.store.open_timers() == 1
