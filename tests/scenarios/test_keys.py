"""Keys of starts: the same run, or a refusal where the input is another."""

from __future__ import annotations

from typing import Any

import pytest

from runfold import InvalidInput, KeyConflict, Queue, Runfold
from scenarios.scene import scenario


def noting(seen: list[Any]) -> Queue:
    queue = Queue("q")

    @queue.job()
    async def note(data: Any) -> Any:
        seen.append(data)
        return data

    return queue


@scenario
async def test_the_first_start_of_a_key_counts(url: str) -> None:
    seen: list[Any] = []
    async with Runfold(url, queues=[noting(seen)]) as rf:
        run = await rf.start("q/note", {"a": 1}, key="k")
        assert (await rf.start("q/note", {"a": 2}, key="k")).id == run.id
        assert (await rf.start("q/note", {"a": 2}, key="k", on_conflict="return")).id == run.id
        assert await run.result(timeout=10) == {"a": 1}
    assert seen == [{"a": 1}]


@pytest.mark.parametrize("other", [{"a": 2}, {"a": True}, {"a": "1"}, None])
@scenario
async def test_a_start_with_another_input_is_refused_by_name(url: str, other: Any) -> None:
    seen: list[Any] = []
    async with Runfold(url, queues=[noting(seen)]) as rf:
        run = await rf.start("q/note", {"a": 1, "b": 2}, key="k", on_conflict="refuse")
        same = await rf.start("q/note", {"b": 2, "a": 1}, key="k", on_conflict="refuse")
        assert same.id == run.id
        await run.result(timeout=10)
        for _ in range(2):  # Also when it has ended.
            with pytest.raises(KeyConflict) as refused:
                await rf.start("q/note", other, key="k", on_conflict="refuse")
            assert (refused.value.run_id, refused.value.key) == (run.id, "k")
            assert refused.value.status == 409
        assert len((await rf.runs.list()).items) == 1
    assert seen == [{"a": 1, "b": 2}]


@scenario
async def test_a_conflict_cannot_be_known_before_the_commit_of_the_caller(url: str) -> None:
    async with Runfold(url, queues=[noting([])]) as rf:
        with pytest.raises(InvalidInput, match="goes without connection="):
            await rf.start("q/note", 1, key="k", on_conflict="refuse", connection=object())
