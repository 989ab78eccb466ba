"""Tasks of a service: what they raise is said, and none of them outlives it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from runfold.runtime.service import Service


def test_what_a_launched_task_raises_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def main(seen: list[int]) -> None:
        seen.append(1)
        raise ValueError("broken")

    async def scene() -> None:
        service, seen = Service(), list[int]()
        service.launch(main, seen)
        assert seen == [], "it begins when the loop comes to it"
        await asyncio.sleep(0)
        assert seen == [1]
        await service.stop()

    with caplog.at_level(logging.ERROR, "runfold.service"):
        asyncio.run(scene())
    (said,) = caplog.records
    assert said.getMessage() == "a task of the engine failed"
    assert said.exc_info is not None
    assert str(said.exc_info[1]) == "broken"


@pytest.mark.parametrize("turns", [0, 1], ids=["before it began", "while it waits"])
def test_a_launched_task_ends_with_the_service(
    turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    ended = []

    async def main(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    async def scene() -> None:
        service = Service()
        service.launch(main, "launched")
        spawned = service.spawn(main("spawned"))
        for _ in range(turns):
            await asyncio.sleep(0)
        await service.stop()
        assert spawned.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    assert ended == (["launched", "spawned"] if turns else [])
    assert not caplog.records
