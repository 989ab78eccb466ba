"""Programs that are wrong, from the caller's side; marked as in ``wrong.py``."""

from __future__ import annotations

from models import Note, Prepared, Raw
from right import fetch, flow, send

from runfold import Run, Runfold


async def main(rf: Runfold) -> None:
    await rf.start(flow, Prepared(count=1))  # wrong: the input
    await rf.start(send, Raw(rows=[]))  # wrong: the input of a job
    await rf.start(5)  # wrong: nothing to start
    run = await rf.start(flow, Raw(rows=[1]))
    number: int = await run.result()  # wrong: the result is a Report
    print((await run.result()).rows)  # wrong: a Report has none
    other: Run[Prepared] = await rf.start(flow, Raw(rows=[]))  # wrong: a run of a Report
    texts: list[str] = await (await rf.start(fetch, Note("x"))).result()  # wrong: list[int]
    print(number, other, texts)


async def operate(rf: Runfold) -> None:
    run = await rf.start(flow, Raw(rows=[1]))
    rf.listen("print")  # wrong: nothing to call
    rf.listen(print, run=run.id)  # wrong: an id is no Run
    run.sse(after=1.5)  # wrong: no id of an event
    await rf.runs.cancel(flow)  # wrong: the tags of the group are missing
    await rf.runs.list(limit="50")  # wrong: a number
    await rf.queues.limit("mail", [3])  # wrong: no limit
    await rf.workers.scale("mail", "4")  # wrong: a number
