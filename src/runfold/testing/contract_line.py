"""The contract of the line: what waits is told in the order in which claims will take it."""

from __future__ import annotations

import random

from runfold.flow.work import Gate
from runfold.ports import Item, Upcoming
from runfold.testing.contract_scene import Contract, Scene, after, claim, event, new, row
from runfold.testing.contract_words import at_once

QUEUE = "queue:default"
_LANES = ((), (f"{QUEUE}#1:k=a",), (f"{QUEUE}#1:k=b",), (f"{QUEUE}#1:k=c",))


async def line(scene: Scene, queue: str | None = "default", page: int = 100) -> list[int]:
    """Return the runs in line, read page by page."""
    found: list[Upcoming] = []
    is_more = True
    while is_more:
        after_it = found[-1].place if found else ()
        more = await scene.store.upcoming(queue, after=after_it, limit=page)
        is_more = len(more) == page
        found += more
    assert [one.place for one in found] == sorted(one.place for one in found)
    return [one.stream for one in found]


class LineContract(Contract):
    """Who is next."""

    async def test_an_empty_log_has_no_line(self, scene: Scene) -> None:
        assert await line(scene) == await line(scene, None) == []
        await scene.start("a", row(kind="deadline", delay=5))
        assert await line(scene) == []

    async def test_the_line_is_the_order_of_claims(self, scene: Scene) -> None:
        rng = random.Random(7)
        for size in (5, 12, 30):
            items = [
                new(f"run {size} {n}", rows=[
                    row(limits=rng.choice(_LANES), priority=rng.choice((1, 5, 5, 10)))
                ])
                for n in range(size)
            ]  # fmt: skip
            await scene.commit(*items)
            await scene.claim(size // 3)
            expected = await line(scene, page=4)
            assert len(expected) == len(await line(scene))
            few = [await scene.claim(1) for _ in range(size // 4)]
            assert [job.stream for (job,) in few] == expected[: len(few)]
            assert await line(scene, None) == expected[len(few) :]
        rest = [job.stream for job in await scene.claim(100)]
        assert rest == expected[len(few) :]
        assert await line(scene) == []

    async def test_what_is_held_back_stands_behind_and_what_is_due_later_last(
        self, scene: Scene
    ) -> None:
        await scene.limit(QUEUE, at_once(f"{QUEUE}#1:k", 1, keyed=True))
        lane = (f"{QUEUE}#1:k=x",)
        late = await scene.start("late", row(kind="start", delay=9, priority=10))
        soon = await scene.start("soon", row(kind="retry", delay=5))
        await scene.start("never", row(kind="deadline", delay=1))
        (shut,) = await scene.add("shut", priority=10)
        await scene.record(Item([event()], shut, gate=Gate.PAUSED))
        one, two, best = [
            (await scene.add(f"{n}", limits=lane, priority=priority))[0]
            for n, priority in enumerate((6, 6, 9))
        ]
        assert [job.stream for job in await scene.claim(1)] == [best]
        assert await line(scene) == [one, two, shut, soon, late]
        (low,) = await scene.add("low", priority=1)
        assert [job.stream for job in await scene.claim(5)] == [low]  # The lane is parked now.
        (plain,) = await scene.add("plain", priority=2)
        assert await line(scene, page=1) == [plain, one, two, shut, soon, late]

    async def test_a_run_stands_where_its_first_job_does(self, scene: Scene) -> None:
        rows = [row(0, "retry", delay=1), row(1, activation=2, priority=9), row(2, activation=3)]
        many = new("many", event("flow.start"), event(), event(), event(), rows=[
            *rows, row(3, activation=4, queue="cpu"),
        ])  # fmt: skip
        run = (await scene.record(many)).stream
        (other,) = await scene.add("other")
        assert await line(scene) == await line(scene, None) == [run, other]
        assert await line(scene, "cpu") == [run]
        assert await scene.claim(1)
        assert await line(scene) == [run, other]
        assert await scene.claim(1)
        assert await line(scene) == [other, run]
        assert await line(scene, "none") == []

    async def test_a_line_is_of_its_log(self, scene: Scene) -> None:
        (run,) = await scene.add("a")
        other = scene.store.attach("line of another")
        await other.open(migrate=True)
        try:
            assert await other.upcoming(None, limit=9) == []
            await Scene(other).add("b", "c")
            assert await line(scene, None) == [run]
            taken = await scene.commit(claims=[claim(1)], now=after(1))
            assert [job.stream for job in taken.jobs] == [run]
            assert len(await other.upcoming("default", limit=9)) == 2
        finally:
            await other.close()
