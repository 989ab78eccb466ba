"""Fold: rebuild a run from its first 100 events, from objects, from rows, from the database."""

from __future__ import annotations

import time

from benchmarks.places import Place
from benchmarks.shapes import fan_out
from runfold.flow.run import fold
from runfold.runtime.tail import decode_all

EVENTS = 100
WIDTH = 24
ROUNDS = 300


async def measure(place: Place, scale: float) -> dict[str, float]:
    """Return milliseconds for each way."""
    rounds = max(3, int(ROUNDS * scale))
    flow = fan_out(WIDTH)
    rf = place.runfold(flows=[flow])
    async with rf:
        run = await rf.start(flow, None)
        await run.result(timeout=60)
        assert (await run.state()).version >= EVENTS
        node, stream = rf._node, run._stream
        rows = await node.store.read_stream(stream, upto=EVENTS)
        recorded = decode_all(node.codec, rows)
        definition = flow.seal().definition
        assert definition is not None
        times: dict[str, float] = {}
        began = time.perf_counter()
        for _ in range(rounds):
            fold(definition, recorded)
        times["fold"] = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(rounds):
            fold(definition, decode_all(node.codec, rows))
        times["decode and fold"] = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(rounds):
            await run.state(version=EVENTS)
        times["read, decode and fold"] = time.perf_counter() - began
    return {name: took / rounds * 1000 for name, took in times.items()}
