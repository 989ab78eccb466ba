"""What is wrong with a URL, a setting, a schema or a definition is said before anything runs."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

from runfold import (
    Context,
    Flow,
    InvalidDefinition,
    InvalidSettings,
    Queue,
    Runfold,
    SchemaOutdated,
    Settings,
    StoreUnavailable,
    after,
    all_of,
    collect,
)
from scenarios.scene import finished, scenario


def one_step(name: str = "one") -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow(name)

    @flow.entry()
    async def start(data: Any) -> Any:
        return data

    return flow


@pytest.mark.parametrize(
    "url",
    [
        "", "nonsense", "mysql://host/db", "http://host", "sqlite://", "sqlite:///",
        "sqlite:///:memory:", "sqlite:///f.db?mode=ro", "sqlite:/f.db", "postgresql", "postgresql:",
        "postgresql://host:port/db", "memory:", "memory://x", "MEMORY://",
    ],
)  # fmt: skip
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        Runfold(url)
    assert "url" in str(caught.value).lower()


def test_an_error_about_a_url_tells_no_password() -> None:
    for url in ("mysql://ann:secret@host/db", "postgresql://ann:secret@host:port/db"):
        with pytest.raises(InvalidSettings) as caught:
            Runfold(url)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("given", [7, object(), b"memory://", Path("runfold.db")])
def test_what_is_neither_a_url_nor_a_store_is_refused(given: Any) -> None:
    with pytest.raises(InvalidSettings, match="expected"):
        Runfold(given)


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "asyncpg"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("runfold.store.sql.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(InvalidSettings, match="asyncpg"):
        Runfold("postgresql://localhost/db")


@scenario
async def test_a_server_that_is_not_there_is_unavailable() -> None:
    rf = Runfold("postgresql://nobody@127.0.0.1:9/nothing")
    with pytest.raises(StoreUnavailable):
        async with rf:
            raise AssertionError
    assert not rf.entered


@scenario
async def test_a_file_in_no_folder_and_a_file_that_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="is no directory"):
        async with Runfold(f"sqlite:///{tmp_path}/missing/f.db"):
            raise AssertionError
    (tmp_path / "text.db").write_text("this is no database" * 100)
    with pytest.raises(InvalidSettings, match="is not a SQLite database"):
        async with Runfold(f"sqlite:///{tmp_path}/text.db"):
            raise AssertionError


@pytest.mark.parametrize(
    "wrong",
    [
        {"lease": 2}, {"grace": -1}, {"drain": -1}, {"poll_max": 0}, {"slots": 0},
        {"threads": 0}, {"synchronous": "OFF"}, {"payload_max": 0}, {"lease": float("nan")},
        {"drain": float("nan")}, {"lease": "30"}, {"slots": "ten"}, {"slots": 1.5},
    ],
    ids=str,
)  # fmt: skip
def test_a_setting_that_cannot_be_names_itself(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings, match=next(iter(wrong))):
        Settings(**wrong)


@scenario
async def test_one_mode_at_a_time(url: str) -> None:
    rf = Runfold(url, flows=[one_step()])
    async with rf:
        for mode in (rf, rf.connect(), rf.serve(), rf.serve({"worker"})):
            with pytest.raises(InvalidSettings, match="entered already"):
                async with mode:
                    raise AssertionError
        assert await (await finished(rf, "one", 1)).result() == 1


@scenario
async def test_two_tasks_that_enter_at_once_do_not_both_get_in(url: str) -> None:
    rf = Runfold(url, flows=[one_step()])
    let_go = asyncio.Event()

    async def enter() -> str:
        async with rf:
            await let_go.wait()
            return "entered"

    entering = [asyncio.create_task(enter()) for _ in range(2)]
    done, _ = await asyncio.wait(entering, return_when=asyncio.FIRST_COMPLETED)
    let_go.set()
    answers = await asyncio.gather(*entering, return_exceptions=True)
    assert len(done) == 1
    assert "entered" in answers
    assert [type(answer) for answer in answers].count(InvalidSettings) == 1


@pytest.mark.parametrize(
    "roles", [{"cook"}, {"worker", "cook"}, [], "worker"], ids=["unknown", "one", "none", "text"]
)
@scenario
async def test_a_role_that_there_is_not_is_refused(url: str, roles: Any) -> None:
    with pytest.raises(InvalidSettings, match="expected some of"):
        async with Runfold(url, flows=[one_step()]).serve(roles):
            raise AssertionError


@pytest.mark.parametrize("slots", [0, -1, 1.5, "2", True], ids=repr)
@scenario
async def test_slots_that_cannot_be_are_refused_and_nothing_is_stored(url: str, slots: Any) -> None:
    entered: list[str] = []
    lifespan: Any = lambda: entered.append("yes")
    rf = Runfold(url, flows=[one_step()], lifespan=lifespan)
    with pytest.raises(InvalidSettings, match="'default' has"):
        async with rf.serve(queues={"default": slots}):
            raise AssertionError
    async with rf.connect():
        assert [event async for event in rf.events()] == []
    assert entered == []


@scenario
async def test_a_queue_that_no_step_uses_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"'cqu'.*'default'"):
        async with Runfold(url, flows=[one_step()]).serve(queues={"cqu": 2, "default": 1}):
            raise AssertionError


def flow_with(add: Callable[[Flow[Any, Any]], None], **options: Any) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = Flow("broken", **options)

    @flow.entry(emits=["go"])
    async def start(data: Any, ctx: Context) -> None:
        ctx.emit("go")

    add(flow)
    return flow


def unknown_event(flow: Flow[Any, Any]) -> None:
    @flow.step(subscribes="nowhere")
    async def lost(data: Any) -> None: ...


def two_entries(flow: Flow[Any, Any]) -> None:
    @flow.entry()
    async def second(data: Any) -> None: ...


def two_of_a_name(flow: Flow[Any, Any]) -> None:
    @flow.step("twin", subscribes="go")
    async def one(data: Any) -> None: ...

    @flow.step("twin", subscribes="go")
    async def two(data: Any) -> None: ...


def unreachable(flow: Flow[Any, Any]) -> None:
    @flow.step(subscribes="ping", emits=["pong"])
    async def a(data: Any) -> None: ...

    @flow.step(subscribes="pong", emits=["ping"])
    async def b(data: Any) -> None: ...


def after_nobody(flow: Flow[Any, Any]) -> None:
    @flow.step(subscribes=after("ghost"))
    async def lost(data: Any) -> None: ...


def collects_itself(flow: Flow[Any, Any]) -> None:
    @flow.step(subscribes=collect("go"), emits=["go"])
    async def gather(data: Any) -> None: ...


def half_a_join(flow: Flow[Any, Any]) -> None:
    @flow.step(subscribes=all_of("go", "never"))
    async def join(data: Any) -> None: ...


class Report(BaseModel):
    text: str


def wrong_result(flow: Flow[Any, Any]) -> None:
    @flow.step(subscribes="go", returns=True)
    async def finish(data: Any) -> int: ...  # type: ignore[empty-body]


def no_result(flow: Flow[Any, Any]) -> None:
    @flow.step(subscribes="go")
    async def finish(data: Any) -> None: ...


@pytest.mark.parametrize(
    ("add", "named", "options"),
    [
        (unknown_event, "'lost'.*'nowhere'|'nowhere'.*'lost'", {}),
        (two_entries, "second", {}),
        (two_of_a_name, "'twin'", {}),
        (unreachable, "'a'|'b'", {}),
        (after_nobody, "'ghost'", {}),
        (collects_itself, "'gather'", {}),
        (half_a_join, "'never'", {}),
        (wrong_result, "'finish' returns int", {"result": Report}),
        (no_result, "returns=True", {"result": Report}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@scenario
async def test_a_definition_that_cannot_work_is_refused_when_served(
    url: str, add: Any, named: str, options: dict[str, Any]
) -> None:
    rf = Runfold(url, flows=[one_step("sound"), flow_with(add, **options)])
    with pytest.raises(InvalidDefinition, match="flow 'broken'") as caught:
        async with rf:
            raise AssertionError
    caught.match(named)
    assert not rf.entered
    async with Runfold(url).connect() as client:
        assert [event async for event in client.events()] == []


@scenario
async def test_a_flow_without_steps_is_not_served_by_mistake(url: str) -> None:
    empty: Flow[Any, Any] = Flow("empty")
    with pytest.raises(InvalidDefinition, match="'empty'"):
        async with Runfold(url, flows=[empty]).serve({"worker"}):
            raise AssertionError


@scenario
async def test_two_flows_or_jobs_of_one_name_are_refused(url: str) -> None:
    queue = Queue("q")

    @queue.job("a")
    async def first(data: Any) -> None: ...

    with pytest.raises(InvalidDefinition, match="two jobs are called 'q/a'"):

        @queue.job("a")
        async def second(data: Any) -> None: ...

    twin = Queue("q")

    @twin.job("a")
    async def third(data: Any) -> None: ...

    for wrong in (
        {"flows": [one_step("same"), one_step("same")]},
        {"flows": [one_step("q/a")], "queues": [queue]},
        {"queues": [queue, twin]},
    ):
        with pytest.raises(InvalidDefinition, match="two flows or jobs are called"):
            async with Runfold(url, **wrong):  # type: ignore[arg-type]
                raise AssertionError


@scenario
async def test_the_same_object_twice_is_once(url: str) -> None:
    flow = one_step()
    async with Runfold(url, flows=[flow, flow]) as rf:
        assert await (await finished(rf, flow, 1)).result() == 1


@pytest.mark.parametrize(
    "wrong",
    [{"flows": [7]}, {"flows": one_step()}, {"flows": [Queue("q")]}, {"queues": [one_step()]},
     {"queues": Queue("q")}, {"flows": 7}],
    ids=str,
)  # fmt: skip
def test_what_is_no_flow_or_queue_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidDefinition, match=next(iter(wrong))):
        Runfold("memory://", **wrong)


@scenario
async def test_a_step_or_job_added_after_serving_is_refused(url: str) -> None:
    flow, queue = one_step(), Queue("q")
    async with Runfold(url, flows=[flow], queues=[queue]):
        with pytest.raises(InvalidDefinition, match=r"'late'.*after it was served"):

            @flow.step(subscribes="x")
            async def late(data: Any) -> None: ...

        with pytest.raises(InvalidDefinition, match=r"'q/late'.*after its queue was served"):

            @queue.job("late")
            async def later(data: Any) -> None: ...


@pytest.mark.parametrize(("revision", "match"), [("9999", "newer"), ("0000", "runfold migrate")])
@scenario
async def test_a_schema_of_another_release_on_postgres(
    empty_postgres_url: str, revision: str, match: str
) -> None:
    async with Runfold(empty_postgres_url).connect():
        pass
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute("UPDATE runfold.schema_version SET version_num = %s", [revision])
    with pytest.raises(SchemaOutdated, match=match) as caught:
        async with Runfold(empty_postgres_url):
            raise AssertionError
    assert (caught.value.code, caught.value.status) == ("SCHEMA_OUTDATED", 503)


@scenario
async def test_a_newer_schema_in_a_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'f.db'}"
    async with Runfold(url).connect():
        pass
    with sqlite3.connect(tmp_path / "f.db") as connection:
        connection.execute("UPDATE schema_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(SchemaOutdated, match="newer"):
        async with Runfold(url):
            raise AssertionError
