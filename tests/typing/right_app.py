"""Programs that are right, from the caller's side."""

from __future__ import annotations

from typing import Any, assert_type

from models import Note, Raw, Report
from right import bare, fetch, flow, send, tick

from runfold import Capsule, Concurrency, LogEvent, RateLimit, Run, Runfold, RunState


async def main(rf: Runfold) -> None:
    run = await rf.start(flow, Raw(rows=[1]), key="k", tags=["a"], delay=5, priority=9)
    assert_type(run, Run[Report])
    assert_type(await run.result(timeout=10), Report)
    assert_type(await (await rf.start(send, Note("x"))).result(), Report)
    assert_type(await (await rf.start(fetch, Note("x"))).result(), list[int])
    assert_type(await rf.start(bare, {"any": "thing"}), Run[Any])
    assert_type(await rf.start("by-name", {"any": "thing"}), Run[Any])
    assert_type(await run.retry(), Run[Report])
    assert_type(await run.restart(definition="recorded", deadline=None), Run[Report])
    assert_type(await run.fork(at=1, input=Raw(rows=[]), state={"n": 1}), Run[Report])
    assert_type((await run.diff(run)).same, bool)
    assert_type((await run.why("step")).total, float)
    (await run.export(redact=["input.rows"])).save("file")
    assert_type(await rf.import_run(Capsule.load("file")), Run[Any])
    assert_type(rf.sync.start(flow, Raw(rows=[1])).fork(at=1).result(), Report)
    await rf.start(tick)
    await rf.start(bare)
    text: str = (await run.result()).text
    print(text)


async def watch(rf: Runfold) -> None:
    run = await rf.start(flow, Raw(rows=[1]))
    async for progress in run.progress():
        assert_type(progress.percent, float)
        assert_type(progress.message, str | None)
    async for chunk in run.output("report"):
        assert_type(chunk.attempt, int | None)
        print(chunk.upper())
    async for frame in run.sse(types=["step.progress"], after="7"):
        assert_type(frame, bytes)
    async for event in rf.events(of=flow, follow=True):
        assert_type(event, LogEvent)

    async def heard(event: LogEvent) -> None:
        print(event.type)

    stop = rf.listen(heard, types=["flow.failed"])
    rf.listen(print, run=run)
    stop()


async def operate(rf: Runfold) -> None:
    page = await rf.runs.list(flow, status=["failed", "PENDING"], tags=["a"], limit=5)
    assert_type(page.items, list[RunState])
    assert_type(await rf.runs.count(status="failed"), int)
    assert_type(await rf.runs.cancel(flow, tags=["a"], reason="enough"), int)
    assert_type((await rf.flows.graph(flow)).mermaid(), str)
    await rf.queues.pause("mail", key="zoe")
    await rf.queues.limit("mail", [Concurrency(3), RateLimit(4, 60)])
    assert_type((await rf.queues.stats("mail")).ready, int)
    await rf.workers.scale("mail", 4)
