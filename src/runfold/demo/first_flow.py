r"""A flow of three steps: one prepares, two work on what it prepared, side by side.

    start --data.prepared--> process
                        \--> validate

No step has ``returns=True``: the run's result is a dict with what each leaf returned.
"""

from __future__ import annotations

from pydantic import BaseModel

from runfold import Context, Flow, SyncContext, Topic


class Raw(BaseModel):
    """Rows as they come in."""

    rows: list[int]


class Prepared(BaseModel):
    """Rows without the impossible ones."""

    rows: list[int]
    dropped: int


class Validated(BaseModel):
    """What ``validate`` found."""

    valid: bool
    rows: int


prepared = Topic("data.prepared", Prepared)
flow = Flow("my-flow", input=Raw)


@flow.entry(emits=[prepared])
async def start(data: Raw, ctx: Context) -> None:
    """Drop negative rows, and say what is left."""
    rows = [row for row in data.rows if row >= 0]
    ctx.log.info("Flow started", rows=len(data.rows))
    ctx.emit(prepared, Prepared(rows=rows, dropped=len(data.rows) - len(rows)))


@flow.step(subscribes=prepared)
def process(data: Prepared, ctx: SyncContext) -> int:
    """Add the rows up; a plain ``def`` runs in a thread."""
    total = 0
    for count, row in enumerate(data.rows, start=1):
        total += row
        ctx.progress(100 * count / len(data.rows))
    return total


@flow.step(subscribes=prepared)
async def validate(data: Prepared, ctx: Context) -> Validated:
    """Judge the rows, and leave the verdict in the run's shared state."""
    await ctx.state.set("dropped", data.dropped)
    return Validated(valid=data.dropped == 0, rows=len(data.rows))
