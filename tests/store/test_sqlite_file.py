"""What can be wrong with a SQLite file, and what must not show: locks, forks, other writers."""

import asyncio
import os
import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from runfold.errors import InvalidInput, InvalidSettings, SchemaOutdated, StoreUnavailable
from runfold.settings import Settings
from runfold.store.sql.sqlite import SqliteStore
from runfold.store.sql.sqlite_open import connect
from runfold.testing.contract_log import LARGE
from runfold.testing.contract_scene import NOON, WORKER, Scene, event, key_of, new

ROWS = [(key_of("a"), "{}")]


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(f"sqlite:///{tmp_path}/log.db")


def opened(store: SqliteStore, work: Coroutine[Any, Any, Any]) -> Any:
    async def run() -> Any:
        await store.open()
        try:
            return await work
        finally:
            await store.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "expected 'sqlite:///file.db'"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "use 'memory://'"),
        ("sqlite:///log.db?mode=ro", "without parameters"),
        ("postgresql://log", "expected 'sqlite:///file.db'"),
    ],
)
def test_a_url_that_names_no_file_is_refused(url: str, says: str) -> None:
    with pytest.raises(InvalidSettings, match=says):
        SqliteStore(url)


def test_a_url_is_relative_or_absolute(tmp_path: Path) -> None:
    assert SqliteStore("sqlite:///log.db").path == Path.cwd() / "log.db"
    assert SqliteStore(f"sqlite:///{tmp_path}/log.db").path == tmp_path / "log.db"


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    store = SqliteStore(f"sqlite:///{tmp_path}/none/log.db")
    with pytest.raises(InvalidSettings, match=r"none' is no directory; create it"):
        asyncio.run(store.open())


def test_a_file_that_is_no_database_is_refused_and_left_alone(store: SqliteStore) -> None:
    store.path.write_text("shopping: milk, bread, and a few more things to fill the header\n" * 9)
    before = store.path.read_bytes()
    with pytest.raises(InvalidSettings, match="is not a SQLite database"):
        asyncio.run(store.open())
    assert store.path.read_bytes() == before


def test_a_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="cannot be written"):
        asyncio.run(SqliteStore(f"sqlite:///{tmp_path}").open())


