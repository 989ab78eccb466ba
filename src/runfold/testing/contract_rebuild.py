"""The contract of a rebuild: everything derived is replaced at once, or nothing is."""

from __future__ import annotations

from typing import Any

import pytest

from runfold.errors import EngineRunning
from runfold.flow.work import Gate
from runfold.ports import (
    Closure,
    Due,
    Item,
    Member,
    Name,
    Rebuilding,
    Restored,
    RestoredLimits,
    RestoredRun,
    Start,
)
from runfold.testing.contract_scene import (
    NOON,
    OTHER,
    WORKER,
    Contract,
    Scene,
    after,
    event,
    key_of,
    row,
)
from runfold.testing.contract_words import ALL, NEVER, QUEUE, STEP, STEPS, at_once, in_any

MEMBER = Member(WORKER, "host:1", "worker")


class RebuildContract(Contract):
    """``Rebuilds``: names, gates, jobs, timers and cursors as they are put back."""

    async def test_what_is_put_back_is_there(self, scene: Scene) -> None:
        run, store = await scene.start("a"), scene.store
        await scene.record(Item([event()] * 3, stream=run))
        async with store.rebuild(now=NOON) as tables:
            await tables.name([(run, Name(key_of("a"), "flow"))], [])
            timer = Restored(3, row(kind="retry", due_at=after(60), activation=2), leased=False)
            work = [Restored(2, row(), leased=False), timer]
            await tables.put([RestoredRun(run, Gate.OPEN, work)])
        assert await store.due(9, now=after(60)) == [
            Due(3, run, "retry", "step", 2, 1, "default", None)
        ]
        assert [job.id for job in await scene.claim()] == [2]
        assert await store.find([key_of("a")]) == {key_of("a"): run}
        assert await store.names([run]) == {run: Name(key_of("a"), "flow")}

    async def test_what_is_not_put_back_is_gone(self, scene: Scene) -> None:
        run, store = await scene.start("a", row(), row(kind="deadline", delay=9)), scene.store
        await store.save_cursor("reader", 1)
        async with store.rebuild(now=NOON) as tables:
            await tables.name([(run, Name(key_of("a"), "flow"))], [])
        assert (await store.counts(), await store.open_timers()) == ({}, 0)
        assert await store.cursor("reader") == 0
        assert [stored.position for stored in await store.read(after=0, limit=9)] == [1]

    async def test_runs_are_open_until_they_are_said_to_have_ended(self, scene: Scene) -> None:
        names = [(await scene.start(name), Name(key_of(name), "flow")) for name in "abc"]
        async with scene.store.rebuild(now=NOON) as tables:
            await tables.name(names[:2], [names[0][0]])
            assert await tables.open_runs(after=0, limit=9) == [2]
            await tables.name(names[2:], [2])
            assert await tables.open_runs(after=0, limit=9) == [3]
            assert await tables.open_runs(after=3, limit=9) == []

    async def test_a_job_that_was_leased_is_stalled_at_once(self, scene: Scene) -> None:
        job = await scene.leased_job("a")
        await scene.store.leave(WORKER)
        async with scene.store.rebuild(now=NOON) as tables:
            await tables.name([(job.stream, Name(key_of("a"), "flow"))], [])
            leased = Restored(job.id, row(), leased=True)
            await tables.put([RestoredRun(job.stream, Gate.OPEN, [leased])])
        assert await scene.claim(token=OTHER) == []
        assert [one.id for one in await scene.store.stalled(9, now=NOON)] == [job.id]

    @pytest.mark.parametrize("gate", [Gate.PAUSED, Gate.CLOSED])
    async def test_a_shut_gate_is_put_back(self, scene: Scene, gate: Gate) -> None:
        run = await scene.start("a")
        async with scene.store.rebuild(now=NOON) as tables:
            await tables.name([(run, Name(key_of("a"), "flow"))], [])
            await tables.put([RestoredRun(run, gate, [Restored(1, row(), leased=False)])])
        assert await scene.claim() == []
        await scene.record(Item([event()], stream=run, gates=1 << gate, gate=Gate.OPEN))
        assert [job.id for job in await scene.claim()] == [1]

    async def test_lanes_and_what_limits_count_are_put_back(self, scene: Scene) -> None:
        store, runs = scene.store, await scene.add(*"abcd", limits=(STEPS,))
        async with store.rebuild(now=NOON) as tables:
            await tables.limit(RestoredLimits([(STEP, [at_once(STEPS, 2)])]))
            # In no order: the first of a lane is who came first.
            for run in (runs[0], runs[3], runs[1], runs[2]):
                await _put(tables, run, leased=run == runs[0])
        assert await store.counts() == {"default": (1, 1)}
        assert [job.id for job in await scene.claim()] == [runs[1]]
        await scene.record(Item([event()], runs[0], stalled=runs[0]))
        assert [job.id for job in await scene.claim()] == [runs[2]]

    async def test_a_limit_that_is_not_put_back_is_gone(self, scene: Scene) -> None:
        await scene.limit(STEP, at_once(STEPS, 1))
        await scene.close(QUEUE, NEVER)
        runs = await scene.add(*"ab", limits=(STEPS,))
        async with scene.store.rebuild(now=NOON) as tables:
            settings = range(1, runs[0])
            await tables.name([(one, Name(key_of(f"{one}"), None)) for one in settings], [])
            for run in runs:
                await _put(tables, run)
        assert [job.id for job in await scene.claim()] == runs

    async def test_what_a_whole_queue_leases_counts(self, scene: Scene) -> None:
        runs = await scene.add(*"abc")
        async with scene.store.rebuild(now=NOON) as tables:
            await tables.limit(RestoredLimits([(QUEUE, [at_once(ALL, 2)])]))
            for run in runs:
                await _put(tables, run, leased=run == runs[0], limits=())
        assert [job.id for job in await scene.claim()] == [runs[1]]

    async def test_starts_that_rates_count_are_put_back(self, scene: Scene) -> None:
        runs = await scene.add(*"abc", limits=(STEPS,))
        starts = [Start(STEPS, after(-50), 1), Start(STEPS, after(-10), 2)]
        async with scene.store.rebuild(now=NOON) as tables:
            await tables.limit(RestoredLimits([(STEP, [in_any(60, STEPS, 3)])]))
            await tables.limit(RestoredLimits(starts=starts))
            for run in runs:
                await _put(tables, run)
        assert [job.id for job in await scene.claim()] == [runs[0]]
        assert (await scene.served()).wait == 10
        assert [job.id for job in await scene.claim(now=after(10))] == [runs[1]]
        assert await scene.claim(now=after(49.999999)) == []
        assert [job.id for job in await scene.claim(now=after(50))] == [runs[2]]

    async def test_what_is_closed_is_put_back(self, scene: Scene) -> None:
        ready, closed = await scene.add("a"), await scene.add("b", limits=(STEPS,))
        closures = [Closure(STEPS, after(60)), Closure("queue:cpu", NEVER)]
        async with scene.store.rebuild(now=NOON) as tables:
            await tables.limit(RestoredLimits(closures=closures))
            await _put(tables, ready[0], limits=(), queue="cpu")
            await _put(tables, closed[0])
        assert (await scene.served(queue="cpu", now=after(10**6))).wait is None
        assert (await scene.served()).wait == 60
        cpu, default = await scene.store.queues(now=NOON)
        assert (cpu.closed_until, default.closed_until) == (NEVER, None)
        await scene.close("queue:cpu", None)
        assert [job.id for job in await scene.claim(queue="cpu")] == ready
        assert [job.id for job in await scene.claim(now=after(60))] == closed

    async def test_a_cursor_is_put_back(self, scene: Scene) -> None:
        run = await scene.start("a")
        async with scene.store.rebuild(now=NOON) as tables:
            await tables.name([(run, Name(key_of("a"), "flow"))], [])
            await tables.save_cursor("dispatcher", 1)
        assert await scene.store.cursor("dispatcher") == 1

    async def test_it_is_refused_while_somebody_lives_or_leads(self, scene: Scene) -> None:
        await scene.start("a", row())
        await scene.store.join(MEMBER, 30, now=NOON)
        before = await scene.everything()
        with pytest.raises(EngineRunning, match="'host:1'"):
            await _rebuilt(scene)
        await scene.store.leave(WORKER)
        await scene.store.lead(WORKER, 30, now=NOON)
        with pytest.raises(EngineRunning, match="a dispatcher"):
            await _rebuilt(scene)
        assert await scene.everything() == before

    async def test_what_raises_leaves_everything_as_it_was(self, scene: Scene) -> None:
        await scene.start("a", row(), row(kind="deadline", delay=9))
        before = await scene.everything()
        with pytest.raises(ZeroDivisionError):
            await _rebuilt(scene, ZeroDivisionError())
        assert await scene.everything() == before


async def _put(tables: Rebuilding, run: int, *, leased: bool = False, **columns: Any) -> None:
    """Put back an open run with one job, by default in the lane of a step."""
    await tables.name([(run, Name(key_of(f"{run}"), "flow"))], [])
    work = Restored(run, row(**{"limits": (STEPS,), **columns}), leased=leased)
    await tables.put([RestoredRun(run, Gate.OPEN, [work])])


async def _rebuilt(scene: Scene, error: Exception | None = None) -> None:
    async with scene.store.rebuild(now=NOON) as tables:
        await tables.name([(1, Name(key_of("a"), "flow"))], [])
        if error is not None:
            raise error
