"""Attempts whose end cannot be recorded as it is, or that could not even be executed."""

from __future__ import annotations

from typing import Any

import pytest

from runfold import Queue, RunFailed, Runfold
from scenarios.scene import scenario, story


def queue() -> Queue:
    made = Queue("q")

    @made.job()
    async def work(data: Any) -> Any:
        return data

    return made


@scenario
async def test_an_end_that_the_codec_refuses_fails_the_attempt(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Runfold(url, queues=[queue()]) as rf:
        encode = rf._codec.encode

        def refuses(draft: Any) -> Any:
            if draft.event.TOPIC == "step.completed":
                raise ZeroDivisionError("no bytes for this")
            return encode(draft)

        monkeypatch.setattr(rf._codec, "encode", refuses)
        run = await rf.start("q/work", 1)
        with pytest.raises(RunFailed, match="no bytes for this"):
            await run.result(timeout=10)
        assert (await story(run)).count("step.started work") == 1


@scenario
async def test_an_attempt_that_could_not_be_executed_ends(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Runfold(url, queues=[queue()]) as rf:

        async def breaks(task: Any) -> Any:
            raise ZeroDivisionError("the executor is broken")

        monkeypatch.setattr(rf._node.preparation, "execute", breaks)
        run = await rf.start("q/work", 1)
        with pytest.raises(RunFailed, match="the executor is broken"):
            await run.result(timeout=10)
        await rf.run_until_idle()
