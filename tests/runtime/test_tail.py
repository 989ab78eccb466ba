"""A reader never passes over what it cannot read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runfold.kernel.registry import UnknownEvent
from runfold.ports import Batch, Encoded, Item
from runfold.runtime.tail import Tail
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
