"""A process that writes batches to a SQLite log and says each that was answered.

python sqlite_writer.py URL APPENDER BATCHES
"""

import asyncio
import sys

from runfold.ports import Batch
from runfold.store.sql.sqlite import SqliteStore
from runfold.testing.contract_scene import LONG, claim, event, member, new, row

EVENTS_PER_BATCH = 4
"""Two of a new run, one of another, and the claim of the first run's job."""


async def write(url: str, appender: int, batches: int) -> None:
    store = SqliteStore(url)
    await store.open()
    await store.join(member(appender), LONG)
    for number in range(1, batches + 1):
        first = new(f"{appender}-{number}-a", event(), event(), rows=[row(queue=str(appender))])
        second = new(f"{appender}-{number}-b")
        claims = [claim(1, token=appender, queue=str(appender))]
        done = await store.commit(Batch(appender, number, [first, second], claims))
        print(number, done.first_position, flush=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
