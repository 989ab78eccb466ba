"""A reader never passes over what it cannot read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runfold.kernel.registry import UnknownEvent
from runfold.ports import Batch, Encoded, Item
from runfold.runtime.tail import Tail, decode
from runfold.store.codec import JsonCodec
from runfold.store.memory import MemoryStore


class Codec(JsonCodec):
    """A codec that does not know an event yet."""

    knows_logs = False

    def decode(self, topic: str, state: bytes) -> Any:
        if topic == "log" and not self.knows_logs:
            raise UnknownEvent(topic)
        return super().decode(topic, state)


def test_a_page_that_cannot_be_read_is_read_again() -> None:
    async def scenario() -> None:
        store, codec = MemoryStore(), Codec()
        await store.open()
        line = Encoded("log", b'{"level":"info","message":"hello"}')
        ended = Encoded("flow.cancelled", b"{}")
        await store.commit(Batch(1, 1, [Item([ended], id=b"1" * 16), Item([line], id=b"2" * 16)]))
        tail = Tail(store, codec, position=0)
        for _ in range(2):
            with pytest.raises(UnknownEvent):
                await tail.read(100)
            assert (tail.position, tail.stale) == (0, True)
        codec.knows_logs = True
        assert [one.event.TOPIC for one in await tail.read(100)] == ["flow.cancelled", "log"]
        assert tail.position == 2

    asyncio.run(scenario())


def test_a_hole_that_is_filled_hides_nothing_that_others_appended_behind_it() -> None:
    async def scenario() -> None:
        store, codec = MemoryStore(), JsonCodec()
        await store.open()
        ended = Encoded("flow.cancelled", b"{}")
        for number in range(1, 5):
            await store.commit(Batch(1, number, [Item([ended], id=bytes([number]) * 16)]))
        tail = Tail(store, codec, position=0)
        # The third is this process's own; the fourth is somebody's, and its bell has rung.
        tail.push([decode(codec, (await store.read(after=2, limit=1))[0])])
        found = [await tail.read(10) for _ in range(3)]
        assert [one.position for page in found for one in page] == [1, 2, 3, 4]

    asyncio.run(scenario())
