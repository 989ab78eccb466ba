"""An attached Application: a log of its own, its own ids and versions, exact conflicts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import IntegrityError, StoredEvent, Tracking
from eventsourcing.utils import Environment
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from contrib.suites import MODULE
from runfold import Flow, Runfold
from runfold.contrib.eventsourcing import RunfoldFactory
from runfold.contrib.eventsourcing.originator import decode, encode
from runfold.store.sql import attached_queries

Attach = Callable[[str], RunfoldFactory]
IDS = st.one_of(st.uuids(), st.text(st.characters(exclude_categories=["Cs"])))


class Note(Aggregate):
    def __init__(self, text: str) -> None:
        self.text = text


@pytest.fixture
def attach(url: str) -> Iterator[Attach]:
    """A function that returns a factory of the Application of that name."""
    made: list[RunfoldFactory] = []

    def new(name: str) -> RunfoldFactory:
        made.append(RunfoldFactory(Environment(name, {"RUNFOLD_URL": url})))
        return made[-1]

    yield new
    for factory in made:
        factory.close()


def event(of: UUID | str, version: int = 1, topic: str = "topic") -> StoredEvent:
    return StoredEvent(of, version, topic, b"state")


def test_two_applications_of_one_database_do_not_see_each_other(attach: Attach) -> None:
    orders, bills = (attach(name).application_recorder() for name in ("Orders", "Bills"))
    shared = uuid4()
    orders.insert_events([event(shared), event(shared, 2)])
    assert bills.insert_events([event(shared)]) == [1]
    assert bills.select_events(shared) == [event(shared)]
    assert orders.max_notification_id() == 2
    assert [n.id for n in bills.select_notifications(None, 10)] == [1]


def test_snapshots_stand_beside_the_events(attach: Attach) -> None:
    factory = attach("Orders")
    events, snapshots = factory.application_recorder(), factory.aggregate_recorder("snapshots")
    order = uuid4()
    events.insert_events([event(order)])
    snapshots.insert_events([event(order)])
    assert events.max_notification_id() == 1


def test_what_one_application_tracks_is_not_tracked_by_another(attach: Attach) -> None:
    one, other = (attach(name).tracking_recorder() for name in ("One", "Other"))
    one.insert_tracking(Tracking("upstream", 7))
    assert other.max_tracking_id("upstream") is None


def test_the_engine_and_an_application_do_not_see_each_other(url: str, attach: Attach) -> None:
    recorder = attach("default").application_recorder()
    recorder.insert_events([event(uuid4(), topic="of-the-application")])
    flow = Flow("greet")

    @flow.entry()
    async def greet() -> str:
        return "hello"

    async def run() -> list[str]:
        async with Runfold(url, flows=[flow]) as rf:
            started = await rf.start(flow)
            assert await started.result(timeout=20) == "hello"
            return [seen.type async for seen in rf.events()]

    types = asyncio.run(run())
    assert types[:2] == ["flow.defined", "flow.start"]
    assert "of-the-application" not in types
    assert recorder.max_notification_id() == 1


@given(IDS)
def test_an_id_comes_back_with_its_type(originator_id: UUID | str) -> None:
    assert decode(encode(originator_id)) == originator_id
    assert (len(encode(originator_id)) == 16) == isinstance(originator_id, UUID)


def test_a_string_of_the_bytes_of_a_uuid_is_another_id(attach: Attach) -> None:
    recorder = attach("Orders").application_recorder()
    text = "fifteen letters"
    twin = UUID(bytes=b"s" + text.encode())
    recorder.insert_events([event(text), event(twin), event(str(twin))])
    found = [n.originator_id for n in recorder.select_notifications(None, 10)]
    assert found == [text, twin, str(twin)]


def test_versions_are_the_callers(attach: Attach) -> None:
    recorder = attach("Orders").application_recorder()
    order = uuid4()
    recorder.insert_events([event(order, 5), event(order, 0)])
    assert [e.originator_version for e in recorder.select_events(order)] == [0, 5]


def test_of_two_threads_that_record_one_version_one_succeeds(attach: Attach) -> None:
    recorders = [attach("Orders").application_recorder() for _ in range(2)]
    orders = [uuid4() for _ in range(20)]
    together = Barrier(2)

    def insert(recorder: object) -> list[bool]:
        won = []
        for order in orders:
            together.wait(20)
            try:
                recorder.insert_events([event(order)])  # type: ignore[attr-defined]
                won.append(True)
            except IntegrityError:
                won.append(False)
        return won

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(insert, recorders)
    assert [not won for won in first] == second
    # What was refused took no position.
    assert [n.id for n in recorders[0].select_notifications(None, 99)] == list(range(1, 21))


def test_events_and_tracking_are_recorded_together_or_not_at_all(attach: Attach) -> None:
    recorder = attach("Orders").process_recorder()
    order = uuid4()
    recorder.insert_events([event(order)], tracking=Tracking("upstream", 2))
    with pytest.raises(IntegrityError, match="beyond 2"):
        recorder.insert_events([event(order, 2)], tracking=Tracking("upstream", 2))
    with pytest.raises(IntegrityError):
        recorder.insert_events([event(order)], tracking=Tracking("upstream", 3))
    assert recorder.max_tracking_id("upstream") == 2
    assert recorder.max_notification_id() == 1


def test_old_tracking_is_swept(attach: Attach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached_queries, "TRACKED_ROWS_MAX", 3)
    recorder = attach("Orders").tracking_recorder()
    for position in range(1, 11):
        recorder.insert_tracking(Tracking("upstream", position))
    positions = select(attached_queries.TRACKING.c.position)
    kept = recorder.read(lambda connection: connection.scalars(positions).all())
    assert sorted(kept) == [9, 10]


def test_notifications_of_a_rare_topic_are_found(
    attach: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached_queries, "WINDOW_EVENTS", 10)
    recorder = attach("Orders").application_recorder()
    rare = {7, 38, 90}
    recorder.insert_events(
        [event(uuid4(), topic="rare" if at in rare else "common") for at in range(1, 101)]
    )
    assert [n.id for n in recorder.select_notifications(1, 9, topics=["rare"])] == [7, 38, 90]
    assert [n.id for n in recorder.select_notifications(1, 2, topics=["rare"])] == [7, 38]
    assert [n.id for n in recorder.select_notifications(8, 9, 89, topics=["rare"])] == [38]


def test_more_streams_than_one_statement_looks_up(attach: Attach) -> None:
    recorder = attach("Orders").application_recorder()
    orders = [uuid4() for _ in range(1100)]
    recorder.insert_events([event(order) for order in orders])
    again = recorder.insert_events([event(order, 2) for order in orders])
    assert again == list(range(1101, 2201))
    assert len(recorder.select_events(orders[-1])) == 2


def test_compressor_and_cipher_of_the_library_apply(url: str) -> None:
    secret = "a secret that is long enough to be compressed " * 5
    env = {
        "PERSISTENCE_MODULE": MODULE,
        "RUNFOLD_URL": url,
        "COMPRESSOR_TOPIC": "zlib",
        "CIPHER_TOPIC": "eventsourcing.cipher:AESCipher",
        "CIPHER_KEY": "MDEyMzQ1Njc4OWFiY2RlZg==",
    }

    with Application[UUID](env) as app:
        note = Note(secret)
        app.save(note)
        assert app.repository.get(note.id).text == secret  # type: ignore[attr-defined]
        (stored,) = app.recorder.select_notifications(None, 1)
        assert b"secret" not in stored.state
        assert len(stored.state) < len(secret)
