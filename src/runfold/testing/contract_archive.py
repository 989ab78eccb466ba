"""The contract of the archive: runs leave the log whole, and every reader sees both as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runfold.ports import Batch, Item, Name, Refusal, Stored
from runfold.ports_archive import AGAIN_SECONDS, EVENTS_MAX, Counted, Wanted
from runfold.testing.contract_scene import (
    NOON,
    Contract,
    Scene,
    after,
    event,
    key_of,
    new,
    row,
)

END = "flow.completed"


async def _runs(scene: Scene, names: str = "abc", *, events: int = 2) -> list[int]:
    """Record runs that end, in turns, and one event of another stream behind them."""
    runs = [await scene.start(name) for name in names]
    for _ in range(events):
        for run in runs:
            await scene.record(Item([event()], stream=run))
    for run in runs:
        await _end(scene, run)
    await scene.record(new("last", event(), flow=None))
    return runs


async def _end(scene: Scene, run: int, **timer: Any) -> None:
    rows = [row(kind="archive", step="", activation=0, queue="", **timer)] if timer else []
    await scene.record(Item([event(END)], stream=run, clears=True, rows=rows))


Question = Callable[[Scene, list[int]], Awaitable[Any]]


async def _paged(scene: Scene, limit: int, upto: int | None = None) -> list[Stored]:
    found: list[Stored] = []
    while page := await scene.store.read(
        after=found[-1].position if found else 0, limit=limit, upto=upto
    ):
        found += page
    return found


async def _by_version(scene: Scene, runs: list[int]) -> list[Stored]:
    return sorted(await scene.store.read_streams([*runs, 999], upto=3))


async def _places(scene: Scene, runs: list[int]) -> list[Stored]:
    wanted = [(run, version) for run in runs for version in (1, 3, 99)]
    return sorted(await scene.store.read_versions(wanted))


QUESTIONS: dict[str, Question] = {
    "all": lambda scene, _: scene.store.read(after=0, limit=99),
    "pages": lambda scene, _: _paged(scene, 2),
    "pages_of_one": lambda scene, _: _paged(scene, 1),
    "a_part": lambda scene, _: scene.store.read(after=1, limit=99, upto=5),
    "nothing_but_archived": lambda scene, _: scene.store.read(after=4, limit=9, upto=5),
    "beyond_the_end": lambda scene, _: scene.store.read(after=99, limit=9, upto=200),
    "a_stream": lambda scene, runs: scene.store.read_stream(runs[1]),
    "the_rest_of_it": lambda scene, runs: scene.store.read_stream(runs[1], after=2, limit=1),
    "behind_its_end": lambda scene, runs: scene.store.read_stream(runs[1], after=4),
    "streams": _by_version,
    "places": _places,
    "version": lambda scene, runs: scene.store.last_version(runs[1]),
    "no_version": lambda scene, _: scene.store.last_version(999),
    "head": lambda scene, _: scene.store.head(),
    "find": lambda scene, _: scene.store.find([key_of("b"), key_of("no")]),
    "names": lambda scene, runs: scene.store.names(runs),
    "runs": lambda scene, _: scene.store.runs(flow="flow", before=None, limit=9),
    "open_runs": lambda scene, _: scene.store.open_runs(after=0, limit=9),
}


class ArchiveContract(Contract):
    """``Archives``, and what ``EventLog`` answers of archived runs."""

    @pytest.mark.parametrize("asked", QUESTIONS)
    @pytest.mark.parametrize("moved", ["b", "ab", "abc", "c"])
    async def test_every_answer_is_as_before(self, scene: Scene, asked: str, moved: str) -> None:
        runs = await _runs(scene)
        before = await QUESTIONS[asked](scene, runs)
        streams = [runs["abc".index(name)] for name in moved]
        assert await scene.store.archive(streams, now=NOON) == len(moved)
        assert await QUESTIONS[asked](scene, runs) == before

    @pytest.mark.parametrize("moved", ["", "ac", "abc"])
    @pytest.mark.parametrize("parts", [1, 2, 3])
    async def test_a_reader_is_given_what_it_wants_of_both(
        self, scene: Scene, moved: str, parts: int
    ) -> None:
        runs = await _runs(scene)
        await scene.store.archive([runs["abc".index(name)] for name in moved], now=NOON)
        everything = await scene.store.read(after=0, limit=99)
        for part in range(parts):
            for after_, upto in ((0, 13), (2, 9), (5, 6), (13, 20), (4, 4)):
                wanted = Wanted(["flow.start", END], part, parts, [END])
                found = await scene.store.read_wanted(wanted, after=after_, upto=upto)
                assert found == [
                    one
                    for one in everything
                    if after_ < one.position <= upto
                    and (one.topic == END or (one.topic == "flow.start"
                                              and one.stream % parts == part))
                ]  # fmt: skip
        assert await scene.store.read_wanted(Wanted([]), after=0, upto=13) == []

    async def test_it_counts_what_is_where(self, scene: Scene) -> None:
        runs = await _runs(scene)
        assert await scene.store.counted() == Counted(13, 0, 13)
        assert await scene.store.archived(runs) == set()
        await scene.store.archive(runs[:2], now=NOON)
        assert await scene.store.counted() == Counted(5, 8, 13)
        assert await scene.store.archived([*runs, 999]) == set(runs[:2])

    async def test_an_empty_log_has_no_archive(self, scene: Scene) -> None:
        assert await scene.store.archive([1], now=NOON) == 0
        assert await scene.store.counted() == Counted(0, 0, 0)
        assert await scene.store.archivable(after=0, before=NOON, limit=9) == []

    async def test_the_run_of_the_newest_event_stays(self, scene: Scene) -> None:
        run = await scene.start("a")
        await _end(scene, run)
        assert await scene.store.archive([run], now=NOON) == 0
        assert await scene.store.counted() == Counted(2, 0, 2)
        await scene.start("b")
        assert await scene.store.archive([run], now=NOON) == 1

    async def test_what_is_open_is_no_run_or_is_not_there_stays(self, scene: Scene) -> None:
        run = await scene.start("a")
        other = (await scene.record(new("queue", event(), flow=None))).stream
        await scene.start("last")
        assert await scene.store.archive([run, other, 999], now=NOON) == 0
        assert await scene.store.counted() == Counted(3, 0, 3)

    async def test_moved_twice_it_moves_once(self, scene: Scene) -> None:
        runs = await _runs(scene)
        assert await scene.store.archive([runs[0], runs[0]], now=NOON) == 1
        assert await scene.store.archive(runs, now=NOON) == 2

    async def test_nothing_is_recorded_in_an_archived_run(self, scene: Scene) -> None:
        runs = await _runs(scene)
        await scene.store.archive(runs, now=NOON)
        attempts = [
            await scene.attempt(Item([event()], stream=runs[0])),
            await scene.attempt(Item([event()], stream=runs[0], version=0)),
            await scene.attempt(new("a")),
        ]
        assert [one.refusal for one in attempts] == [
            Refusal.ENDED, Refusal.ENDED, Refusal.EXISTS,
        ]  # fmt: skip
        assert attempts[-1].stream == runs[0]
        assert await scene.store.head() == 13

    async def test_a_commit_sent_again_is_answered_as_at_first(self, scene: Scene) -> None:
        batch = Batch(1, 1, [new("a"), new("b"), new("a")], (), NOON)
        first = await scene.store.commit(batch)
        scene.number = 1
        await _end(scene, 1)
        await scene.start("last")
        await scene.store.archive([1], now=NOON)
        again = await scene.store.commit(batch)
        assert again.repeated
        assert again.outcomes == first.outcomes

    async def test_positions_go_on_behind_an_archive(self, scene: Scene) -> None:
        runs = await _runs(scene)
        await scene.store.archive(runs, now=NOON)
        assert await scene.start("next") == 14
        assert [one.position for one in await _paged(scene, 3)] == list(range(1, 15))

    async def test_who_ended_by_a_moment_can_be_archived(self, scene: Scene) -> None:
        runs = [await scene.start(name) for name in "abcd"]
        for place, run in enumerate(runs[:3]):
            item = Item([event(END)], stream=run, clears=True)
            await scene.record(item, now=after(place * 10))
        await scene.record(new("last", event(END), flow=None), now=after(30))
        ask = scene.store.archivable
        assert await ask(after=0, before=after(10), limit=9) == runs[:2]
        assert await ask(after=0, before=after(60), limit=2) == runs[:2]
        assert await ask(after=runs[1], before=after(60), limit=2) == runs[2:3]
        await scene.store.archive(runs[:1], now=NOON)
        assert await ask(after=0, before=after(60), limit=9) == runs[1:3]

    async def test_a_transaction_takes_no_run_behind_its_bound(self, scene: Scene) -> None:
        runs = [await scene.start(name) for name in "abc"]
        await scene.record(Item([event()] * EVENTS_MAX, stream=runs[0]))
        for run in runs:
            await _end(scene, run)
        await scene.start("last")
        assert await scene.store.archive(runs, now=NOON) == 1
        assert await scene.store.archived(runs) == {runs[0]}
        assert await scene.store.archive(runs[1:], now=NOON) == 2

    async def test_the_timer_of_a_run_goes_with_it(self, scene: Scene) -> None:
        run = await scene.start("a", row(kind="deadline", delay=1))
        await _end(scene, run, delay=60)
        assert (await scene.store.pending(now=NOON)).due == 60
        (due,) = await scene.store.due(9, now=after(60))
        assert (due.kind, due.stream) == ("archive", run)
        await scene.start("last")
        assert await scene.store.archive([run], now=after(60)) == 1
        assert await scene.store.open_timers() == 0

    async def test_the_timer_of_the_newest_run_is_put_off(self, scene: Scene) -> None:
        run = await scene.start("a")
        await _end(scene, run, delay=0)
        assert (await scene.store.pending(now=NOON)).due == 0
        assert await scene.store.archive([run], now=NOON) == 0
        assert (await scene.store.pending(now=NOON)).due == AGAIN_SECONDS
        await scene.start("last")
        assert [one.stream for one in await scene.store.due(9, now=after(AGAIN_SECONDS))] == [run]

    async def test_large_events_are_read_from_the_archive(self, scene: Scene) -> None:
        large = b'{"a":"' + b"x" * 100_000 + b'"}'
        run = await scene.start("a")
        await scene.record(Item([event(state=large)], stream=run))
        await _end(scene, run)
        await scene.start("last")
        await scene.store.archive([run], now=NOON)
        found = [one.state for one in await scene.store.read_stream(run)]
        assert found == [b"{}", large, b"{}"]
        assert (await scene.store.read(after=1, limit=1))[0].state == large

    async def test_a_reader_meets_each_event_once_while_runs_move(self, scene: Scene) -> None:
        runs = await _runs(scene, "abcdefghijklmnop", events=6)
        everything = list(range(1, await scene.store.head() + 1))

        async def move() -> None:
            for run in reversed(runs):
                assert await scene.store.archive([run], now=NOON) == 1
                await asyncio.sleep(0)

        async def look() -> None:
            for _ in range(3):
                found = await _paged(scene, 7)
                assert [one.position for one in found] == everything

        await asyncio.gather(move(), look())
        await look()

    async def test_a_rebuild_leaves_the_archive(self, scene: Scene) -> None:
        runs = await _runs(scene)
        await scene.store.archive(runs[:1], now=NOON)
        before = await scene.store.read(after=0, limit=99)
        async with scene.store.rebuild(now=NOON) as tables:
            names = [
                (run, Name(key_of(name), "flow")) for run, name in zip(runs, "abc", strict=True)
            ]
            await tables.name([*names, (13, Name(key_of("last"), None))], runs)
        assert await scene.store.read(after=0, limit=99) == before
        assert await scene.store.archived(runs) == set(runs[:1])
        outcome = await scene.attempt(Item([event()], stream=runs[0]))
        assert outcome.refusal == Refusal.ENDED
        assert await scene.store.archive(runs, now=NOON) == 2

    async def test_namespaces_have_archives_of_their_own(
        self, scene: Scene, neighbour: Any
    ) -> None:
        runs = await _runs(scene)
        there = Scene(neighbour, appender=2)
        await _runs(there)
        await scene.store.archive(runs, now=NOON)
        assert await there.store.counted() == Counted(13, 0, 13)
        assert len(await there.store.read_stream(runs[0])) == 4
