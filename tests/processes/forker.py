"""A process that forks one run without pause until it is killed: ``forker.py URL RUN VERSION``."""

from __future__ import annotations

import asyncio
import sys

from processes.member import engine


async def fork(url: str, run_id: str, version: int) -> None:
    """Fork for ever; say when it has begun."""
    async with engine(url).connect() as rf:
        run = await rf.get(run_id)
        await run.fork(at=version)
        print("ready", flush=True)
        while True:
            await asyncio.gather(*(run.fork(at=version) for _ in range(3)))


if __name__ == "__main__":
    asyncio.run(fork(sys.argv[1], sys.argv[2], int(sys.argv[3])))
