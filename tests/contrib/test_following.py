"""Subscribers: what is recorded by whoever reaches them, once, in order; and they stop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.utils import Environment

from runfold.contrib.eventsourcing import RunfoldApplicationRecorder, RunfoldFactory, subscription

SAVER = Path(__file__).with_name("saver.py")
PROCESSES, SAVES = 2, 10


@pytest.fixture(params=["new_file", "empty_postgres_url"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without anything in it, which several processes can share."""
    if request.param == "new_file":
        return f"sqlite:///{tmp_path / 'new.db'}"
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def recorder(url: str) -> Iterator[RunfoldApplicationRecorder]:
    factory = RunfoldFactory({"RUNFOLD_URL": url})
    recorder = factory.application_recorder()
    assert isinstance(recorder, RunfoldApplicationRecorder)
    yield recorder
    factory.close()


def some(count: int, topic: str = "topic") -> list[StoredEvent]:
    return [StoredEvent(uuid4(), 1, topic, b"") for _ in range(count)]


def test_several_processes_record_what_one_follows(empty_url: str) -> None:
    savers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", str(SAVER), empty_url, str(SAVES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for saver in savers:
        assert saver.stdout is not None
        assert saver.stdout.readline() == "ready\n"
    factory = RunfoldFactory(Environment("Application", {"RUNFOLD_URL": empty_url}))
    with factory.application_recorder().subscribe() as following:
        for saver in savers:
            # All find the database empty, and set it up at once.
            assert saver.stdin is not None
            saver.stdin.write("begin\n")
            saver.stdin.flush()
        seen = [next(following) for _ in range(PROCESSES * SAVES * 2)]
    for saver in savers:
        saver.communicate(timeout=20)
    factory.close()
    assert [saver.returncode for saver in savers] == [0] * PROCESSES
    assert [n.id for n in seen] == list(range(1, PROCESSES * SAVES * 2 + 1))
    assert len({n.originator_id for n in seen}) == len(seen)


def test_a_commit_of_this_process_rings(
    recorder: RunfoldApplicationRecorder, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a ring the test would take a minute.
    monkeypatch.setattr(subscription, "POLL_SECONDS_MIN", 60)
    other = RunfoldFactory({"RUNFOLD_URL": url})
    with recorder.subscribe() as following:
        ids: list[int] = []
        reading = Thread(target=lambda: ids.extend(next(following).id for _ in range(3)))
        reading.start()
        other.application_recorder().insert_events(some(2))
        recorder.insert_events(some(1))
        reading.join(20)
    other.close()
    assert ids == [1, 2, 3]


def test_stop_ends_an_iteration_that_waits(
    recorder: RunfoldApplicationRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "POLL_SECONDS_MIN", 60)
    following = recorder.subscribe()
    reading = Thread(target=lambda: list(following))
    reading.start()
    following.stop()
    reading.join(20)
    assert not reading.is_alive()


def test_what_the_topics_leave_out_is_read_once(recorder: RunfoldApplicationRecorder) -> None:
    recorder.insert_events(some(3, "common") + some(1, "rare"))
    with recorder.subscribe(topics=["rare"]) as following:
        assert next(following).id == 4
        recorder.insert_events(some(2, "common"))
        assert following._look()  # type: ignore[attr-defined]
        assert not following._look()  # type: ignore[attr-defined]
        recorder.insert_events(some(1, "rare"))
        assert next(following).id == 7


def test_more_than_a_page_is_followed(
    recorder: RunfoldApplicationRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PAGE_EVENTS_MAX", 2)
    recorder.insert_events(some(3, "a") + some(3, "b") + some(3, "a"))
    with recorder.subscribe(gt=1) as all_of_them, recorder.subscribe(topics=["a"]) as of_a:
        assert [next(all_of_them).id for _ in range(8)] == list(range(2, 10))
        assert [next(of_a).id for _ in range(6)] == [1, 2, 3, 7, 8, 9]
