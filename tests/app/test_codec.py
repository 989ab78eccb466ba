"""Events that are compressed and encrypted with the hooks of the eventsourcing library."""

from __future__ import annotations

import asyncio
from typing import Any

from eventsourcing.cipher import AESCipher
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.utils import Environment

from runfold import Context, Flow, Runfold
from runfold.store.codec import JsonCodec

KEY = AESCipher.create_key(num_bytes=16)


def sealed() -> JsonCodec:
    environment = Environment("", {"CIPHER_KEY": KEY})
    return JsonCodec(compressor=ZlibCompressor(), cipher=AESCipher(environment))


def test_a_log_can_be_compressed_and_encrypted(url: str) -> None:
    flow: Flow[Any, Any] = Flow("secret")

    @flow.entry(emits=["word"])
    async def start(word: str, ctx: Context) -> None:
        ctx.emit("word", word)

    @flow.step(subscribes="word")
    async def take(word: str) -> str:
        return word.upper()

    async def scenario() -> None:
        rf = Runfold(url, flows=[flow], codec=sealed())
        async with rf:
            run = await rf.start(flow, "classified")
            assert await run.result(timeout=10) == "CLASSIFIED"
            stored = await rf._store.read(after=0, limit=100)
            assert not [
                one
                for one in stored
                if b"lassified" in one.state
                or (one.state.startswith(b'{"') and one.state.endswith(b"}"))
            ]
        async with rf.connect():
            assert (await (await rf.get(run.id)).state()).input == "classified"

    asyncio.run(asyncio.wait_for(scenario(), 20))
