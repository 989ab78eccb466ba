"""One process that erases a run, two events at a time: ``eraser.py URL RUN PAGES``.

It is killed somewhere; after so many pages it waits for that, however late it comes.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence

from runfold import Runfold
from runfold.ports import Stored
from runfold.ports_archive import Rest
from runfold.runtime import erasure


def bounded(pages: int) -> None:
    """Let this process erase so many pages, and then nothing ever."""
    of_page, done = erasure.Erasure._rests, 0

    def rests(self: erasure.Erasure, page: Sequence[Stored]) -> list[Rest]:
        nonlocal done
        found = of_page(self, page)
        if found and done == pages:
            threading.Event().wait()
        done += bool(found)
        return found

    erasure.Erasure._rests = rests  # type: ignore[method-assign]


async def erase(url: str, run: str) -> None:
    """Erase until killed."""
    async with Runfold(url).connect() as rf:
        found = await rf.get(run)
        print("begun", flush=True)
        await found.erase()


if __name__ == "__main__":
    erasure.PAGE = 2
    bounded(int(sys.argv[3]))
    asyncio.run(erase(*sys.argv[1:3]))
