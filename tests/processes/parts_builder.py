"""One process that has others build a view in parts: ``parts_builder.py URL NAME PROCESSES``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from runfold import Runfold, Settings
from runfold.runtime import view_build


def said(at: Any) -> None:
    """Say how far they are together, after each page of one of them."""
    print(at.position, flush=True)


async def rebuild(url: str, name: str, processes: int) -> None:
    """Build until killed or done."""
    async with Runfold(url, settings=Settings(lease=3)).connect() as rf:
        await rf.projections.rebuild(name, processes=processes, progress=said)


if __name__ == "__main__":
    view_build.PAGE = 20
    asyncio.run(rebuild(sys.argv[1], sys.argv[2], int(sys.argv[3])))
