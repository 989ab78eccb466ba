"""What the demo runs, in order: a title, a flow, an input, and how the run should end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runfold import Flow
from runfold.demo import first_flow, invoice_pdf, samples, ship_order


@dataclass(frozen=True)
class Stop:
    """One run of the tour."""

    title: str
    flow: Flow[Any, Any]
    input: Any
    ends: str = "completed"
    """The status that its run should end with."""


FIRST = first_flow.Raw(rows=[3, 1, 4, 1, 5, -9, 2, 6])
ORDER = ship_order.Order(number="A-17", items=[f"item {n}" for n in range(1, 21)])
SALE = invoice_pdf.Sale(
    number="2024-0042",
    customer="Zoë Example (Ltd)",
    email="zoe@example.com",
    positions=[
        invoice_pdf.Position(text="Folding of runs, one hour", cents=12_000),
        invoice_pdf.Position(text="Paper", cents=499),
    ],
)

TOUR = (
    Stop("two steps side by side behind one event", first_flow.flow, FIRST),
    Stop("a retry, a fan-out of 20 with collect, a join", ship_order.flow, ORDER),
    Stop("an invoice: a PDF, and a mail with it", invoice_pdf.flow, SALE),
    Stop("two steps, one after the other", samples.sample_flow, "world"),
    Stop("a step that fails for good", samples.failing_flow, "world", ends="failed"),
)


def deps(folder: Path) -> Callable[[], AbstractAsyncContextManager[Path]]:
    """Return a lifespan that gives handlers the ``folder`` to write into, as ``ctx.deps``."""

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[Path]:
        yield folder

    return lifespan
