"""A log that was changed behind the engine's back is found out, and where."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from runfold import Context, Flow, Runfold, Settings
from runfold.flow.seal import BLOCK, SHORT, Chain, digest
from runfold.runtime.verify import FINDINGS_MAX, Finding, Verified, verify
from runfold.store import open_store
from runfold.store.codec import JsonCodec
from runfold.store.memory import MemoryStore
from runtime.tables import MemoryTables, tables_of

Change = Callable[[Any, int, dict[str, Any]], None]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    settings = Settings(blob_min=2000)
    if request.param == "memory":
        return MemoryStore(settings)
    if request.param == "sqlite":
        return open_store(f"sqlite:///{tmp_path / 'log.db'}", settings, "default")
    return open_store(request.getfixturevalue("postgres_url"), settings, "default")


def flow() -> Flow[Any, Any]:
    one: Flow[Any, Any] = Flow("chained")

    @one.entry(emits=["go"])
    async def first(data: Any, ctx: Context) -> str:
        ctx.log.info("begun")
        ctx.emit("go", data)
        await ctx.state.set("seen", data)
        return "x" * 3000  # A blob.

    @one.step(subscribes="go", retry=1)
    async def second(data: Any) -> Any:
        if data == "bad":
            raise ValueError(data)
        return data

    return one


async def worked(store: Any, *inputs: Any, **settings: Any) -> None:
    """Run the flow with each of ``inputs``; leave the store open."""
    await store.open()
    one = flow()
    async with Runfold(store, flows=[one], settings=Settings(**settings)) as rf:
        for data in inputs:
            await rf.start(one, data)
        await rf.run_until_idle()


def change(store: Any, position: int, **columns: Any) -> None:
    """Write over columns of an event, as somebody with access to the database could."""
    tables = tables_of(store)
    if isinstance(tables, MemoryTables):
        events = store._log.events
        events[position - 1] = events[position - 1]._replace(**columns)
        return
    for name, value in columns.items():
        literal = f"'{value}'" if isinstance(value, str) else value
        if isinstance(value, bytes):
            literal = f"decode('{value.hex()}', 'hex')" if tables.schema else f"x'{value.hex()}'"
        tables.execute(
            f"UPDATE {tables.schema}events SET {name} = {literal} WHERE position = {position}"
        )


async def found(store: Any) -> Verified:
    return await verify(store, JsonCodec())


async def position_of(store: Any, topic: str, nth: int = 0) -> int:
    events = await store.read(after=0, limit=1000)
    return int([one.position for one in events if one.topic == topic][nth])


def scenario(test: Callable[..., Any]) -> Callable[[Any], None]:
    def run(store: Any) -> None:
        async def main() -> None:
            try:
                await test(store)
            finally:
                await store.close()

        asyncio.run(asyncio.wait_for(main(), 30))

    run.__name__ = test.__name__
    return run


@scenario
async def test_what_the_engine_wrote_is_whole_and_sealed(store: Any) -> None:
    await worked(store, 1, "bad", 3)
    seen = await found(store)
    assert (seen.ok, seen.findings, seen.ended, seen.sealed) == (True, [], 3, 3)
    assert seen.events == await store.head()
    assert seen.streams == 4


@scenario
async def test_a_run_that_was_folded_anew_by_another_process_has_the_same_chain(
    store: Any,
) -> None:
    await store.open()
    one = flow()
    async with Runfold(store, flows=[one]).connect() as rf:
        await rf.start(one, 1)
    async with Runfold(store, flows=[one]) as rf:
        await rf.run_until_idle()
    seen = await found(store)
    assert (seen.ok, seen.ended, seen.sealed) == (True, 1, 1)


@scenario
async def test_ends_without_a_chain_are_no_fault(store: Any) -> None:
    await worked(store, 1, chain=False)
    seen = await found(store)
    assert (seen.ok, seen.ended, seen.sealed) == (True, 1, 0)


@scenario
async def test_a_changed_payload_is_found_at_the_end_of_its_run(store: Any) -> None:
    await worked(store, "paid", "other")
    at = await position_of(store, "emit")
    change(store, at, state=b'{"name":"go","payload":"free"}')
    run = (await store.read(after=at - 1, limit=1))[0].stream
    seen = await found(store)
    assert [one.position for one in seen.findings] == [(await store.read_stream(run))[-1].position]
    assert "an event before it was changed" in seen.findings[0].what
    assert (seen.ended, seen.sealed) == (2, 1)


@pytest.mark.parametrize("columns", [{"step": "third"}, {"attempt": 2}, {"cause": 1},
                                     {"activation": 7}, {"key": "k"}])  # fmt: skip
def test_a_changed_envelope_is_found(columns: dict[str, Any]) -> None:
    async def main() -> None:
        store = MemoryStore()
        await worked(store, 1)
        change(store, await position_of(store, "step.completed"), **columns)
        assert (await found(store)).faults == 1

    asyncio.run(main())


@scenario
async def test_an_event_of_another_type_is_found_by_name(store: Any) -> None:
    await worked(store, 1)
    at = await position_of(store, "log")
    change(store, at, topic="step.teleported")
    seen = await found(store)
    assert seen.findings[0].position == at
    assert "'step.teleported'" in seen.findings[0].what
    assert seen.faults == 2  # And the chain.


@scenario
async def test_a_state_that_cannot_be_read_is_found(store: Any) -> None:
    await worked(store, 1)
    at = await position_of(store, "log")
    change(store, at, state=b"{")
    seen = await found(store)
    assert seen.findings[0].position == at
    assert "cannot be read" in seen.findings[0].what


@scenario
async def test_a_missing_version_is_found(store: Any) -> None:
    await worked(store, 1)
    at = await position_of(store, "log")
    change(store, at, version=99)
    seen = await found(store)
    assert seen.findings[0].position == at
    assert seen.findings[0].what == "version 99 of stream 2, expected 4"


def test_a_missing_blob_and_a_missing_event_are_found(tmp_path: Path, postgres_url: str) -> None:
    async def main(url: str) -> None:
        store = open_store(url, Settings(blob_min=2000), "default")
        await worked(store, 1)
        try:
            tables = tables_of(store)
            tables.execute(f"DELETE FROM {tables.schema}blobs")
            at = await position_of(store, "step.completed")
            assert (await found(store)).findings[0] == Finding(
                at, "the blob of this 'step.completed' is missing"
            )
            tables.execute(f"DELETE FROM {tables.schema}events WHERE position IN ({at}, {at + 1})")
            assert (await found(store)).findings[0] == Finding(
                at + 2, f"positions {at} to {at + 1} are missing"
            )
        finally:
            await store.close()

    for url in (f"sqlite:///{tmp_path / 'log.db'}", postgres_url):
        asyncio.run(main(url))


def test_what_follows_an_end_is_found() -> None:
    async def main() -> None:
        store = MemoryStore()
        await worked(store, 1)
        events = store._log.events
        events.append(events[-2]._replace(position=len(events) + 1, version=len(events)))
        seen = await found(store)
        assert "has ended or has no beginning" in seen.findings[0].what

    asyncio.run(main())


def test_a_stream_that_begins_elsewhere_is_found() -> None:
    async def main() -> None:
        store = MemoryStore()
        await worked(store, 1)
        change(store, 2, stream=77)
        seen = await found(store)
        assert seen.findings[0] == Finding(2, "stream 77 begins here, expected at 77")

    asyncio.run(main())


def test_findings_are_kept_up_to_a_bound() -> None:
    async def main() -> None:
        store = MemoryStore()
        await worked(store, *[1] * 3)
        first = store._log.events[1]
        store._log.events += [
            first._replace(position=100 + number, topic="gone") for number in range(3000)
        ]
        seen = await found(store)
        assert len(seen.findings) == FINDINGS_MAX
        assert seen.faults > FINDINGS_MAX

    asyncio.run(main())


def test_an_empty_log_is_whole() -> None:
    assert asyncio.run(found(MemoryStore())).ok


def test_the_chain_is_what_the_documentation_says() -> None:
    hashes = [sha256(b"%d" % n).digest() for n in range(BLOCK + 2)]
    assert digest(b"0", "ann") == sha256(hashes[0] + b":ann").digest()
    chain, head = Chain(), b"1,2,3,3,4:logstep"
    assert chain.root() == ""
    for n in range(BLOCK):
        chain.add("log", b"%d" % n, None, "step", 1, 2, 3)
    link = sha256(b"".join([head + one for one in hashes[:BLOCK]]))
    assert chain.root() == link.hexdigest()
    chain.add("log", b"%d" % BLOCK, None, "step", 1, 2, 3)
    assert chain.root() == sha256(link.digest() + head + hashes[BLOCK]).hexdigest()
    long = b"x" * (SHORT + 1)
    chain.add("log", long, "ann", None, None, None, None)
    last = b"None,None,None,3,0:log" + sha256(sha256(long).digest() + b":ann").digest()
    assert chain.root() == sha256(link.digest() + head + hashes[BLOCK] + last).hexdigest()
    assert dataclasses.asdict(Verified())["faults"] == 0
