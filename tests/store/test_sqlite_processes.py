"""Several processes on one SQLite file: nothing is lost, torn, or refused as locked."""

import asyncio
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from runfold.ports import Stored
from runfold.store.sql.sqlite import SqliteStore
from runfold.testing.contract_scene import Scene
from store.sqlite_writer import EVENTS_PER_BATCH

BATCHES = 30
ENDLESS = 1_000_000
WRITER = Path(__file__).with_name("sqlite_writer.py")


def writer(url: str, appender: int, batches: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), url, str(appender), str(batches)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def acknowledged(process: subprocess.Popen[str], batches: int) -> list[int]:
    assert process.stdout is not None
    lines = itertools.islice(process.stdout, batches)
    return [int(line.split()[1]) for line in lines]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/log.db"


def read_all(url: str) -> list[Stored]:
    async def read() -> list[Stored]:
        store = SqliteStore(url)
        await store.open()
        events = await store.read(after=0, limit=1_000_000)
        await store.close()
        return events

    return asyncio.run(read())


def test_processes_that_open_a_new_file_at_once_share_one_log(url: str) -> None:
    with writer(url, 1, 3) as one, writer(url, 2, 3) as two, writer(url, 3, 3) as three:
        positions = [at for process in (one, two, three) for at in acknowledged(process, 3)]
    assert [one.returncode, two.returncode, three.returncode] == [0] * 3
    assert sorted(positions) == list(range(1, 9 * EVENTS_PER_BATCH, EVENTS_PER_BATCH))


def test_two_writers_leave_no_hole(url: str) -> None:
    with writer(url, 1, BATCHES) as one, writer(url, 2, BATCHES) as two:
        positions = acknowledged(one, BATCHES) + acknowledged(two, BATCHES)
    total = 2 * BATCHES * EVENTS_PER_BATCH
    assert [stored.position for stored in read_all(url)] == list(range(1, total + 1))
    assert sorted(positions) == list(range(1, total, EVENTS_PER_BATCH))


def test_two_writers_take_turns(url: str) -> None:
    with writer(url, 1, ENDLESS) as one, writer(url, 2, ENDLESS) as two:
        # Each gets through although the other never pauses.
        answered = [len(acknowledged(process, BATCHES)) for process in (one, two)]
        one.kill()
        two.kill()
    assert answered == [BATCHES, BATCHES]


@pytest.mark.parametrize("answers", [1, 40])
def test_a_killed_writer_leaves_whole_batches(url: str, answers: int) -> None:
    with writer(url, 1, ENDLESS) as process:
        known = acknowledged(process, answers)
        process.kill()
    events = read_all(url)
    assert len(events) % EVENTS_PER_BATCH == 0
    assert len(events) >= known[-1] - 1 + EVENTS_PER_BATCH
    assert [stored.position for stored in events] == list(range(1, len(events) + 1))
    assert {stored.topic for stored in events[3::EVENTS_PER_BATCH]} == {"step.started"}


def test_the_log_goes_on_where_a_killed_writer_was(url: str) -> None:
    with writer(url, 1, ENDLESS) as process:
        acknowledged(process, 5)
        process.kill()

    async def go_on() -> tuple[int, int]:
        store = SqliteStore(url)
        await store.open()
        head = await store.head()
        run = await Scene(store, appender=9).start("after")
        await store.close()
        return head, run

    head, run = asyncio.run(go_on())
    assert run == head + 1
