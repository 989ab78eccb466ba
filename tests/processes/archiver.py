"""One process that moves runs to the archive, a few at a time: ``archiver.py URL``."""

from __future__ import annotations

import asyncio
import sys

from runfold import Runfold
from runfold.client import log


async def archive(url: str) -> None:
    """Archive until killed or done."""
    async with Runfold(url).connect() as rf:
        print("begun", flush=True)
        await rf.log.archive(older_than=0)


if __name__ == "__main__":
    log.PAGE = 2
    asyncio.run(archive(sys.argv[1]))
