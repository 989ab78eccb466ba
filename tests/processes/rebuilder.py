"""One process that builds a view anew, a small page at a time: ``rebuilder.py URL NAME``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from runfold import Runfold, Settings
from runfold.runtime import view_build


def said(at: Any) -> None:
    """Say how far it is, after each page."""
    print(at.position, flush=True)


async def rebuild(url: str, name: str) -> None:
    """Build until killed or done."""
    async with Runfold(url, settings=Settings(lease=3)).connect() as rf:
        await rf.projections.rebuild(name, progress=said)


if __name__ == "__main__":
    view_build.PAGE = 20
    asyncio.run(rebuild(sys.argv[1], sys.argv[2]))
