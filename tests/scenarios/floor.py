"""Where handlers meet: who is inside at once, and what was claimed."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from runfold import Runfold, Settings

ONE = Settings(slots=1)


class Floor:
    """Counts who is inside at once, by key; nobody leaves before ``free`` is set."""

    def __init__(self, stay: float = 0.0) -> None:
        self.stay = stay
        self.inside: Counter[Any] = Counter()
        self.most: Counter[Any] = Counter()
        self.order: list[Any] = []
        self.changed = asyncio.Event()
        self.free = asyncio.Event()

    async def visit(self, who: Any, key: Any = None) -> None:
        self.order.append(who)
        self.inside[key] += 1
        self.most[key] = max(self.most[key], self.inside[key])
        self.changed.set()
        await self.free.wait()
        if self.stay:
            await asyncio.sleep(self.stay)
        self.inside[key] -= 1

    async def holds(self, count: int) -> None:
        """Wait until ``count`` are inside."""
        while sum(self.inside.values()) < count:
            self.changed.clear()
            await self.changed.wait()


async def claimed(rf: Runfold, count: int) -> list[Any]:
    """Return the first ``count`` claims of the log, once there are as many."""
    found: list[Any] = []
    async for event in rf.events(types=["step.started"], follow=True):
        found.append(event)
        if len(found) == count:
            break
    return found


async def claims(rf: Runfold) -> int:
    """Return how many claims the log has when nothing more can be claimed now."""
    return len([event async for event in rf.events(types=["step.started"])])


async def done(runs: list[Any]) -> None:
    for run in runs:
        await run.result(timeout=15)
