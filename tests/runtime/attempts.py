"""Attempts for tests of the executor: tasks around a handler, and what was recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from runfold.define import Flow, Handler
from runfold.errors import InvalidSettings
from runfold.kernel.event import Draft, Event
from runfold.ports import Job
from runfold.runtime.executor import Executor
from runfold.runtime.task import Task
from runfold.system import SystemClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUN_ID = "018f0000-0000-7000-8000-000000000001"
JOB = Job(
    id=7, stream=1, run_id=bytes(16), flow="f", step="s", activation=1, attempt=2, queue="cpu",
    priority=5, key="k", inputs=None, position=9, version=3, ts=NOON,
)  # fmt: skip


class Bench:
    """An executor, the facts that handlers left, and the state that is committed."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.facts: list[Event] = []
        self.batches: list[list[Event]] = []
        self.state: dict[str, Any] = {}

    async def record(self, _: Job, drafts: Sequence[Draft]) -> None:
        await asyncio.sleep(0)
        self.batches.append([draft.event for draft in drafts])
        self.facts += self.batches[-1]

    async def read_state(self, _: int, key: str) -> tuple[bool, Any]:
        await asyncio.sleep(0)
        return key in self.state, self.state.get(key)

    def transaction(self, *, blocking: bool) -> Any:
        message = f"no database here (blocking={blocking})"
        raise InvalidSettings(message)

    def task(self, fn: Callable[..., Any], *, timeout: float | None = None, **given: Any) -> Task:
        """Return a task for ``fn``, which is compiled as the entry of a flow."""
        options = {name: given.pop(name) for name in ("emits", "process", "retry") if name in given}
        flow = Flow("f")
        flow.entry("s", **options)(fn)
        handler: Handler = flow.compile().handlers["s"]
        handler = replace(handler, **{k: given.pop(k) for k in ("standalone",) if k in given})
        given.setdefault("record", self.record)
        return Task(
            job=given.pop("job", JOB),
            handler=handler,
            run_id=RUN_ID,
            timeout=timeout,
            read_state=self.read_state,
            transaction=self.transaction,
            **given,
        )

    async def run(self, fn: Callable[..., Any], **given: Any) -> list[Draft]:
        """Execute ``fn`` once."""
        return await self.executor.execute(self.task(fn, **given))

    async def end(self, fn: Callable[..., Any], **given: Any) -> Any:
        """Execute ``fn`` once; return the event that ends its attempt."""
        return (await self.run(fn, **given))[-1].event


@asynccontextmanager
async def bench(**options: Any):
    """A bench whose tasks all end with the block."""
    tasks: set[asyncio.Task[Any]] = set()

    def spawn(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    executor = Executor(spawn=spawn, clock=SystemClock(), **options)
    try:
        yield Bench(executor)
    finally:
        executor.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def on_bench(test: Callable[[Bench], Awaitable[None]], **options: Any) -> None:
    """Run an async test with a bench of its own."""

    async def main() -> None:
        async with asyncio.timeout(30), bench(**options) as made:
            await test(made)

    asyncio.run(main())


async def until(holds: Callable[[], object]) -> None:
    """Wait until ``holds``; the test's own time limit is the bound."""
    while not holds():  # noqa: ASYNC110 - whatever it waits for has no event
        await asyncio.sleep(0.001)
