"""Flows that write payments in ``ctx.transaction()``, and the tables that they write to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, select

from runfold import Context, Flow, Retry, SyncContext
from runfold.testing import SimulatedRun, Simulation

METADATA = MetaData()
PAYMENTS = Table(
    "payments",
    METADATA,
    Column("id", String, primary_key=True),
    Column("amount", Integer, nullable=False),
)
create = METADATA.create_all
AGAIN = Retry(3, base=1, jitter=0)


def paying(before_end: Callable[[], Any] = lambda: None) -> Flow[int, str]:
    """A flow whose ``async def`` waits nearly ten seconds between two writes of its transaction."""
    flow: Flow[int, str] = Flow("paying", input=int)

    @flow.entry(retry=AGAIN)
    async def pay(amount: int, ctx: Context) -> str:
        async with ctx.transaction() as connection:
            for part in (1, 2):
                row = {"id": f"{ctx.job_id}/{part}", "amount": amount}
                await connection.execute(PAYMENTS.insert(), row)
                if part == 1:
                    await asyncio.sleep(9.7)  # While no part of the engine asks the store.
            before_end()
        return f"attempt {ctx.attempt}"

    return flow


def paying_sync(before_end: Callable[[], Any] = lambda: None) -> Flow[int, str]:
    """The same with a ``def``, which does not wait."""
    flow: Flow[int, str] = Flow("paying_sync", input=int)

    @flow.entry(retry=AGAIN)
    def pay_sync(amount: int, ctx: SyncContext) -> str:
        with ctx.transaction() as connection:
            for part in (1, 2):
                row = {"id": f"{ctx.job_id}/{part}", "amount": amount}
                connection.execute(PAYMENTS.insert(), row)
            before_end()
        return f"attempt {ctx.attempt}"

    return flow


def amounts(connection: Connection) -> list[int]:
    """Return what was paid."""
    return sorted(connection.execute(select(PAYMENTS.c.amount)).scalars())


def paid(sim: Simulation) -> list[int]:
    """Return what was paid, as the test sees it."""
    with sim.connect() as connection:
        return amounts(connection)


def attempts(run: SimulatedRun[Any]) -> list[str]:
    """Return how the attempts of a run ended, in order."""
    ends = ("step.completed", "step.errored", "step.stalled")
    return [event.type for event in run.events if event.type in ends]
