"""Runs as a group: listed by status, queue and time, counted, cancelled by their tags."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from runfold import InvalidInput, PermanentError, Queue, RunCancelled, RunFailed, Runfold
from scenarios.scene import finished, history, scenario


def shop(may_end: asyncio.Event | None = None) -> list[Queue]:
    mail, cpu = Queue("mail"), Queue("cpu")

    @mail.job()
    async def send(data: Any) -> Any:
        return data

    @mail.job()
    async def bounce(data: Any) -> None:
        raise PermanentError("no such address")

    @cpu.job()
    async def hold(data: Any) -> None:
        assert may_end is not None
        await may_end.wait()

    return [mail, cpu]


async def ids(rf: Runfold, of: Any = None, **filters: Any) -> list[str]:
    page = await rf.runs.list(of, **filters)
    assert await rf.runs.count(of, **filters) == len(page.items)
    return [state.id for state in page.items]


@scenario
async def test_runs_by_what_other_systems_call_their_status(url: str) -> None:
    may_end = asyncio.Event()
    async with Runfold(url, queues=shop(may_end)) as rf:
        done = await finished(rf, "mail/send")
        failed = await rf.start("mail/bounce")
        with pytest.raises(RunFailed):
            await failed.result(timeout=10)
        delayed = await rf.start("mail/send", delay=3600)
        cancelled = await rf.start("mail/send", delay=3600)
        await cancelled.cancel()
        with pytest.raises(RunCancelled):
            await cancelled.result(timeout=10)
        held = await rf.start("cpu/hold")
        async for event in held.events(follow=True):
            if event.type == "step.started":
                break
        paused = await rf.start("mail/send", delay=3600)
        await paused.pause()
        assert await ids(rf, status="PENDING") == [delayed.id]
        assert await ids(rf, status="DELAYED") == await ids(rf, status="scheduled") == [delayed.id]
        assert await ids(rf, status="PROCESSING") == await ids(rf, status="running") == [held.id]
        assert await ids(rf, status="WAITING") == []
        assert await ids(rf, status="IN_PROGRESS") == [paused.id, held.id, delayed.id]
        assert await ids(rf, status="DISABLED") == await ids(rf, status="FAILED") == [failed.id]
        assert await ids(rf, status="ABORTED") == [cancelled.id]
        assert await ids(rf, status=["done", "aborted"]) == [cancelled.id, done.id]
        assert await ids(rf, status="FINISHED", queue="cpu") == []
        may_end.set()
        await held.result(timeout=10)
        assert await ids(rf, status="FINISHED", queue="cpu") == [held.id]


@scenario
async def test_a_job_that_nobody_has_claimed_is_pending(url: str) -> None:
    async with Runfold(url, queues=shop()).serve({"dispatcher"}) as rf:
        waiting = await rf.start("mail/send")
        assert await ids(rf, status="PENDING") == await ids(rf, status="WAITING") == [waiting.id]
        assert await ids(rf, status="PROCESSING") == []
        assert await ids(rf, status="ABORTING") == []
        await waiting.cancel()
        await rf.run_until_idle()
        assert await ids(rf, status="CANCELED") == [waiting.id]


@scenario
async def test_runs_by_queue_and_by_when_they_were_created(url: str) -> None:
    async with Runfold(url, queues=shop()) as rf:
        runs = [await finished(rf, "mail/send", n, tags=["t"]) for n in range(4)]
        created = [(await run.state()).created_at for run in runs]
        assert created[1] is not None
        assert created[3] is not None
        assert await ids(rf, since=created[1], until=created[3]) == [runs[2].id, runs[1].id]
        assert await ids(rf, since=created[3], tags=["t"]) == [runs[3].id]
        assert await ids(rf, until=created[1]) == [runs[0].id]
        assert await ids(rf, since=created[3] + timedelta(hours=1)) == []
        assert len(await ids(rf, queue="mail")) == 4
        assert await ids(rf, queue="cpu") == []
        assert await rf.runs.count() == 4


@scenario
async def test_listed_runs_have_no_steps_and_no_data(url: str) -> None:
    async with Runfold(url, queues=shop()) as rf:
        run = await finished(rf, "mail/send", 1)
        [state] = (await rf.runs.list()).items
        assert (state.id, state.status, state.result) == (run.id, "completed", 1)
        assert (state.steps, state.data) == ([], {})


@scenario
async def test_many_runs_are_counted_and_found_page_after_page(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold.client.finder.LOOKED_AT", 3)
    async with Runfold(url, queues=shop()).connect() as rf:
        runs = await rf.start_many("mail/send", list(range(10)), tags=["a"])
        await rf.start_many("mail/send", list(range(5)), tags=["b"])
        assert await rf.runs.count() == 15
        assert (
            await rf.runs.count(tags=["a"]) == await rf.runs.count(tags=["a"], queue="mail") == 10
        )
        first = (await runs[0].state()).created_at
        assert await rf.runs.count(since=first) == 15
        found, cursor = [], None
        for _ in range(4):
            page = await rf.runs.list(tags=["a"], limit=3, cursor=cursor)
            found += [state.id for state in page.items]
            cursor = page.next
        assert cursor is None
        assert found == [run.id for run in reversed(runs)]


@scenario
async def test_cancelling_a_group_leaves_the_other_alone(url: str) -> None:
    async with Runfold(url, queues=shop()) as rf:
        ended = await finished(rf, "mail/send", tags=["red"])
        red = await rf.start_many("mail/send", [1, 2, 3], tags=["red", "big"])
        later = await rf.start("mail/send", tags=["red"], delay=3600)
        blue = await rf.start("mail/send", tags=["blue", "big"], delay=3600)
        await asyncio.gather(*(run.result(timeout=10) for run in red))
        assert await rf.runs.cancel(tags=["red"], reason="sold out") == 1
        with pytest.raises(RunCancelled, match="sold out"):
            await later.result(timeout=10)
        assert await ended.status() == "completed"
        assert await blue.status() == "scheduled"
        assert await rf.runs.cancel(tags=["red"]) == 0
        assert await rf.runs.cancel(tags=["blue", "red"]) == 0


@scenario
async def test_what_was_pending_and_cancelled_never_runs_not_after_a_restart_either(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runfold.client.finder.LOOKED_AT", 4)
    async with Runfold(shared_url, queues=shop()).connect() as rf:
        red = await rf.start_many("mail/send", list(range(10)), tags=["red"])
        blue = await rf.start_many("mail/send", list(range(3)), tags=["blue"])
        others = await rf.start_many("mail/bounce", [1], tags=["red"])
        assert await rf.runs.cancel("mail/send", tags=["red"]) == 10
        assert await rf.runs.cancel("mail/send", tags=["red"]) == 0
    async with Runfold(shared_url, queues=shop()) as rf:
        assert [await (await rf.get(run.id)).result(timeout=10) for run in blue] == [0, 1, 2]
        await rf.run_until_idle()
        for run in red:
            again = await rf.get(run.id)
            assert await again.status() == "cancelled"
            assert await history(again, "step.started") == []
        assert await (await rf.get(others[0].id)).status() == "failed"


@scenario
async def test_a_group_needs_tags(url: str) -> None:
    async with Runfold(url, queues=shop()).connect() as rf:
        await rf.start("mail/send")
        for tags in ([], None, "red", [7]):
            with pytest.raises(InvalidInput) as caught:
                await rf.runs.cancel(tags=tags)  # type: ignore[arg-type]
            assert caught.value.details[0]["loc"] == "tags"
        with pytest.raises(InvalidInput, match="reason is 7"):
            await rf.runs.cancel(tags=["a"], reason=7)  # type: ignore[arg-type]
        assert await rf.runs.count(status="cancelling") == 0
