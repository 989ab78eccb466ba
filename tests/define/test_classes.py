"""Classes as jobs: made once in a process, and executed as functions are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runfold import Context, InvalidDefinition, Queue, Runfold, SyncContext


def test_a_class_is_a_job_of_its_name_with_the_signature_of_execute() -> None:
    queue = Queue("mail")

    @queue.job(priority=7)
    class Send:
        """Sends."""

        async def execute(self, to: str, ctx: Context) -> int:
            return len(to)

    assert Send.name == "mail/Send"
    sealed = Send.seal()
    handler = sealed.handlers["Send"]
    assert (handler.kind, handler.takes) == ("async", 2)
    assert sealed.input.load("adam", "it") == "adam"
    assert "Send" in repr(Send)


def test_a_class_is_made_once_when_it_is_first_executed() -> None:
    made: list[int] = []
    queue = Queue("mail")

    @queue.job()
    class Send:
        def __init__(self) -> None:
            made.append(1)
            self.sent = 0

        def execute(self, to: str, ctx: SyncContext) -> int:
            self.sent += 1
            return self.sent

    @queue.job()
    class Look:
        async def execute(self) -> str:
            return type(self).__name__

    async def main() -> None:
        async with Runfold("memory://", queues=[queue]) as rf:
            assert made == []
            results = [await (await rf.start(Send, "x")).result(timeout=10) for _ in range(3)]
            assert (results, made) == ([1, 2, 3], [1])
            assert await (await rf.start(Look)).result(timeout=10) == "Look"

    asyncio.run(main())


def test_what_making_it_raises_is_an_error_of_the_attempt() -> None:
    tries: list[int] = []
    queue = Queue("mail")

    @queue.job(retry=2)
    class Send:
        def __init__(self) -> None:
            tries.append(1)
            if len(tries) == 1:
                raise ConnectionError("not yet")

        async def execute(self, to: str) -> str:
            return to

    async def main() -> None:
        async with Runfold("memory://", queues=[queue]) as rf:
            assert await (await rf.start(Send, "x")).result(timeout=10) == "x"

    asyncio.run(main())
    assert len(tries) == 2


def test_a_job_of_a_class_called_executes_here_and_now() -> None:
    queue = Queue("mail")

    @queue.job()
    class Double:
        def execute(self, number: int) -> int:
            return number * 2

    assert Double(4) == 8


def test_a_class_without_execute_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match=r"Send has no execute\(self, input, ctx\)"):

        @Queue("mail").job()
        class Send: ...


def test_a_class_that_needs_arguments_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="is made without arguments, once in each process"):

        @Queue("mail").job()
        class Send:
            def __init__(self, server: str) -> None: ...

            def execute(self, to: str) -> None: ...


def test_a_class_that_is_not_importable_is_refused_with_process() -> None:
    queue = Queue("mail")

    @queue.job(process=True)
    class Send:
        def execute(self, to: Any) -> None: ...

    with pytest.raises(InvalidDefinition, match="runs with process=True and cannot be imported"):
        Send.seal()


CPU = Queue("cpu")


@CPU.job(process=True)
class Count:
    def __init__(self) -> None:
        self.calls = 0

    def execute(self, number: int) -> int:
        self.calls += 1
        return number + self.calls


def test_a_class_in_a_process_of_its_own_is_made_there() -> None:
    async def main() -> None:
        async with Runfold("memory://", queues=[CPU]) as rf:
            assert await (await rf.start(Count, 10)).result(timeout=20) == 11

    asyncio.run(main())
