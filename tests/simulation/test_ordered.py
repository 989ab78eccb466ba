"""What a handler begins side by side begins in the order in which it says so."""

from __future__ import annotations

import asyncio
from asyncio import as_completed
from collections.abc import Callable
from typing import Any

import pytest

from runfold import Flow, Retry
from runfold.testing import Simulation

MANY = range(40)
CODE = asyncio.as_completed.__code__


async def lists(begun: list[int], number: int) -> int:
    begun.append(number)
    await asyncio.sleep(1)
    return number


async def by_attribute(begun: list[int]) -> list[int]:
    return [await one for one in asyncio.as_completed([lists(begun, n) for n in MANY])]


async def by_name(begun: list[int]) -> list[int]:
    return [await one for one in as_completed([lists(begun, n) for n in MANY], timeout=9)]


async def by_tasks(begun: list[int]) -> list[int]:
    tasks = {asyncio.create_task(lists(begun, n)) for n in MANY}
    return [await one for one in as_completed(tasks)]


async def by_waiting(begun: list[int]) -> list[int]:
    tasks = {asyncio.create_task(lists(begun, n)) for n in MANY}
    done, _ = await asyncio.wait(tasks)
    return [one.result() for one in done]


@pytest.mark.parametrize("way", [by_attribute, by_name, by_tasks, by_waiting])
def test_coroutines_begin_and_end_in_their_order(way: Callable[[list[int]], Any]) -> None:
    begun: list[int] = []
    flow: Flow[Any, Any] = Flow("gathers")

    @flow.entry(returns=True)
    async def gathers(_: None) -> list[int]:
        return await way(begun)  # type: ignore[no-any-return]

    with Simulation(flow) as sim:
        run = sim.start(flow)
        sim.run_until_idle()
        assert begun == list(MANY)
        assert run.result is not None
        assert sorted(run.result) == list(MANY)
        if way is not by_waiting:
            assert run.result == list(MANY)
        assert len(asyncio.run(by_name([]))) == len(MANY)  # A real loop is as ever.
    assert asyncio.as_completed.__code__ is CODE


def test_bare_coroutines_are_nothing_to_wait_for() -> None:
    flow: Flow[Any, Any] = Flow("waits")

    @flow.entry(retry=Retry(1))
    async def waits(_: None) -> None:
        one = asyncio.sleep(1)
        try:
            await asyncio.wait([one])  # type: ignore[type-var]
        finally:
            one.close()

    with Simulation(flow) as sim:
        run = sim.start(flow)
        sim.run_until_idle()
        assert run.error is not None
        assert run.error.type == "TypeError"
