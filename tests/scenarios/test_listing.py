"""Finding runs: by id, by key, by filter, page by page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from runfold import (
    Context,
    Flow,
    InvalidInput,
    PermanentError,
    Queue,
    RunFailed,
    Runfold,
    RunNotFound,
    UnknownTarget,
)
from scenarios.scene import finished, scenario

mail = Queue("mail")


@mail.job()
async def send(data: Any) -> Any:
    return data


@mail.job()
async def bounce(data: Any) -> None:
    raise PermanentError("no such address")


def numbered() -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("numbered")

    @flow.entry(queue="mail")
    async def start(n: Any, ctx: Context) -> Any:
        return n

    return flow


@scenario
async def test_runs_are_listed_by_target_status_and_tags(url: str) -> None:
    async with Runfold(url, queues=[mail], flows=[numbered()]) as rf:
        a = await finished(rf, send, 1, tags=["x", "y"])
        b = await finished(rf, "numbered", 2, tags=["x"])
        later = await rf.start(send, 3, delay=3600, tags=["y"])
        lost = await rf.start(bounce, 4)
        with pytest.raises(RunFailed):
            await lost.result(timeout=10)

        async def ids(of: Any = None, **filters: Any) -> list[str]:
            return [state.id for state in (await rf.runs.list(of, **filters)).items]

        assert await ids() == [lost.id, later.id, b.id, a.id]
        assert await ids(send) == await ids("mail/send") == [later.id, a.id]
        assert await ids("numbered") == [b.id]
        assert await ids(status="scheduled") == [later.id]
        assert await ids(status="failed") == [lost.id]
        assert await ids(status="completed") == [b.id, a.id]
        assert await ids(tags=["x"]) == [b.id, a.id]
        assert await ids(tags=["y", "x"]) == [a.id]
        assert await ids(send, status="completed", tags=["y"]) == [a.id]
        assert await ids(tags=["z"]) == await ids("no-such-flow") == []


@scenario
async def test_pages_follow_each_other_and_newer_runs_do_not_disturb_them(url: str) -> None:
    async with Runfold(url, queues=[mail]) as rf:
        runs = await rf.start_many(send, list(range(7)))
        first = await rf.runs.list(send, limit=3)
        await rf.start(send, "newer")
        second = await rf.runs.list(send, limit=3, cursor=first.next)
        third = await rf.runs.list(send, limit=3, cursor=second.next)
        await rf.run_until_idle()
    assert first.next is not None
    assert second.next is not None
    assert third.next is None
    listed = [state.id for page in (first, second, third) for state in page.items]
    assert listed == [run.id for run in reversed(runs)]


@scenario
async def test_a_last_page_that_is_full_has_no_next(url: str) -> None:
    async with Runfold(url, queues=[mail]) as rf:
        await rf.start_many(send, [1, 2, 3])
        page = await rf.runs.list(limit=3)
        assert (len(page.items), page.next) == (3, None)


@scenario
async def test_a_filter_that_few_pass_still_fills_its_pages(url: str) -> None:
    async with Runfold(url, queues=[mail]).connect() as rf:
        for n in range(9):
            await rf.start(send, n, tags=["third"] if n % 3 == 0 else None)
        page = await rf.runs.list(tags=["third"], limit=2)
        assert [state.input for state in page.items] == [6, 3]
        page = await rf.runs.list(tags=["third"], limit=2, cursor=page.next)
        assert [state.input for state in page.items] == [0]
        assert page.next is None


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"status": "lost"}, "status"),
        ({"cursor": "x'; --"}, "cursor"),
        ({"cursor": "-1"}, "cursor"),
        ({"cursor": "²"}, "cursor"),
        ({"cursor": "9" * 40}, "cursor"),
        ({"tags": "x"}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"limit": True}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"status": []}, "status"),
        ({"status": ["completed", 7]}, "status"),
        ({"queue": ""}, "queue"),
        ({"queue": 7}, "queue"),
        ({"order": "oldest"}, "order"),
        ({"cursor": 7}, "cursor"),
        ({"since": datetime(2020, 1, 1)}, "since"),  # noqa: DTZ001 - that is what is wrong
        ({"until": "now"}, "until"),
        (
            {"since": datetime(2020, 1, 2, tzinfo=UTC), "until": datetime(2020, 1, 1, tzinfo=UTC)},
            "until",
        ),
    ],
)
@scenario
async def test_a_filter_that_cannot_be_is_refused(
    url: str, filters: dict[str, Any], field: str
) -> None:
    async with Runfold(url, queues=[mail]).connect() as rf:
        await rf.start(send, 1)
        with pytest.raises(InvalidInput) as caught:
            await rf.runs.list(**filters)
        assert caught.value.details[0]["loc"] == field


@scenario
async def test_a_run_is_found_by_its_id_and_by_its_key(url: str) -> None:
    async with Runfold(url, queues=[mail]) as rf:
        run = await finished(rf, send, 5, key="order-1")
        for found in (
            await rf.get(run.id),
            await rf.get(UUID(run.id)),
            await rf.get(run.id.upper(), of=send),
            await rf.get(of=send, key="order-1"),
            await rf.get(of="mail/send", key="order-1"),
        ):
            assert found.id == run.id
            assert await found.result(timeout=0) == 5
        assert (await run.state()).key == "order-1"


@scenario
async def test_a_run_that_is_not_there_is_not_found(url: str) -> None:
    async with Runfold(url, queues=[mail]) as rf:
        run = await finished(rf, send, 5, key="k")
        for id in (uuid4(), str(uuid4()), "nonsense", "", 7):
            with pytest.raises(RunNotFound):
                await rf.get(id)  # type: ignore[arg-type]
        with pytest.raises(RunNotFound, match="other"):
            await rf.get(of=send, key="other")
        with pytest.raises(RunNotFound):
            await rf.get(of=bounce, key="k")
        with pytest.raises(RunNotFound):
            await rf.get(run.id, of=bounce)
        with pytest.raises(UnknownTarget):
            await rf.get(of=7, key="k")
        with pytest.raises(ValueError, match="an id, or of= and key="):
            await rf.get()


@scenario
async def test_a_key_belongs_to_its_target(url: str) -> None:
    async with Runfold(url, queues=[mail], flows=[numbered()]) as rf:
        job = await finished(rf, send, 1, key="same")
        flow = await finished(rf, "numbered", 2, key="same")
        again = await rf.start(send, "ignored", key="same")
        assert job.id != flow.id
        assert again.id == job.id
        assert await again.result(timeout=10) == 1
