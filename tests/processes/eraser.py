"""One process that erases a run, two events at a time: ``eraser.py URL RUN``."""

from __future__ import annotations

import asyncio
import sys

from runfold import Runfold
from runfold.runtime import erasure


async def erase(url: str, run: str) -> None:
    """Erase until killed or done."""
    async with Runfold(url).connect() as rf:
        found = await rf.get(run)
        print("begun", flush=True)
        await found.erase()


if __name__ == "__main__":
    erasure.PAGE = 2
    asyncio.run(erase(*sys.argv[1:]))