def test_a_file_that_may_not_be_written_is_refused(store: SqliteStore, monkeypatch: Any) -> None:
    opened(store, Scene(store).start("a"))
    connect = sqlite3.connect

    def read_only(path: Path, **options: Any) -> sqlite3.Connection:
        return connect(f"file:{path}?mode=ro", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    with pytest.raises(InvalidSettings, match="must be writable"):
        asyncio.run(store.attach("another").open())


def test_a_newer_schema_is_refused(store: SqliteStore) -> None:
    opened(store, store.head())
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE schema_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(SchemaOutdated, match="newer"):
        asyncio.run(store.open())


def test_a_store_that_is_not_open_says_so(store: SqliteStore) -> None:
    with pytest.raises(StoreUnavailable, match="is not open"):
        asyncio.run(store.head())


def test_a_store_used_after_a_fork_says_so(store: SqliteStore, monkeypatch: Any) -> None:
    async def use() -> None:
        with monkeypatch.context() as forked:
            forked.setattr(os, "getpid", lambda: -1)
            with pytest.raises(StoreUnavailable, match="after a fork in -1"):
                await Scene(store).start("a")

    opened(store, use())


def test_a_connection_waits_for_one_that_has_the_whole_file_for_a_moment(
    store: SqliteStore,
) -> None:
    async def main() -> None:
        await store.open()
        await store.close()
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("CREATE TABLE mine (n INTEGER)")
            made = asyncio.create_task(asyncio.to_thread(connect, store.path, store.settings))
            done, _ = await asyncio.wait([made], timeout=0.2)
            assert not done
        with closing(await made) as connection:
            assert connection.execute("SELECT count(*) FROM mine").fetchall() == [(0,)]
            assert connection.execute("PRAGMA busy_timeout").fetchall() == [(0,)]

    asyncio.run(main())


def test_a_lock_held_by_another_delays_and_is_never_an_error(store: SqliteStore) -> None:
    async def contend() -> tuple[int, list[int]]:
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        scenes = [Scene(store, appender) for appender in range(1, 6)]
        commits = asyncio.gather(*[scene.start(f"run {scene.appender}") for scene in scenes])
        turns = 0
        for _ in range(20):
            await asyncio.sleep(0.005)
            turns += 1
            assert await store.head() == 0
        assert not commits.done()
        other.execute("ROLLBACK")
        other.close()
        return turns, sorted(await commits)

    assert opened(store, contend()) == (20, [1, 2, 3, 4, 5])


def test_closing_ends_a_commit_that_waits_for_another_writer(store: SqliteStore) -> None:
    async def close_while_waiting() -> None:
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.gather(Scene(store).start("a"), return_exceptions=True)
        await asyncio.sleep(0)
        await store.close()
        (error,) = await waiting
        assert isinstance(error, StoreUnavailable)
        other.close()

    opened(store, close_while_waiting())


def test_a_renewer_waits_for_the_file(store: SqliteStore) -> None:
    async def renew() -> bool:
        renewer = store.renewer(1, 30)
        other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        renewing = asyncio.gather(asyncio.to_thread(renewer.renew))
        await asyncio.sleep(0.02)
        other.execute("ROLLBACK")
        other.close()
        (renewed,) = await renewing
        renewer.close()
        return renewed

    assert opened(store, renew()) is False


def test_large_events_are_kept_once_beside_the_log(store: SqliteStore) -> None:
    scene = Scene(store)
    opened(store, scene.commit(new("a", event("emit", LARGE)), new("b", event("emit", LARGE))))
    with sqlite3.connect(store.path) as connection:
        bodies = connection.execute("SELECT count(*), max(body) FROM blobs").fetchall()
        states = connection.execute("SELECT DISTINCT state FROM events").fetchall()
    connection.close()
    assert (bodies, states) == ([(1, LARGE)], [(None,)])


def test_batch_numbers_are_forgotten_after_an_hour(store: SqliteStore) -> None:
    async def count() -> int:
        scene = Scene(store)
        for _ in range(255):
            await scene.commit(now=NOON)
        await scene.commit(now=NOON.replace(hour=14))
        connection = sqlite3.connect(store.path)
        (found,) = connection.execute("SELECT count(*) FROM batches").fetchone()
        connection.close()
        return int(found)

    assert opened(store, count()) == 1


def test_a_full_write_ahead_file_is_moved_into_the_database(
    store: SqliteStore, monkeypatch: Any
) -> None:
    monkeypatch.setattr("runfold.store.sql.sqlite_checkpoint.PAGES_PER_CHECKPOINT", 50)

    async def write() -> int:
        scene = Scene(store)
        for number in range(200):
            await scene.start(f"run {number}")
        for _ in range(100):
            await asyncio.sleep(0.02)
            if store.path.stat().st_size > 50_000:
                break
        return store.path.stat().st_size

    assert opened(store, write()) > 50_000


def test_a_start_is_enlisted_through_sqlalchemy(store: SqliteStore) -> None:
    async def enlist() -> list[bytes]:
        engine = create_engine(f"sqlite:///{store.path}")
        with engine.begin() as connection:
            store.enlist(connection, ROWS)
        with Session(engine) as session:
            store.enlist(session, ROWS)
            session.rollback()
        with Session(engine) as session, session.begin():
            store.enlist(session, [(key_of("b"), "{}")])
        engine.dispose()
        return [row.run_id for row in await store.inbox(10)]

    assert opened(store, enlist()) == [key_of("a"), key_of("b")]


def test_a_connection_to_another_file_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    async def enlist() -> None:
        for name in (":memory:", str(tmp_path / "other.db")):
            other = sqlite3.connect(name)
            with pytest.raises(InvalidInput, match="expected the file of this store"):
                store.enlist(other, ROWS)
            other.close()

    opened(store, enlist())


def test_synchronous_is_as_the_settings_say(tmp_path: Path) -> None:
    store = SqliteStore(f"sqlite:///{tmp_path}/log.db", Settings(synchronous="NORMAL"))

    async def ask() -> int:
        return await store._held.writer.run(
            lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0]
        )

    assert opened(store, ask()) == 1


def test_a_claim_that_gets_nothing_leaves_the_file_as_it_is(store: SqliteStore) -> None:
    async def run() -> tuple[int, int, int]:
        scene = Scene(store)
        await scene.commit(new("a"))
        await scene.meet(WORKER)
        other = sqlite3.connect(store.path)

        def version() -> int:
            return int(other.execute("pragma data_version").fetchone()[0])

        before = version()
        for _ in range(3):
            assert not await scene.claim()
        after_claims = version()
        await scene.commit(new("b"))
        after_item = version()
        other.close()
        return before, after_claims, after_item

    before, after_claims, after_item = opened(store, run())
    assert after_claims == before
    assert after_item != before
